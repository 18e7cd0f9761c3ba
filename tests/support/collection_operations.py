"""Every operation of the collections, by kind and name, for leak and allocation tests.

An operation takes a `Case` and does one thing with it. All of its material is made beforehand,
so that what it allocates is its own.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pstructs
from pstructs import m, partition, pmap, pset, pvector, s, stable_hash, v
from support.linear_operations import (
    LINEAR,
    LINEAR_HASHABLE,
    LINEAR_THROUGH_PYTHON,
    LinearCase,
)
from support.sorted_operations import SORTED, SORTED_HASHABLE, SORTED_THROUGH_PYTHON, SortedCase
from support.wilful_keys import Key, colliding


class Atoms:
    """Keys and values that the collector does not know: plain nodes."""

    keys: list[Any] = [f"key {i}" for i in range(40)]
    other: list[Any] = [f"key {i}" for i in range(30, 70)]
    missing: Any = "missing"
    value: Any = "value"
    hashable = True


class Containers:
    """Values that need GC nodes."""

    keys: list[Any] = [(i, str(i)) for i in range(40)]
    other: list[Any] = [(i, str(i)) for i in range(30, 70)]
    missing: Any = (-1,)
    value: Any = ["value"]
    hashable = False


class Collisions:
    """Keys of one hash, and some around them."""

    keys: list[Any] = colliding(8) + [Key(f"k{i}", i * 7919) for i in range(8)]
    other: list[Any] = colliding(8, start=4) + [Key(f"k{i}", i * 7919) for i in range(4, 12)]
    missing: Any = Key("missing", 17)
    value: Any = 1
    hashable = True


class Case:
    """Ready-made maps and sets over one kind of keys and values."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self.keys, self.missing, self.value = kind.keys, kind.missing, kind.value
        self.dict = dict.fromkeys(kind.keys, kind.value)
        self.pairs = list(self.dict.items())
        self.other_dict = {k: (i, kind.value) for i, k in enumerate(kind.other)}
        self.map: Any = pmap(self.dict)
        self.same: Any = pmap(dict(reversed(self.pairs)))
        self.related: Any = self.map.set(self.keys[0], "changed").remove(self.keys[1])
        self.other: Any = pmap(self.other_dict)
        self.set: Any = pset(self.keys)
        self.other_set: Any = pset(kind.other)
        self.builtin = set(kind.other)
        self.elements = kind.keys * 40
        self.vector: Any = pvector(self.elements)
        self.cut: Any = self.vector[77:-3]
        self.linear = LinearCase(self.keys)
        self.pickled = pickle.dumps(self.map)
        self.sorted = None if kind is Collisions else SortedCase(self.dict, self.other_dict)
        self.state = (dict(self.dict), set(self.keys))

    def check_unchanged(self) -> None:
        """The collections are what they were made as."""
        from pstructs import _core

        for a in (self.map, self.same, self.related, self.other, self.set, self.other_set):
            _core._check(a)
        expected, elements = self.state
        assert self.map == expected == self.same and self.set == elements
        assert self.other == self.other_dict
        self.linear.check_unchanged()
        _core._check(self.vector)
        assert self.vector == self.elements and self.cut == self.elements[77:-3]
        if self.sorted is not None:
            self.sorted.check_unchanged()


def evolve(c: Case) -> Any:
    e = c.map.evolver()
    for i, k in enumerate(c.keys):
        if i % 3:
            e[k] = i
        else:
            del e[k]
    made = e.persistent()
    for k in c.kind.other:
        e.set(k, c.value)
    e.discard(c.missing)
    return made, e.persistent()


def evolve_set(c: Case) -> Any:
    e = c.set.evolver()
    e.update(c.builtin)
    e.remove(c.keys[3])
    made = e.persistent()
    e.add(c.missing)
    return made, e.persistent()


def evolve_vector(c: Case) -> Any:
    e = c.vector.evolver()
    for i, k in enumerate(c.keys):
        e[i * 37 % len(c.elements)] = k
        e.append(c.value)
    del e[5], e[7:20]
    made = e.persistent()
    e.insert(100, c.missing).extend(c.keys).remove(c.missing)
    return made, e.persistent()


def both(old: Any, new: Any) -> tuple[Any, Any]:
    # No lambda at its place of use: where making a function fails, CPython 3.12 and 3.13 crash.
    return old, new


def walk(a: Any) -> None:
    for _ in a:
        pass


SAFE: dict[str, Callable[[Case], Any]] = {
    "pmap_dict": lambda c: pmap(c.dict),
    "pmap_pairs": lambda c: pmap(c.pairs),
    "pmap_iterator": lambda c: pmap(iter(c.pairs)),
    "pmap_of_a_repeated_key": lambda c: pmap(c.pairs + c.pairs),
    "pmap_of_one": lambda c: pmap([c.pairs[0]]),
    "m": lambda c: m(a=1, b=2, c=c.value),
    "get": lambda c: c.map.get(c.keys[3]),
    "get_missing": lambda c: c.map.get(c.missing),
    "getitem": lambda c: c.map[c.keys[5]],
    "contains": lambda c: c.missing in c.map,
    "set_new": lambda c: c.map.set(c.missing, 1),
    "set_old": lambda c: c.map.set(c.keys[2], "new"),
    "set_to_a_container": lambda c: c.map.set(c.keys[2], [c.value]),
    "set_same": lambda c: c.map.set(c.keys[2], c.value),
    "remove": lambda c: [c.map.remove(k) for k in c.keys],
    "remove_all": lambda c: remove_all(c),
    "discard": lambda c: c.map.discard(c.missing),
    "update_dict": lambda c: c.map.update(c.other_dict),
    "update_few": lambda c: c.map.update({c.missing: 1, c.keys[0]: 2}),
    "update_map": lambda c: c.map.update(c.other, c.related),
    "update_with": lambda c: c.map.update_with(both, c.other_dict),
    "or": lambda c: c.map | c.other,
    "or_reflected": lambda c: c.other_dict | c.map,
    "evolve": evolve,
    "evolve_set": evolve_set,
    "equal": lambda c: c.map == c.same,
    "unequal": lambda c: c.map == c.related,
    "equal_dict": lambda c: c.map == c.dict,
    "iterate": lambda c: walk(c.map),
    "iterate_items": lambda c: walk(c.map.items()),
    "iterate_values": lambda c: walk(c.map.values()),
    "half_an_iteration": lambda c: next(iter(c.map.items())),
    "list_of_items": lambda c: list(c.map.items()),
    "in_values": lambda c: c.missing in c.map.values(),
    "in_items": lambda c: (c.keys[0], c.value) in c.map.items(),
    "keys_and": lambda c: c.map.keys() & c.other.keys(),
    "keys_or_list": lambda c: c.map.keys() | c.keys,
    "keys_subset": lambda c: c.map.keys() <= c.builtin,
    "items_subset": lambda c: c.map.items() <= c.same.items(),
    "repr": lambda c: (repr(c.map), repr(c.set), repr(c.map.items())),
    "partition": lambda c: [partition(c.map, i, 3) for i in range(3)],
    "diff": lambda c: pstructs.diff(c.map, c.related),
    "patch": lambda c: pstructs.patch(c.map, pstructs.diff(c.map, c.other)),
    "merge": lambda c: pstructs.merge(c.map, c.related, c.map.set(c.missing, 1)),
    "pset_list": lambda c: pset(c.keys),
    "pset_set": lambda c: pset(c.builtin),
    "pset_of_a_map": lambda c: pset(c.map),
    "s": lambda c: s(*c.keys),
    "set_add": lambda c: c.set.add(c.missing),
    "set_remove": lambda c: [c.set.remove(k) for k in c.keys],
    "set_or": lambda c: c.set | c.other_set,
    "set_and": lambda c: c.set & c.other_set,
    "set_sub": lambda c: c.set - c.other_set,
    "set_xor": lambda c: c.set ^ c.other_set,
    "set_or_builtin": lambda c: c.set | c.builtin,
    "builtin_sub_set": lambda c: c.builtin - c.set,
    "set_compare": lambda c: (
        c.set <= c.other_set,
        c.set == c.builtin,
        c.set > c.set.remove(c.keys[0]),
    ),
    "set_disjoint": lambda c: c.set.isdisjoint(c.other_set),
    "set_methods": lambda c: c.set.union(c.keys, c.builtin).intersection(c.builtin).difference([]),
    "stable_hash_of_a_set": lambda c: stable_hash(pset(range(20))),
    "pvector": lambda c: (pvector(c.elements), pvector(iter(c.keys)), v(*c.keys)),
    "pvector_numbers": lambda c: pvector(b"0123456789" * 20),
    "vector_append": lambda c: c.vector.append(c.value),
    "vector_appends": lambda c: repeat(c.vector, 70, lambda a: a.append(c.value)),
    "vector_appendlefts": lambda c: repeat(c.vector, 70, lambda a: a.appendleft(c.value)),
    "vector_pops": lambda c: repeat(c.cut, 70, lambda a: a.pop()),
    "vector_poplefts": lambda c: repeat(c.cut, 70, lambda a: a.popleft()),
    "vector_extend": lambda c: (c.vector.extend(c.keys), c.vector.extendleft(c.keys)),
    "vector_set": lambda c: (c.vector.set(0, 1), c.vector.set(500, [c.value])),
    "vector_mset": lambda c: c.vector.mset(0, c.value, 300, [1], 301, 2),
    "vector_join": lambda c: (c.vector + c.cut, c.cut + c.vector, c.cut * 5),
    "vector_join_small": lambda c: (c.vector[:40] + c.cut, c.cut + c.vector[3:40]),
    "vector_slice": lambda c: (c.vector[100:-100], c.vector[::3], c.vector[500:510]),
    "vector_insert": lambda c: c.vector.insert(333, c.value),
    "vector_delete": lambda c: (c.vector.delete(333), c.cut.delete(3, 500)),
    "vector_remove": lambda c: c.vector.remove(c.keys[-1]),
    "vector_read": lambda c: (c.vector[77], c.cut[77], c.vector.tolist(), c.vector._totuple()),
    "vector_search": lambda c: (c.missing in c.vector, c.vector.count(c.keys[3])),
    "vector_iterate": lambda c: (walk(c.vector), walk(reversed(c.cut))),
    "vector_compare": lambda c: (c.vector == c.elements, c.cut == c.vector[77:-3]),
    "vector_repr": lambda c: repr(c.cut[:50]),
    "vector_reduce": lambda c: c.vector.__reduce__(),
    "evolve_vector": evolve_vector,
    "pickle_reduce": lambda c: (c.map.__reduce__(), c.set.__reduce__()),
}
HASHABLE: dict[str, Callable[[Case], Any]] = {
    "hash": lambda c: hash(pmap(c.dict)),
    "hash_set": lambda c: hash(pset(c.keys)),
    "items_sub": lambda c: c.map.items() - c.related.items(),
    "items_xor": lambda c: c.map.items() ^ c.other.items(),
    "items_or": lambda c: c.map.items() | c.related.items(),
    "vector_hash": lambda c: hash(pvector(c.keys)),
    "a_map_as_a_key": lambda c: pmap({c.map: 1})[c.same],
}
# Python's own code between us and the allocator: for leaks only.
THROUGH_PYTHON: dict[str, Callable[[Case], Any]] = {
    "pickle": lambda c: pickle.loads(c.pickled),
    "deepcopy": lambda c: copy.deepcopy(c.map),
    "rich_repr": lambda c: (list(c.map.__rich_repr__()), list(c.set.__rich_repr__())),
    "type_error": lambda c: fails(TypeError, lambda: pmap(5)),  # type: ignore[call-overload]
    "bad_pair": lambda c: fails(ValueError, lambda: pmap([(1, 2), (1, 2, 3)])),  # type: ignore[list-item]
    "unhashable_late": lambda c: fails(TypeError, lambda: pmap([*c.pairs, ([], 1)])),
    "unhashable_value": lambda c: fails(TypeError, lambda: hash(c.map.set(1, []))),
    "key_error": lambda c: fails(KeyError, lambda: c.map[c.missing]),
    "remove_error": lambda c: fails(KeyError, lambda: c.map.remove(c.missing)),
    "attribute": lambda c: hasattr(c.map, "no_such_attribute"),
    "vector_errors": lambda c: (
        fails(IndexError, lambda: c.vector[-5000]),
        fails(IndexError, lambda: c.vector.set(5000, 1)),
        fails(ValueError, lambda: c.vector.remove(c.missing)),
        fails(ZeroDivisionError, lambda: pvector(1 // (i - 70) for i in range(100))),
        fails(ZeroDivisionError, lambda: c.vector.extend(1 // (i - 70) for i in range(100))),
    ),
    "vector_deepcopy": lambda c: copy.deepcopy(c.vector),
    "order": lambda c: fails(TypeError, lambda: c.map < c.map),
}

SAFE |= LINEAR
HASHABLE |= LINEAR_HASHABLE
THROUGH_PYTHON |= LINEAR_THROUGH_PYTHON


def remove_all(c: Case) -> None:
    a = c.map
    for k in c.keys:
        a = a.remove(k)
    assert not a


def repeat(a: Any, times: int, do: Callable[[Any], Any]) -> Any:
    for _ in range(times):
        a = do(a)
    return a


def fails(error: type[Exception], f: Callable[[], Any]) -> None:
    try:
        f()
    except error:
        return
    raise AssertionError(f"no {error.__name__}")


SAFE_SORTED = SAFE | SORTED
HASHABLE_SORTED = HASHABLE | SORTED_HASHABLE
KINDS: dict[str, Any] = {"atoms": Atoms, "containers": Containers, "collisions": Collisions}
OPERATIONS: dict[tuple[str, str], Callable[[Case], Any]] = {
    (kind, name): do
    for kind, cls in KINDS.items()
    for name, do in (
        SAFE_SORTED
        | (HASHABLE_SORTED if cls.hashable else {})
        | THROUGH_PYTHON
        | SORTED_THROUGH_PYTHON
        if kind != "collisions"
        else SAFE | HASHABLE | {k: v for k, v in THROUGH_PYTHON.items() if k != "pickle"}
    ).items()
}
ALLOCATING: list[tuple[str, str]] = [
    k for k in OPERATIONS if k[1] not in THROUGH_PYTHON | SORTED_THROUGH_PYTHON
]
