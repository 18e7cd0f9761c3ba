"""Deep nesting ends in RecursionError where C would recurse, and dies without a crash."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from pstructs import pmap, pset, s, stable_hash

DEPTH = 100_000


def maps(depth: int = DEPTH, leaf: Any = 1) -> Any:
    a: Any = leaf
    for _ in range(depth):
        a = pmap({"a": a})
    return a


def maps_as_keys(depth: int) -> Any:
    a: Any = 1
    for _ in range(depth):
        a = pmap({a: 1})
    return a


def sets(depth: int) -> Any:
    a: Any = 1
    for _ in range(depth):
        a = s(a)
    return a


def through_evolvers(depth: int = DEPTH) -> Any:
    a: Any = 1
    for _ in range(depth):
        e = pmap().evolver()
        e["a"] = a
        a = e
    return a


def mixed(depth: int = DEPTH) -> Any:
    a: Any = []
    for i in range(depth):
        a = (pmap({"a": a}), [pmap({"a": a}).values()], (a, pmap({"b": a})), {"d": a})[i % 4]
    return a


def iterators(depth: int = DEPTH) -> Any:
    a: Any = 1
    for _ in range(depth):
        a = iter(pmap({"a": a}).items())
    return a


@pytest.mark.parametrize("make", [maps, lambda: maps(leaf=[]), through_evolvers, mixed, iterators])
def test_a_deep_structure_dies_without_a_crash(make: Callable[[], Any]) -> None:
    a = make()
    del a


@pytest.mark.parametrize(
    "do",
    [
        repr,
        hash,
        stable_hash,
        pickle.dumps,
        copy.deepcopy,
        lambda a: a == maps(),
        lambda a: a != maps(),
        lambda a: a.items() == maps().items(),
        lambda a: pset([a]),
        lambda a: pmap({a: 1}),
        lambda a: repr(a.values()),
        lambda a: a | maps() == maps(),
    ],
)
def test_recursion_ends_in_an_exception(do: Callable[[Any], Any]) -> None:
    with pytest.raises(RecursionError):
        do(maps())


@pytest.mark.parametrize("make", [maps_as_keys, sets])
def test_deep_keys_are_refused_when_they_are_hashed(make: Callable[[int], Any]) -> None:
    with pytest.raises(RecursionError):
        make(DEPTH)


def test_moderate_depth_works() -> None:
    a, b = maps(100), maps(100)
    assert a == b and hash(a) == hash(b) and repr(a) == repr(b)
    assert sets(50) == sets(50) and maps_as_keys(50) == maps_as_keys(50)
