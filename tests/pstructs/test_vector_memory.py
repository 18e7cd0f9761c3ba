"""Vectors and the collector, deep nesting, and elements whose comparison misbehaves."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from pstructs import m, pset, pvector, stable_hash, v
from support.wilful_keys import EqKeyError, HashKeyError, Key, calling, raising

DEPTH = 100_000


class Node:
    """Something that can be in a cycle, and tells when it is gone."""

    to: Any = None


def test_vectors_of_atoms_are_not_tracked() -> None:
    a: Any = pvector(range(1000))
    for b in (
        v(),
        a,
        a.append("x").appendleft(2.5).insert(500, None),
        a[100:900] + a,
        v(v(v(1)), (1, 2), m(a=v(1))),
        m(a=v(1)),
        a.evolver().set(5, b"x").append(1).persistent(),
    ):
        assert not gc.is_tracked(b)


def test_vectors_of_containers_are_tracked() -> None:
    a: Any = pvector(range(1000))
    for b in (
        v([]),
        v(v([])),
        a.append([]),
        a.appendleft({}),
        a.set(500, Node()),
        a.insert(500, []),
        a.evolver().set(5, []).persistent(),
        a + v([]),
        v([]) + a,
        pvector([[] for _ in range(1000)])[400:600],
    ):
        assert gc.is_tracked(b)


def test_the_collector_finds_no_node_of_atoms() -> None:
    gc.collect()
    before = len(gc.get_objects())
    keep = [pvector(range(1000)) for _ in range(20)]
    gc.collect()
    assert len(gc.get_objects()) - before <= 2  # the list
    assert len(keep) == 20


def by_vector(n: Node) -> Any:
    return v(n)


def by_head(n: Node) -> Any:
    return pvector(range(100)).appendleft(n)


def by_body(n: Node) -> Any:
    return pvector(range(3000)).set(1000, n)


def by_join(n: Node) -> Any:
    return pvector(range(100)) + v(n) + pvector(range(100))


def by_iterator(n: Node) -> Any:
    it = iter(pvector([n] * 100))
    next(it)
    return it


def by_reversed(n: Node) -> Any:
    return reversed(v(n))


def by_evolver(n: Node) -> Any:
    e = pvector(range(3000)).evolver()
    for i in range(0, 3000, 3):
        e[i] = n
    return e.append(n)


def by_evolver_of_what_it_made(n: Node) -> Any:
    e = pvector().evolver().append(n)
    e.persistent()
    return e.append(n)


def by_nested(n: Node) -> Any:
    return v(v((v(n),)))


def by_subclass(n: Node) -> Any:
    class Sub(type(v())):  # type: ignore[misc]
        pass

    a = Sub([1])
    a.to = n
    return a


MAKERS = [f for name, f in list(globals().items()) if name.startswith("by_")]


@pytest.mark.parametrize("make", MAKERS)
def test_cycles_are_collected(make: Callable[[Node], Any]) -> None:
    node = Node()
    ref = weakref.ref(node)
    node.to = make(node)
    del node
    gc.collect()
    assert ref() is None


@pytest.mark.parametrize("make", MAKERS)
def test_what_is_still_reached_survives_a_collection(make: Callable[[Node], Any]) -> None:
    node = Node()
    ref = weakref.ref(node)
    node.to = holder = make(node)
    del node
    for _ in range(3):
        gc.collect()
    assert ref() is not None and ref().to is holder  # type: ignore[union-attr]


def test_an_evolver_in_itself_is_collected() -> None:
    e = v().evolver()
    ref = weakref.ref(e)
    e.append(e).append([e])
    del e
    gc.collect()
    assert ref() is None


def test_building_with_an_eager_collector() -> None:
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        a: Any = pvector([[i] for i in range(300)])
        e = a.evolver()
        for i in range(300):
            e[i] = (i, [i])
            e.append([i])
        b = e.persistent() + pvector([[i] for i in range(90)]).appendleft({})
        assert b[:300] == [(i, [i]) for i in range(300)] and len(b) == 691
        assert a == [[i] for i in range(300)]
    finally:
        gc.set_threshold(*before)


# ---- deep nesting


def deep(depth: int = DEPTH, leaf: Any = 1) -> Any:
    a: Any = leaf
    for _ in range(depth):
        a = v(a)
    return a


def through_evolvers(depth: int = DEPTH) -> Any:
    a: Any = 1
    for _ in range(depth):
        a = v().evolver().append(a)
    return a


def mixed(depth: int = DEPTH) -> Any:
    a: Any = []
    for i in range(depth):
        a = (v(a), [v(a)], (a, v(1, a)), {"d": a}, m(a=a), iter(v(a)))[i % 6]
    return a


@pytest.mark.parametrize("make", [deep, lambda: deep(leaf=[]), through_evolvers, mixed])
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
        lambda a: a == deep(),
        lambda a: a < deep(),
        lambda a: a == [deep(DEPTH - 1)],
        lambda a: a in v(deep()),
        lambda a: pset([a]),
    ],
)
def test_recursion_ends_in_an_exception(do: Callable[[Any], Any]) -> None:
    with pytest.raises(RecursionError):
        do(deep())


def test_moderate_depth_works() -> None:
    a, b = deep(100), deep(100)
    assert a == b and hash(a) == hash(b) and repr(a) == repr(b) and not a < b


# ---- elements that misbehave


def keys(n: int = 100) -> list[Key]:
    return [Key(i, i) for i in range(n)]


@pytest.mark.parametrize(
    "do",
    [
        lambda a: a == pvector(keys()),
        lambda a: a == keys(),
        lambda a: a < pvector(keys()),
        lambda a: Key(99, 1) in a,
        lambda a: a.index(Key(99, 1)),
        lambda a: a.count(Key(99, 1)),
        lambda a: a.remove(Key(99, 1)),
    ],
)
def test_an_exception_of_an_element_passes_through(do: Callable[[Any], Any]) -> None:
    a: Any = pvector(keys())
    with raising(eq_after=70), pytest.raises(EqKeyError):
        do(a)
    assert len(a) == 100


def test_an_exception_while_hashing_passes_through_and_nothing_is_remembered() -> None:
    a: Any = pvector(keys())
    with raising(hash_after=70), pytest.raises(HashKeyError):
        hash(a)
    assert hash(a) == hash(tuple(keys()))


def test_a_list_that_changes_while_it_is_compared() -> None:
    a: Any = pvector(keys(50))
    other = keys(50)

    def shrink(key: Key, _: object) -> None:
        if key.name == 20:
            other.clear()

    with calling(on_eq=shrink):
        assert (a == other) is False
    grown = keys(50)
    with calling(on_eq=lambda key, _: grown.extend(keys(2))):
        assert (a == grown) is False


def test_an_iterator_that_is_dropped_by_what_it_shows() -> None:
    holder: list[Any] = []
    a: Any = pvector([Node() for _ in range(100)])
    holder.append(iter(a))
    ref = weakref.ref(a[99])
    del a
    for _ in holder[0]:
        if holder[0].__length_hint__() == 50:
            break
    holder.clear()
    gc.collect()
    assert ref() is None
