"""Hypothesis drives sorted maps, sets and their evolvers against sortedcontainers and bisect.

Each machine draws one kind of keys: those whose words the tree compares (ints, floats, strings
with long common prefixes), those it compares as objects, and mixtures; with and without a key
function. After each step the invariants hold, and kept versions are what they were. In the
`PS_SMALL` build a few entries make trees of many levels.
"""

from __future__ import annotations

import bisect
import operator
from fractions import Fraction
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sortedcontainers import SortedDict

import pstructs
from pstructs import _core, pmap, pset, psortedmap, psortedset
from support.sorted_keys import Ordered

INTS = st.integers(-5, 60)
KINDS: dict[str, tuple[st.SearchStrategy[Any], Any]] = {
    "int": (INTS, None),
    "wide int": (st.one_of(INTS, st.sampled_from([2**62, 2**63, -(2**63), 2**64, 10**30])), None),
    "float": (st.integers(-40, 40).map(lambda i: i / 4), None),
    "number": (
        st.one_of(
            INTS,
            st.integers(-9, 9).map(lambda i: i / 2),
            st.booleans(),
            st.integers(0, 9).map(lambda i: Fraction(i, 3)),
            st.sampled_from([float("inf"), -float("inf"), -0.0, 2.0**53, 2**53 + 1]),
        ),
        None,
    ),
    "str": (INTS.map(str), None),
    "long str": (INTS.map(lambda i: f"a common prefix {i}"), None),
    "any str": (st.text(max_size=10), None),
    "tuple": (st.tuples(st.integers(0, 5), st.text(max_size=2)), None),
    "object": (INTS.map(Ordered), None),
    "reverse": (INTS, operator.neg),
    "by text": (INTS, str),
}
VALUES = st.one_of(st.integers(), st.builds(list), st.none())
OPERATORS = st.sampled_from([operator.or_, operator.and_, operator.sub, operator.xor])
MAX_EXAMPLES = 2 * settings.default.max_examples  # type: ignore[union-attr]


class MapMachine(RuleBasedStateMachine):
    @initialize(kind=st.sampled_from(sorted(KINDS)))
    def start(self, kind: str) -> None:
        self.keys, self.key = KINDS[kind]
        self.map: Any = psortedmap(key=self.key)
        self.model: Any = SortedDict(self.key)
        self.kept: list[tuple[Any, list[Any]]] = []

    def one(self, data: st.DataObject) -> Any:
        """A key: often one that is there."""
        if self.model and data.draw(st.booleans()):
            return data.draw(st.sampled_from(list(self.model)))
        return data.draw(self.keys)

    def many(self, data: st.DataObject) -> dict[Any, Any]:
        return data.draw(st.dictionaries(self.keys, VALUES, max_size=25))

    @rule(data=st.data(), value=VALUES)
    def set(self, data: st.DataObject, value: Any) -> None:
        key = self.one(data)
        self.map = self.map.set(key, value)
        self.model[key] = value

    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        key = self.one(data)
        self.map = self.map.discard(key)
        self.model.pop(key, None)

    @rule(data=st.data())
    def append_behind_the_last(self, data: st.DataObject) -> None:
        for key in sorted(self.many(data), key=self.key):
            if not self.map or self.map.bisect_right(key) == len(self.map):
                self.map = self.map.set(key, 0)
                self.model[key] = 0

    @rule(data=st.data(), own=st.booleans())
    def update(self, data: st.DataObject, own: bool) -> None:
        other = self.many(data)
        self.map = self.map.update(psortedmap(other, key=self.key) if own else other)
        self.model.update(other)

    @rule(data=st.data())
    def evolve(self, data: st.DataObject) -> None:
        e = self.map.evolver()
        for i, key in enumerate(data.draw(st.lists(self.keys, max_size=25))):
            if i % 4 == 3 and self.model:
                first = i % 8 == 3
                assert (e.pop_first() if first else e.pop_last()) == self.model.popitem(
                    0 if first else -1
                )
            elif i % 3 == 2:
                e.discard(key)
                self.model.pop(key, None)
            else:
                e[key] = i
                self.model[key] = i
            if i % 7 == 5:
                self.kept.append((e.persistent(), list(self.model.items())))
            assert len(e) == len(self.model)
            _core._check(e)
        self.map = e.persistent()

    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        key = self.one(data)
        below, rest = self.map.split(key)
        _core._check(below)
        _core._check(rest)
        at = self.model.bisect_left(key)
        assert list(below) == list(self.model)[:at]
        assert list(rest) == list(self.model)[at:]
        joined = rest | below
        _core._check(joined)
        assert joined == self.map and list(joined) == list(self.map)
        if data.draw(st.integers(0, 3)) == 0:
            self.map = rest
            for k in list(self.model)[:at]:
                del self.model[k]

    @rule(data=st.data(), inclusive=st.tuples(st.booleans(), st.booleans()), reverse=st.booleans())
    def ranges(self, data: st.DataObject, inclusive: tuple[bool, bool], reverse: bool) -> None:
        low, high = (data.draw(st.none() | self.keys) for _ in range(2))
        if low is not None and high is not None and self.order(high) < self.order(low):
            low, high = high, low
        expected = list(self.model.irange(low, high, inclusive, reverse))
        assert list(self.map.irange(low, high, inclusive, reverse)) == expected
        part = self.map.between(low, high, inclusive=inclusive)
        _core._check(part)
        assert list(part) == sorted(expected, key=self.key)

    def order(self, key: Any) -> Any:
        return key if self.key is None else self.key(key)

    @rule(data=st.data())
    def neighbours(self, data: st.DataObject) -> None:
        key = self.one(data)
        orders = [self.order(k) for k in self.model]
        left, right = (
            f(orders, self.order(key)) for f in (bisect.bisect_left, bisect.bisect_right)
        )
        items = list(self.model.items())
        assert self.map.bisect_left(key) == self.map.rank(key) == left
        assert self.map.bisect_right(key) == self.map.bisect(key) == right
        assert self.map.floor(key, None) == (items[right - 1] if right else None)
        assert self.map.lower(key, None) == (items[left - 1] if left else None)
        assert self.map.ceiling(key, None) == (items[left] if left < len(items) else None)
        assert self.map.higher(key, None) == (items[right] if right < len(items) else None)
        assert (key in self.map) == (left != right)
        assert self.map.get(key, "no") == self.model.get(key, "no")

    @rule(data=st.data())
    def positions(self, data: st.DataObject) -> None:
        items = list(self.model.items())
        start, stop = (data.draw(st.integers(-len(items) - 2, len(items) + 2)) for _ in range(2))
        part = self.map.slice(start, stop)
        _core._check(part)
        assert list(part.items()) == items[start:stop] == self.map.items()[start:stop]
        assert self.map.keys()[::-2] == list(self.model)[::-2]
        for i in range(-len(items), len(items)):
            assert self.map.nth(i) == items[i]

    @rule(data=st.data())
    def differ_and_merge(self, data: st.DataObject) -> None:
        theirs = self.map.update(self.many(data))
        for key in data.draw(st.lists(self.keys, max_size=6)):
            theirs = theirs.discard(key)
        d = pstructs.diff(self.map, theirs)
        plain = pstructs.diff(pmap(self.map), pmap(theirs))
        assert d == plain
        assert pstructs.patch(self.map, d) == theirs
        for part in d:
            _core._check(part)
        ours = self.map.update(self.many(data))
        merged = pstructs.merge(self.map, ours, theirs, lambda k, base, x, y: y)
        _core._check(merged)
        assert merged == pstructs.merge(
            pmap(self.map), pmap(ours), pmap(theirs), lambda k, base, x, y: y
        )

    @rule()
    def keep(self) -> None:
        self.kept.append((self.map, list(self.model.items())))

    @invariant()
    def is_the_model(self) -> None:
        if not hasattr(self, "map"):
            return
        _core._check(self.map)
        assert list(self.map.items()) == list(self.model.items())
        assert list(reversed(self.map)) == list(reversed(self.model))
        assert self.map == dict(self.model)
        assert self.map == psortedmap(dict(self.model), key=self.key)

    @invariant()
    def old_versions_are_unchanged(self) -> None:
        if hasattr(self, "kept"):
            del self.kept[:-4]
            for old, items in self.kept:
                assert list(old.items()) == items


class SetMachine(RuleBasedStateMachine):
    @initialize(kind=st.sampled_from(sorted(KINDS)))
    def start(self, kind: str) -> None:
        self.keys, self.key = KINDS[kind]
        self.set: Any = psortedset(key=self.key)
        self.model: set[Any] = set()
        self.kept: list[tuple[Any, set[Any]]] = []

    @rule(data=st.data())
    def add(self, data: st.DataObject) -> None:
        element = data.draw(self.keys)
        self.set = self.set.add(element)
        self.model.add(element)

    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        element = data.draw(self.keys)
        self.set = self.set.discard(element)
        self.model.discard(element)

    @rule(data=st.data(), op=OPERATORS, own=st.booleans())
    def combine(self, data: st.DataObject, op: Any, own: bool) -> None:
        other = data.draw(st.frozensets(self.keys, max_size=30))
        self.kept.append((self.set, set(self.model)))
        self.set = op(self.set, psortedset(other, key=self.key) if own else other)
        self.model = op(self.model, other)

    @rule(data=st.data(), op=OPERATORS)
    def combine_with_an_old_version(self, data: st.DataObject, op: Any) -> None:
        if self.kept:
            old, model = data.draw(st.sampled_from(self.kept))
            self.set = op(self.set, old)
            self.model = op(self.model, model)

    @rule(data=st.data())
    def evolve(self, data: st.DataObject) -> None:
        e = self.set.evolver()
        for i, element in enumerate(data.draw(st.lists(self.keys, max_size=25))):
            if i % 3 == 2:
                e.discard(element)
                self.model.discard(element)
            else:
                e.add(element)
                self.model.add(element)
        _core._check(e)
        self.set = e.persistent()

    @rule(data=st.data())
    def compare(self, data: st.DataObject) -> None:
        other = data.draw(st.frozensets(self.keys, max_size=25))
        if data.draw(st.booleans()):
            other |= self.model
        for right in (other, pset(other), psortedset(other, key=self.key)):
            for relation in (operator.le, operator.lt, operator.ge, operator.gt, operator.eq):
                assert relation(self.set, right) == relation(self.model, other)
            assert self.set.isdisjoint(right) == self.model.isdisjoint(other)

    @rule(data=st.data(), step=st.sampled_from([1, 1, 2, -1, -3]))
    def slices(self, data: st.DataObject, step: int) -> None:
        n = len(self.model)
        start, stop = (data.draw(st.none() | st.integers(-n - 2, n + 2)) for _ in range(2))
        ordered = sorted(self.model, key=self.key)
        part = self.set[start:stop:step]
        _core._check(part)
        assert list(part) == sorted(ordered[start:stop:step], key=self.key)
        assert [self.set[i] for i in range(-n, n)] == ordered + ordered

    @invariant()
    def is_the_model(self) -> None:
        if not hasattr(self, "set"):
            return
        _core._check(self.set)
        assert list(self.set) == sorted(self.model, key=self.key)
        assert self.set == self.model == pset(self.model)
        assert hash(self.set) == hash(frozenset(self.model))

    @invariant()
    def old_versions_are_unchanged(self) -> None:
        if hasattr(self, "kept"):
            del self.kept[:-4]
            for old, model in self.kept:
                assert old == model


TestMap = MapMachine.TestCase
TestMap.settings = settings(max_examples=MAX_EXAMPLES, stateful_step_count=75)
TestSet = SetMachine.TestCase
TestSet.settings = settings(max_examples=MAX_EXAMPLES, stateful_step_count=75)
