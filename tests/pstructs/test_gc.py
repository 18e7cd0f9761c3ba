"""The collector: collections of atoms stay out of it, and every cycle is found."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from pstructs import pmap, pset, s


class Node:
    """Something that can be in a cycle, and tells when it is gone."""

    to: Any = None


def test_collections_of_atoms_are_not_tracked() -> None:
    for a in (
        pmap(),
        pset(),
        pmap({i: str(i) for i in range(1000)}),
        pset(range(1000)),
        pmap({"a": 1}).set("b", 2.5).remove("a"),
        pmap({"a": pmap({"b": pmap({"c": None})})}),
        pmap({"a": pset([1, 2])}),
        pmap({1: 1}) | {2: 2},
        pmap({1: 1}).evolver().set(5, b"x").persistent(),
    ):
        assert not gc.is_tracked(a), a


def test_collections_of_containers_are_tracked() -> None:
    class Sub(type(pmap())):  # type: ignore[misc]
        pass

    for a in (
        pmap({"a": []}),
        pmap({"a": 1}).set("b", {}),
        pmap({"a": pmap({"b": []})}),
        pset([Node()]),
        s(len),
        pmap({"a": {}}),
        pmap().evolver().set(5, []).persistent(),
        pmap({i: i for i in range(1000)}).set(7, []),
        Sub({"a": 1}),
    ):
        assert gc.is_tracked(a), a


def test_an_untracked_dict_as_a_value_counts_as_a_container() -> None:
    value: dict[str, Any] = {}
    gc.collect()
    a = pmap({"a": value})
    node = Node()
    ref = weakref.ref(node)
    value["loop"] = (a, node)
    node.to = a
    del a, value, node
    gc.collect()
    assert ref() is None


def by_map(n: Node) -> Any:
    return pmap({"a": n})


def by_key(n: Node) -> Any:
    return pmap({n: 1})


def by_set(n: Node) -> Any:
    return s(n)


def by_large(n: Node) -> Any:
    return pmap({i: i for i in range(2000)}).set(77, n)


def by_nested(n: Node) -> Any:
    return pmap({"a": pmap({"b": (s(n),)})})


def by_union(n: Node) -> Any:
    return pmap({i: i for i in range(100)}) | pmap({500: n})


def by_keys(n: Node) -> Any:
    return pmap({n: 1}).keys()


def by_items(n: Node) -> Any:
    return pmap({1: n}).items()


def by_values(n: Node) -> Any:
    return pmap({1: n}).values()


def by_iterator(n: Node) -> Any:
    it = iter(pmap({i: (i, n) for i in range(100)}).items())
    next(it)
    return it


def by_started_key_iterator(n: Node) -> Any:
    it = iter(pset([*range(100), n]))
    next(it)
    return it


def by_evolver(n: Node) -> Any:
    e = pmap().evolver()
    e["a"] = n
    return e


def by_large_evolver(n: Node) -> Any:
    e = pmap({i: i for i in range(2000)}).evolver()
    for i in range(0, 2000, 3):
        e[i] = n
    return e


def by_persistent_evolver(n: Node) -> Any:
    e = pmap({i: [] for i in range(500)}).evolver()
    e[3] = n
    e.persistent()
    for i in range(600):
        e[i] = (n,)
    return e


def by_set_evolver(n: Node) -> Any:
    e = pset(range(100)).evolver()
    e.add(n)
    return e


def by_what_an_evolver_made(n: Node) -> Any:
    e = pmap({i: i for i in range(300)}).evolver()
    e[3] = n
    return e.persistent()


def by_subclass(n: Node) -> Any:
    class Sub(type(pmap())):  # type: ignore[misc]
        pass

    a = Sub({"a": 1})
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
    e = pmap().evolver()
    ref = weakref.ref(e)
    e["me"] = e
    e["list"] = [e]
    del e
    gc.collect()
    assert ref() is None


def test_collections_during_a_collection() -> None:
    """A finalizer may build maps while the collector runs."""
    made = []

    class Final:
        def __del__(self) -> None:
            made.append(pmap({i: [i] for i in range(100)}).set("x", self.to))  # type: ignore[attr-defined]

    for _ in range(20):
        f = Final()
        f.to = pmap({"f": f})  # type: ignore[attr-defined]
    del f
    gc.collect()
    assert len(made) == 20
    made.clear()
    gc.collect()


def test_building_with_an_eager_collector() -> None:
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        a = pmap({i: [i] for i in range(300)})
        e = a.evolver()
        for i in range(600):
            e[i] = (i, [i])
        for i in range(0, 600, 2):
            del e[i]
        b = e.persistent() | {i: {} for i in range(50)}
        assert dict(b.items()) == {
            **{i: (i, [i]) for i in range(1, 600, 2)},
            **{i: {} for i in range(50)},
        }
        assert a == {i: [i] for i in range(300)}
    finally:
        gc.set_threshold(*before)


def test_the_collector_finds_no_node_of_atoms() -> None:
    gc.collect()
    before = len(gc.get_objects())
    keep = [pmap({i: i for i in range(1000)}) for _ in range(20)]
    gc.collect()
    assert len(gc.get_objects()) - before <= 2  # the list
    assert len(keep) == 20
