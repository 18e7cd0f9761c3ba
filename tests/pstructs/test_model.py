"""Hypothesis drives maps, sets and their evolvers against dict and set.

After each step the invariants of the tree are checked, and the versions that were kept are
still what they were. Run it in the `PS_SMALL` build too: there a few entries reach the second
hash and collision nodes.
"""

from __future__ import annotations

import operator
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pstructs import _core, pmap, pset
from support.wilful_keys import Key

KEYS = st.one_of(
    st.integers(-5, 60),
    st.sampled_from([f"k{i}" for i in range(40)]),
    st.integers(0, 12).map(lambda n: Key(n, n % 3)),
    st.booleans(),
    st.none(),
    st.tuples(st.integers(0, 3), st.text(max_size=1)),
)
VALUES = st.one_of(st.integers(), st.builds(list), st.tuples(st.integers(0, 3)), st.none())
DICTS = st.dictionaries(KEYS, VALUES, max_size=30)


class MapMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.map: Any = pmap()
        self.model: dict[Any, Any] = {}
        self.kept: list[tuple[Any, dict[Any, Any]]] = []

    @rule(key=KEYS, value=VALUES)
    def set(self, key: Any, value: Any) -> None:
        self.map = self.map.set(key, value)
        self.model[key] = value

    @rule(key=KEYS)
    def discard(self, key: Any) -> None:
        self.map = self.map.discard(key)
        self.model.pop(key, None)

    @rule(data=st.data())
    def remove_one_that_is_there(self, data: st.DataObject) -> None:
        if self.model:
            key = data.draw(st.sampled_from(list(self.model)))
            self.map = self.map.remove(key)
            del self.model[key]

    @rule(other=DICTS)
    def update(self, other: dict[Any, Any]) -> None:
        self.map = self.map.update(other)
        self.model.update(other)

    @rule(other=DICTS)
    def update_with_a_map(self, other: dict[Any, Any]) -> None:
        self.map = self.map | pmap(other)
        self.model.update(other)

    @rule(keys=st.lists(KEYS, max_size=20), value=VALUES)
    def evolve(self, keys: list[Any], value: Any) -> None:
        e = self.map.evolver()
        for i, key in enumerate(keys):
            if i % 3 == 2:
                e.discard(key)
                self.model.pop(key, None)
            else:
                e[key] = value
                self.model[key] = value
            if i % 7 == 5:
                self.kept.append((e.persistent(), dict(self.model)))
            assert len(e) == len(self.model)
        _core._check(e)
        self.map = e.persistent()

    @rule()
    def rebuild(self) -> None:
        again = pmap(dict(reversed(list(self.model.items()))))
        assert again == self.map
        # Equal contents, equal shape; only within a collision node is the order free, and
        # in the small build any key may be in one.
        if "small" not in _core.BUILD:
            assert [k for k in again if not isinstance(k, Key)] == [
                k for k in self.map if not isinstance(k, Key)
            ]

    @rule()
    def keep(self) -> None:
        self.kept.append((self.map, dict(self.model)))

    @rule(key=KEYS)
    def lookup(self, key: Any) -> None:
        absent = object()
        assert self.map.get(key, absent) == self.model.get(key, absent) or (
            key not in self.model and self.map.get(key, absent) is absent
        )
        assert (key in self.map) == (key in self.model)

    @invariant()
    def is_the_model(self) -> None:
        _core._check(self.map)
        assert len(self.map) == len(self.model)
        assert self.map == self.model
        assert dict(self.map.items()) == self.model
        assert len(list(self.map.keys())) == len(self.model)

    @invariant()
    def old_versions_are_unchanged(self) -> None:
        del self.kept[:-4]
        for old, model in self.kept:
            assert old == model


class SetMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.set: Any = pset()
        self.model: set[Any] = set()
        self.kept: list[tuple[Any, set[Any]]] = []

    @rule(element=KEYS)
    def add(self, element: Any) -> None:
        self.set = self.set.add(element)
        self.model.add(element)

    @rule(element=KEYS)
    def discard(self, element: Any) -> None:
        self.set = self.set.discard(element)
        self.model.discard(element)

    @rule(
        other=st.frozensets(KEYS, max_size=25),
        op=st.sampled_from([operator.or_, operator.and_, operator.sub, operator.xor]),
        own=st.booleans(),
    )
    def combine(self, other: frozenset[Any], op: Any, own: bool) -> None:
        before = self.set
        self.kept.append((before, set(self.model)))
        self.set = op(self.set, pset(other) if own else other)
        self.model = op(self.model, other)

    @rule(data=st.data())
    def combine_with_an_old_version(self, data: st.DataObject) -> None:
        if self.kept:
            old, model = data.draw(st.sampled_from(self.kept))
            op = data.draw(
                st.sampled_from([operator.or_, operator.and_, operator.sub, operator.xor])
            )
            self.set = op(self.set, old)
            self.model = op(self.model, model)

    @rule(elements=st.lists(KEYS, max_size=20))
    def evolve(self, elements: list[Any]) -> None:
        e = self.set.evolver()
        for i, element in enumerate(elements):
            if i % 3 == 2:
                e.discard(element)
                self.model.discard(element)
            else:
                e.add(element)
                self.model.add(element)
        self.set = e.persistent()

    @rule(other=st.frozensets(KEYS, max_size=25))
    def compare(self, other: frozenset[Any]) -> None:
        for right in (other, pset(other)):
            assert (self.set <= right) == (self.model <= other)
            assert (self.set > right) == (self.model > other)
            assert (self.set == right) == (self.model == other)
            assert self.set.isdisjoint(right) == self.model.isdisjoint(other)

    @invariant()
    def is_the_model(self) -> None:
        _core._check(self.set)
        assert len(self.set) == len(self.model)
        assert self.set == self.model
        assert set(self.set) == self.model
        assert hash(self.set) == hash(frozenset(self.model))

    @invariant()
    def old_versions_are_unchanged(self) -> None:
        del self.kept[:-4]
        for old, model in self.kept:
            assert old == model


TestMap = MapMachine.TestCase
TestMap.settings = settings(stateful_step_count=25)
TestSet = SetMachine.TestCase
TestSet.settings = settings(stateful_step_count=25)
