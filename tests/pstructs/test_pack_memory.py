"""Packs survive a failure of every single allocation, and leak nothing."""

from __future__ import annotations

import gc
import tempfile
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from pstructs import errors, m, pmap, pvector, s, v
from pstructs.packs import Pack, PackBuilder, PackWriter, dumps, loads
from support.failing_allocations import fail_every_allocation
from support.hostile import colliding_strings
from support.pack_tools import devour, reseal, sample

VALUE = pmap(
    {f"k{i}": i for i in range(100)}
    | {
        "v": pvector([0.5] * 40).append("x") + pvector(range(90)).append(v(1)),
        "w": v(2, "z" * 1100),
    }
    | {"t": (1, [2.5, {"a": {3}}]), "m": m(x=s(1, 2)), "long": "z" * 2000, (1, 2): 2**70}
)
IMAGE = dumps(VALUE)
BASE = Pack.from_buffer(IMAGE)
CHANGED = BASE.root().set("k5", -5).set("new", m(a=1))
SECOND = bytes(PackWriter(CHANGED, importable=lambda p: True).image)


def adopt() -> Any:
    value = pmap({i: i for i in range(50)})
    writer = PackWriter(value)
    writer.adopt(Pack.from_buffer(bytes(writer.image), trusted=True))
    return PackWriter(value, importable=lambda p: True).new_records


PAIRS: list[tuple[Any, Any]] = [(key, n) for n, key in enumerate(colliding_strings(4))]
PAIRS += [(n % 20, [n, "x" * (n * 40)]) for n in range(30)]
PAIRS += [((1, m(a=1)), s(2)), ((1, m(a=1)), v(1, 2))]

SPILLED = tempfile.TemporaryFile(buffering=0)


def build(items: Iterable[Any], kind: str) -> bytes:
    pieces: list[bytes] = []
    builder = PackBuilder(pieces.append, kind)
    waiting = iter(items)
    while builder.take(waiting, 1 << 60, 20):
        builder.spill(SPILLED)
    builder.merge(0)
    builder.finish()
    return builder.root_digest


OPERATIONS: dict[str, Callable[[], Any]] = {
    "build": lambda: build(PAIRS, "map"),
    "build a vector": lambda: build(range(70), "vector"),
    "save": lambda: len(dumps(VALUE)),
    "open and verify": lambda: len(loads(IMAGE)),
    "open trusted": lambda: len(loads(IMAGE, trusted=True)),
    "read everything": lambda: devour(loads(IMAGE, trusted=True)),
    "find": lambda: [BASE.root()[k] for k in ("k7", (1, 2), "long")],
    "copy a pack": lambda: len(dumps(BASE.root())),
    "increment": lambda: len(PackWriter(CHANGED, importable=lambda p: True).image),
    "import": lambda: devour(Pack.from_buffer(SECOND, resolve=lambda i: BASE).root()),
    "adopt": adopt,
    "change": lambda: len(BASE.root().set("k7", 1).remove("k8")),
    "index a vector": lambda: [BASE.root()["v"][i] for i in (0, 35, 131)],
    "change a vector": lambda: list((BASE.root()["v"][20:].set(3, 1) + v(2)).insert(50, 3))[:60],
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_failing_allocation_ends_in_memory_error(name: str) -> None:
    assert fail_every_allocation(OPERATIONS[name]) > 0
    assert BASE.root() == VALUE


def fail_to_read() -> None:
    for at in range(100, len(IMAGE), 97):
        image = bytearray(IMAGE)
        image[at] ^= 255
        for damaged in (bytes(image), reseal(image)):
            for trusted in (False, True):
                try:
                    devour(loads(damaged, trusted=trusted))
                except (errors.PstructsError, KeyError, AssertionError, TypeError):
                    pass


def fail_to_write() -> None:
    for bad in (object(), [m(a=s(1)), {"x": object()}], pmap({object(): 1})):
        with pytest.raises(errors.UnsavableError):
            dumps([VALUE, m(a=VALUE, b=bad)])


@pytest.mark.parametrize("rounds", [4])
def test_nothing_leaks(rounds: int, tmp_path: Path) -> None:
    path = tmp_path / "a.pack"
    path.write_bytes(dumps(sample(50)))

    def once() -> None:
        for operation in OPERATIONS.values():
            operation()
        fail_to_read()
        fail_to_write()
        for trusted in (False, True):
            devour(Pack.from_file(path, trusted=trusted).root())

    tracemalloc.start()
    try:
        for _ in range(3):
            once()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(rounds):
            once()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 4000 * rounds
