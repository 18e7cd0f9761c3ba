"""Every operation of the sorted collections, for leak and allocation tests.

They are part of `collection_operations`: each takes its `Case` and works on `case.sorted`.
"""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from typing import Any

import pstructs
from pstructs import _core, pmap, pset, psortedmap, psortedset, stable_hash


class SortedCase:
    """Ready-made sorted maps and sets, in natural order and by a key function."""

    def __init__(self, content: dict[Any, Any], other: dict[Any, Any]) -> None:
        self.content, self.other_content = dict(content), dict(other)
        self.keys = sorted(content)
        self.map: Any = psortedmap(content)
        self.same: Any = psortedmap(content)
        self.other: Any = psortedmap(other)
        self.related: Any = self.map.set(self.keys[0], "changed").remove(self.keys[1])
        self.keyed: Any = psortedmap(content, key=identity)
        self.set: Any = psortedset(content)
        self.other_set: Any = psortedset(other)
        self.middle = self.keys[len(self.keys) // 2]
        self.pickled = pickle.dumps((self.map, self.set))

    def check_unchanged(self) -> None:
        """The collections are what they were made as."""
        for a in (self.map, self.same, self.related, self.other, self.keyed, self.set):
            _core._check(a)
        assert self.map == self.content == self.same == self.keyed
        assert list(self.map) == self.keys == list(self.set) == list(self.keyed)
        assert self.other == self.other_content


# A builtin, so that no Python frame stands between us and the allocator.
identity = operator.itemgetter(slice(None))


def evolve(c: Any) -> Any:
    e = c.sorted.map.evolver()
    for i, k in enumerate(c.keys):
        if i % 3:
            e[k] = i
        else:
            del e[k]
    made = e.persistent()
    for k in c.kind.other:
        e.set(k, c.value)
    e.pop_first()
    e.pop_last()
    return made, e.persistent()


def evolve_set(c: Any) -> Any:
    e = c.sorted.set.evolver()
    e.update(c.builtin)
    e.remove(c.keys[3])
    e.add(c.missing)
    return e.persistent()


def walk(a: Any) -> None:
    for _ in a:
        pass


def both(old: Any, new: Any) -> Any:
    return old, new


def theirs(key: Any, base: Any, x: Any, y: Any) -> Any:
    return y


def remove_all(c: Any) -> None:
    a = c.sorted.map
    for k in c.keys:
        a = a.remove(k)
    assert not a


def raises(error: type[Exception], do: Callable[..., Any], *args: Any) -> None:
    try:
        do(*args)
    except error:
        return
    raise AssertionError(f"no {error.__name__}")


SORTED: dict[str, Callable[[Any], Any]] = {
    "sorted_build": lambda c: psortedmap(c.dict),
    "sorted_build_reversed": lambda c: psortedmap(list(reversed(c.pairs))),
    "sorted_build_of_repeated": lambda c: psortedmap(c.pairs + c.pairs),
    "sorted_build_keyed": lambda c: psortedmap(c.dict, key=identity),
    "sorted_build_set": lambda c: psortedset(c.builtin),
    "sorted_get": lambda c: (c.sorted.map[c.keys[3]], c.sorted.map.get(c.missing)),
    "sorted_get_keyed": lambda c: (c.sorted.keyed[c.keys[3]], c.missing in c.sorted.keyed),
    "sorted_set_new": lambda c: c.sorted.map.set(c.missing, 1),
    "sorted_set_old": lambda c: c.sorted.map.set(c.keys[2], "new"),
    "sorted_set_to_a_container": lambda c: c.sorted.map.set(c.keys[2], [c.value]),
    "sorted_set_keyed": lambda c: c.sorted.keyed.set(c.missing, 1),
    "sorted_remove": lambda c: [c.sorted.map.remove(k) for k in c.keys],
    "sorted_remove_all": remove_all,
    "sorted_discard": lambda c: c.sorted.map.discard(c.missing),
    "sorted_update": lambda c: c.sorted.map.update(c.other_dict, c.sorted.related),
    "sorted_update_few": lambda c: c.sorted.map.update({c.missing: 1, c.keys[0]: 2}),
    "sorted_update_with": lambda c: c.sorted.map.update_with(both, c.other_dict),
    "sorted_or": lambda c: (c.sorted.map | c.sorted.other, c.other_dict | c.sorted.map),
    "sorted_evolve": evolve,
    "sorted_evolve_set": evolve_set,
    "sorted_equal": lambda c: (
        c.sorted.map == c.sorted.same,
        c.sorted.map == c.sorted.related,
        c.sorted.map == c.dict,
        c.sorted.map == c.map,
        c.sorted.map == c.sorted.keyed,
    ),
    "sorted_iterate": lambda c: (
        walk(c.sorted.map),
        walk(reversed(c.sorted.map)),
        walk(c.sorted.map.items()),
        next(iter(c.sorted.map.values())),
    ),
    "sorted_range": lambda c: (
        walk(c.sorted.map.irange(c.keys[2], c.keys[9], reverse=True)),
        c.sorted.map.between(c.keys[2], c.keys[9]),
        c.sorted.map.slice(3, -3),
        c.sorted.map.split(c.sorted.middle),
        c.sorted.map.pop_first(),
        c.sorted.map.pop_last(),
    ),
    "sorted_join": lambda c: operator.or_(*c.sorted.map.split(c.sorted.middle)),
    "sorted_positions": lambda c: (
        c.sorted.map.nth(3),
        c.sorted.map.floor(c.missing, None),
        c.sorted.map.higher(c.missing, None),
        c.sorted.set[2:20:3],
        c.sorted.map.keys()[::2],
        c.sorted.map.items()[3],
    ),
    "sorted_views": lambda c: (
        c.sorted.map.keys() & c.builtin,
        c.sorted.map.keys() | c.sorted.other.keys(),
        c.sorted.map.keys() <= c.builtin,
        (c.keys[0], c.value) in c.sorted.map.items(),
        c.missing in c.sorted.map.values(),
    ),
    "sorted_repr": lambda c: (repr(c.sorted.map), repr(c.sorted.set), repr(c.sorted.map.keys())),
    "sorted_algebra": lambda c: (
        c.sorted.set | c.sorted.other_set,
        c.sorted.set & c.sorted.other_set,
        c.sorted.set - c.sorted.other_set,
        c.sorted.set ^ c.sorted.other_set,
        c.builtin - c.sorted.set,
    ),
    "sorted_compare": lambda c: (
        c.sorted.set <= c.sorted.other_set,
        c.sorted.set == c.builtin,
        c.sorted.set > c.sorted.set.remove(c.keys[0]),
        c.sorted.set.isdisjoint(c.sorted.other_set),
        c.sorted.set.issuperset(c.keys),
        pset(c.keys) == c.sorted.set,
    ),
    "sorted_diff": lambda c: pstructs.diff(c.sorted.map, c.sorted.related),
    "sorted_patch": lambda c: pstructs.patch(
        c.sorted.map, pstructs.diff(c.sorted.map, c.sorted.other)
    ),
    "sorted_merge": lambda c: pstructs.merge(
        c.sorted.map, c.sorted.related, c.sorted.map.set(c.missing, 1)
    ),
    "sorted_merge_conflict": lambda c: pstructs.merge(
        c.sorted.map, c.sorted.related, c.sorted.map.set(c.keys[0], 1), theirs
    ),
    "sorted_stable_hash": lambda c: stable_hash(psortedset(range(20))),
    "sorted_reduce": lambda c: (c.sorted.map.__reduce__(), c.sorted.keyed.__reduce__()),
}
SORTED_HASHABLE: dict[str, Callable[[Any], Any]] = {
    "sorted_hash": lambda c: (hash(psortedmap(c.dict)), hash(psortedset(c.keys))),
    "sorted_as_a_key": lambda c: pmap({c.sorted.map: 1})[c.map],
    "sorted_items": lambda c: c.sorted.map.items() - c.sorted.related.items(),
}
SORTED_THROUGH_PYTHON: dict[str, Callable[[Any], Any]] = {
    "sorted_pickle": lambda c: pickle.loads(c.sorted.pickled),
    "sorted_deepcopy": lambda c: copy.deepcopy(c.sorted.map),
    "sorted_type_error": lambda c: raises(TypeError, c.sorted.map.set, None, 1),
    "sorted_mixed_build": lambda c: raises(TypeError, psortedset, [*c.keys, None]),
    "sorted_nan": lambda c: raises(ValueError, psortedset, [1.0, float("nan")]),
    "sorted_unhashable": lambda c: raises(TypeError, psortedset, [[]]),
    "sorted_key_error": lambda c: raises(KeyError, operator.getitem, c.sorted.map, c.missing),
}
