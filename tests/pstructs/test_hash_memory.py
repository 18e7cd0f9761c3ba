"""Hashing survives a failure of every single allocation, and leaks nothing."""

from __future__ import annotations

import datetime as dt
import enum
import gc
import tracemalloc
import uuid
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from pstructs import _core, pmap, pset
from support.failing_allocations import fail_every_allocation


class Colour(enum.Enum):
    """Some Enum."""

    RED = 1


class Text(str):
    """A str that is asked."""

    def __hash__(self) -> int:
        return str.__hash__(self)


class Point:
    """A registered key type."""


class Thing:
    """A heap-only key type."""

    def __init__(self) -> None:
        self.also = 0


_core._register_key_type(Point, "test.memory.point", lambda key: ("point", 2**70))

EAST = dt.timezone(dt.timedelta(hours=5))
KEYS: list[Any] = [
    2**80,
    -(10**3000),
    Decimal("0.1"),
    Decimal("1" * 50),
    Fraction(10**30, 7**40),
    tuple(range(100)),
    frozenset(range(100)),
    frozenset(range(5000)),
    memoryview(b"abcdef")[::2],
    dt.datetime(2024, 1, 1, tzinfo=EAST, fold=1),
    dt.time(5, tzinfo=EAST),
    uuid.UUID(int=7),
    Colour.RED,
    Text("text"),
    Point(),
    Thing(),
    pmap({"a": (1, Decimal(2))}),
    pset([1, "b"]),
    ((1, Colour.RED), frozenset([Text("x"), 2**70])),
]
FUNCTIONS = [_core._hash1, _core._hash2, _core._hash_is_stable]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("key", KEYS, ids=lambda key: type(key).__name__)
def test_every_failing_allocation_ends_in_memory_error(
    function: Callable[[Any], Any], key: Any
) -> None:
    fail_every_allocation(lambda: function(key), quiet=9)


def test_the_failing_allocator_fires() -> None:
    assert fail_every_allocation(lambda: _core._hash1(tuple(range(100)))) > 0


def test_hashing_leaks_nothing() -> None:
    class Fails:
        def __hash__(self) -> int:
            raise LookupError

    bad: list[Any] = [[], (1, []), Fails(), (2**80, Fails()), frozenset([((),)]), Decimal("snan")]

    def once() -> None:
        for key in KEYS:
            for function in FUNCTIONS:
                function(key)
        for key in bad:
            try:
                _core._hash1(key)
            except (TypeError, LookupError):
                pass

    tracemalloc.start()
    try:
        for _ in range(1200):  # until CPython's own pools (utcoffset() has one of 1000) are full
            once()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            once()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 20_000, grown  # one lost object a round would be 28,000 bytes at least
