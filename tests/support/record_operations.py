"""Operations of records and checked collections, for leak and allocation tests.

An operation takes the `Records` that it works on; their material is made beforehand.
"""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

from pstructs import (
    CheckedPMap,
    CheckedPSet,
    CheckedPVector,
    InvariantException,
    PClass,
    PRecord,
    field,
    pmap,
    pset_field,
)


def positive(n: Any) -> tuple[bool, str]:
    return n > 0, "not positive"


def positive_value(_: Any, n: Any) -> tuple[bool, str]:
    return n > 0, "not positive"


class C(PClass):
    a = field(type=int, mandatory=True, invariant=positive)
    b = field()
    s = pset_field(int)


class R(PRecord):
    a = field(type=int, mandatory=True, invariant=positive)
    b = field()
    s = pset_field(int)
    __invariant__ = lambda r: (True, "")  # noqa: E731


class Small(CheckedPSet[int]):
    __type__ = int
    __invariant__ = positive


class Table(CheckedPMap[str, int]):
    __key_type__ = str
    __value_type__ = int
    __invariant__ = positive_value


class Steps(CheckedPVector[int]):
    __type__ = int
    __invariant__ = positive


class Records:
    """Ready-made records and checked collections."""

    def __init__(self) -> None:
        self.value = ("value",)
        self.c, self.r = C(a=1, b=self.value, s=[1]), R(a=1, b=self.value, s=[1])
        self.c2, self.r2 = C(a=1, b=("value",), s=[1]), R(a=1, b=("value",), s=[1])
        self.map = pmap(self.r)
        self.dict = dict(self.r)
        self.keys = pmap({self.r: 1})
        self.small, self.table, self.steps = Small([1, 2]), Table({"a": 1}), Steps([1, 2])
        self.pickled = pickle.dumps([self.c, self.r, self.small, self.table, self.steps])
        self.state = repr(self.__dict__)

    def check_unchanged(self) -> None:
        """Everything is what it was made as."""
        state = self.__dict__.pop("state")
        assert repr(self.__dict__) == state
        self.state = state

    def references(self) -> list[int]:
        """Reference counts of all that operations touch."""
        return [sys.getrefcount(o) for o in (*self.__dict__.values(), C, R, Small, Table, Steps)]


def fails(error: type[Exception], f: Callable[[], Any]) -> None:
    try:
        f()
    except error:
        return
    raise AssertionError(f"no {error.__name__}")


SAFE: dict[str, Callable[[Records], Any]] = {
    "make": lambda x: (C(a=1, b=2), R(a=1, b=2)),
    "set": lambda x: (x.c.set(a=2), x.r.set("a", 2)),
    "set_same": lambda x: (x.c.set(a=1), x.r.set(a=1)),
    "to_dict": lambda x: (x.c._to_dict(), dict(x.r)),
    "equal": lambda x: (x.c == x.c2, x.r == x.r2, x.r == x.map, x.map == x.r, x.r == x.dict),
    "hash": lambda x: (hash(x.c.set(a=2)), hash(x.r.set(a=2))),
    "subscript": lambda x: (x.r["a"], x.r.get("b"), "s" in x.r, len(x.r), list(x.r)),
    "as_a_key": lambda x: (x.keys[x.map], x.keys[x.r2]),
    "pmap": lambda x: pmap(x.r),
}
THROUGH_PYTHON: dict[str, Callable[[Records], Any]] = {
    "long_way": lambda x: (C(a=1, s=[2]), R(a=1, s=[2])),
    "factory": lambda x: x.c.set(s=[1, 2, 3]),
    "wrong_type": lambda x: (fails(TypeError, lambda: C(a="")), fails(TypeError, lambda: R(a=""))),
    "invariant": lambda x: (
        fails(InvariantException, lambda: C(a=-1)),
        fails(InvariantException, lambda: x.r.set(a=-1)),
    ),
    "missing": lambda x: fails(InvariantException, lambda: C()),
    "unknown": lambda x: fails(AttributeError, lambda: C(a=1, z=1)),
    "key_error": lambda x: fails(KeyError, lambda: x.r["z"]),
    "evolve": lambda x: (
        x.c.evolver().set("a", 2).persistent(),
        x.r.evolver().remove("b").persistent(),
    ),
    "transform": lambda x: x.c.transform(["a"], lambda a: a + 1),
    "repr": lambda x: (repr(x.c), repr(x.r)),
    "pickle": lambda x: pickle.loads(x.pickled),
    "deepcopy": lambda x: copy.deepcopy([x.c, x.r]),
    "checked": lambda x: (x.small.add(3), x.table.set("b", 2), x.steps.append(3)),
    "checked_fails": lambda x: (
        fails(TypeError, lambda: x.small.add("")),
        fails(InvariantException, lambda: x.table.set("b", -1)),
        fails(InvariantException, lambda: x.steps.set(0, -1)),
    ),
    "a_class": lambda x: type(PClass)("T", (C,), {"z": field(type=int)})(a=1, z=2),
}


def probe_leaks() -> None:
    """Repeat each operation; exit with 1 when memory or references grow."""
    tracemalloc.start()
    bad = 0
    for name, do in (SAFE | THROUGH_PYTHON).items():
        x = Records()
        for rounds in (30, 100, 1000):
            sys._clear_type_cache()
            gc.collect()
            before, memory = x.references(), tracemalloc.get_traced_memory()[0]
            for _ in range(rounds):
                do(x)
            sys._clear_type_cache()
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - memory
            more = max(b - a for a, b in zip(before, x.references(), strict=True))
            leaked = grown >= 16 * rounds or more >= rounds
            if rounds > 30 and not leaked:
                break
        if leaked:
            print(f"LEAK {name}: {grown} bytes, {more} references in {rounds} runs")
            bad += 1
        x.check_unchanged()
    print(f"probed {len(SAFE | THROUGH_PYTHON)}")
    sys.exit(bad)


def probe_allocations() -> None:
    """Fail the i-th allocation of each operation, for every i until it succeeds."""
    import _testcapi

    gc.disable()
    failed = 0
    for name, do in SAFE.items():
        print(name, flush=True)
        x = Records()
        do(x)
        quiet = i = 0
        while quiet < 4:
            assert i < 5000, name
            _testcapi.set_nomemory(i, i + 1)
            try:
                do(x)
            except MemoryError:
                quiet, failed = 0, failed + 1
            else:
                quiet += 1
            finally:
                _testcapi.remove_mem_hooks()
            i += 1
        x.check_unchanged()
    assert failed > len(SAFE), "no allocation failed: the probe is blind"
    print(f"probed {len(SAFE)}")
