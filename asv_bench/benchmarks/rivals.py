"""The rivals, each as a small table of functions with one meaning.

A rival that is not installed raises `NotImplementedError` in `setup`, which asv shows as n/a.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SIZES = (10, 1000, 100_000)


@dataclass(frozen=True)
class MapRival:
    """What a map of one library can do."""

    build: Callable[[Mapping[Any, Any]], Any]
    set: Callable[[Any, Any, Any], Any]
    remove: Callable[[Any, Any], Any]
    update: Callable[[Any, Mapping[Any, Any]], Any]


@dataclass(frozen=True)
class SetRival:
    """What a set of one library can do."""

    build: Callable[[Iterable[Any]], Any]
    add: Callable[[Any, Any], Any]
    remove: Callable[[Any, Any], Any]


def _dict_set(d: dict[Any, Any], key: Any, value: Any) -> dict[Any, Any]:
    copy = d.copy()
    copy[key] = value
    return copy


def _dict_remove(d: dict[Any, Any], key: Any) -> dict[Any, Any]:
    copy = d.copy()
    del copy[key]
    return copy


def _need(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise NotImplementedError(f"{name} is not installed") from error


def map_rival(name: str) -> MapRival:
    """Functions of the map of one library."""
    if name == "dict":
        return MapRival(dict, _dict_set, _dict_remove, lambda d, other: {**d, **other})
    if name == "immutables":
        cls = _need("immutables").Map
        return MapRival(cls, cls.set, cls.delete, cls.update)
    if name == "rpds":
        cls = _need("rpds").HashTrieMap
        return MapRival(cls, cls.insert, cls.remove, cls.update)
    if name in ("pstructs", "pyrsistent"):
        library = _need(name)
        cls = library.PMap if name == "pstructs" else type(library.pmap())
        return MapRival(library.pmap, cls.set, cls.remove, cls.update)
    raise NotImplementedError(name)


def set_rival(name: str) -> SetRival:
    """Functions of the set of one library."""
    if name == "frozenset":
        return SetRival(frozenset, lambda f, x: f | {x}, lambda f, x: f - {x})
    if name == "rpds":
        cls = _need("rpds").HashTrieSet
        return SetRival(cls, cls.insert, cls.remove)
    if name in ("pstructs", "pyrsistent"):
        library = _need(name)
        cls = type(library.pset())
        return SetRival(library.pset, cls.add, cls.remove)
    raise NotImplementedError(name)


@dataclass(frozen=True)
class VectorRival:
    """What a vector of one library can do."""

    build: Callable[[Iterable[Any]], Any]
    append: Callable[[Any, Any], Any]
    set: Callable[[Any, int, Any], Any]
    pop: Callable[[Any], Any]
    delete: Callable[[Any, int], Any]
    insert: Callable[[Any, int, Any], Any]


def vector_rival(name: str) -> VectorRival:
    """Functions of the vector of one library."""
    if name == "tuple":
        return VectorRival(
            tuple,
            lambda t, x: (*t, x),
            lambda t, i, x: (*t[:i], x, *t[i + 1 :]),
            lambda t: t[:-1],
            lambda t, i: t[:i] + t[i + 1 :],
            lambda t, i, x: (*t[:i], x, *t[i:]),
        )
    if name == "pyrsistent":
        library = _need(name)
        cls = type(library.pvector())
        return VectorRival(
            library.pvector,
            cls.append,
            cls.set,
            lambda a: a.delete(len(a) - 1),
            cls.delete,
            lambda a, i, x: a[:i].append(x) + a[i:],
        )
    if name == "pstructs":
        cls = _need(name).PVector
        return VectorRival(cls, cls.append, cls.set, cls.pop, cls.delete, cls.insert)
    raise NotImplementedError(name)


@dataclass(frozen=True)
class ListRival:
    """What a linked list of one library can do, besides `rest`."""

    build: Callable[[Iterable[Any]], Any]
    cons: Callable[[Any, Any], Any]


def list_rival(name: str) -> ListRival:
    """Functions of the linked list of one library."""
    library = _need(name)
    if name == "rpds":
        return ListRival(library.List, library.List.push_front)
    return ListRival(library.plist, library.PList.cons)


@dataclass(frozen=True)
class DequeRival:
    """What a queue of one library can do."""

    build: Callable[[Iterable[Any]], Any]
    append: Callable[[Any, Any], Any]
    popleft: Callable[[Any], Any]


def deque_rival(name: str) -> DequeRival:
    """Functions of the queue of one library."""
    library = _need(name)
    if name == "rpds":
        return DequeRival(library.Queue, library.Queue.enqueue, library.Queue.dequeue)
    return DequeRival(library.pdeque, library.PDeque.append, library.PDeque.popleft)


def bag_rival(name: str) -> Callable[[Iterable[Any]], Any]:
    """Return what builds a bag of one library."""
    build: Callable[[Iterable[Any]], Any] = _need(name).pbag
    return build


def words(n: int, seed: int = 1) -> list[str]:
    """`n` different strings of ordinary length, the same in every run."""
    rng = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < n:
        found[f"{rng.choice('abcdefgh')}{rng.getrandbits(40):x}"] = None
    return list(found)


def sample(keys: list[Any], n: int = 1000, seed: int = 2) -> list[Any]:
    """`n` keys in random order, with repetition when there are fewer."""
    return random.Random(seed).choices(keys, k=n)
