"""Records of three fields: 1000 of each operation."""

from __future__ import annotations

import dataclasses
import tracemalloc
from typing import Any

RIVALS = (
    "pstructs.PClass",
    "pstructs.PRecord",
    "pyrsistent.PClass",
    "pyrsistent.PRecord",
    "dataclass",
    "attrs",
    "namedtuple",
)


def not_negative(n: int) -> tuple[bool, str]:
    return n >= 0, "negative"


def declare(rival: str) -> Any:
    """A class with the fields x, y and z of three types."""
    library, _, name = rival.partition(".")
    if name:
        module = __import__(library)
        body = {"x": module.field(type=int), "y": module.field(type=str)}
        body["z"] = module.field(type=float)
        base = getattr(module, name)
        return type(base)("Record", (base,), body)
    if rival == "dataclass":
        fields = [("x", int), ("y", str), ("z", float)]
        return dataclasses.make_dataclass("Record", fields, frozen=True, slots=True)
    if rival == "attrs":
        import attrs

        return attrs.make_class("Record", ["x", "y", "z"], frozen=True, slots=True)
    from collections import namedtuple

    return namedtuple("Record", "x y z")


def setter(rival: str) -> Any:
    """How one field is changed: record, value -> record."""
    if rival == "dataclass":
        return lambda record, x: dataclasses.replace(record, x=x)
    if rival == "attrs":
        import attrs

        return lambda record, x: attrs.evolve(record, x=x)
    if rival == "namedtuple":
        return lambda record, x: record._replace(x=x)
    return lambda record, x: record.set(x=x)


class Record:
    """One class, many instances."""

    params = (RIVALS,)
    param_names = ("rival",)

    def setup(self, rival: str) -> None:
        self.cls = declare(rival)
        self.set = setter(rival)
        self.records = [self.cls(x=i, y=str(i), z=0.5) for i in range(1000)]
        self.twins = [self.cls(x=i, y=str(i), z=0.5) for i in range(1000)]
        self.hashed = list(map(hash, self.records))
        self.texts = [str(i) for i in range(1000)]

    def time_create(self, rival: str) -> None:
        cls = self.cls
        for i, text in enumerate(self.texts):
            cls(x=i, y=text, z=0.5)

    def time_read(self, rival: str) -> None:
        for record in self.records:
            record.x  # noqa: B018
            record.y  # noqa: B018
            record.z  # noqa: B018

    def time_set_one_field(self, rival: str) -> None:
        put = self.set
        for record in self.records:
            put(record, -1)

    def time_equal(self, rival: str) -> None:
        for a, b in zip(self.records, self.twins, strict=True):
            a == b  # noqa: B015

    def time_create_and_hash(self, rival: str) -> None:
        cls = self.cls
        for i, text in enumerate(self.texts):
            hash(cls(x=i, y=text, z=0.5))

    def time_hash_again(self, rival: str) -> None:
        for record in self.records:
            hash(record)

    def track_bytes(self, rival: str) -> float:
        tracemalloc.start()
        kept = [self.cls(x=1, y="", z=0.5) for _ in range(1000)]
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return size / len(kept)

    track_bytes.unit = "bytes a record"  # type: ignore[attr-defined]


class CheckedRecord:
    """With an invariant, and with a factory."""

    params = (RIVALS[:4], ("invariant", "factory"))
    param_names = ("rival", "rule")

    def setup(self, rival: str, rule: str) -> None:
        library, _, name = rival.partition(".")
        module = __import__(library)
        rules = {"invariant": not_negative} if rule == "invariant" else {"factory": int}
        base = getattr(module, name)
        body = {"x": module.field(type=int, **rules), "y": module.field(type=str)}
        self.cls = type(base)("Record", (base,), body)
        self.record = self.cls(x=1, y="")

    def time_create(self, rival: str, rule: str) -> None:
        cls = self.cls
        for i in range(1000):
            cls(x=i, y="")

    def time_set_one_field(self, rival: str, rule: str) -> None:
        record = self.record
        for i in range(1000):
            record.set(x=i)
