"""Hypothesis drives vectors and their evolvers against lists.

After each step the invariants of the tree are checked, and the versions that were kept are
still what they were. In the `PS_SMALL` build a few elements reach deep trees.
"""

from __future__ import annotations

import operator
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pstructs import _core, pvector
from support.wilful_keys import Key

VALUES = st.one_of(
    st.integers(-5, 60),
    st.builds(list),
    st.tuples(st.integers(0, 3)),
    st.none(),
    st.integers(0, 5).map(lambda n: Key(n, 1)),
)
# A block of many elements, so that trees get deep in few steps.
BLOCKS = st.one_of(
    st.lists(VALUES, max_size=12),
    st.tuples(st.integers(0, 400), st.booleans()).map(
        lambda b: [[] for _ in range(b[0])] if b[1] else list(range(b[0]))
    ),
)
PART = st.floats(0, 1)
MOST = 6000


class VectorMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.vector: Any = pvector()
        self.model: list[Any] = []
        self.kept: list[tuple[Any, list[Any]]] = [(self.vector, [])]

    def at(self, part: float) -> int:
        return min(len(self.model), int(part * (len(self.model) + 1)))

    @rule(value=VALUES, times=st.integers(1, 40))
    def append(self, value: Any, times: int) -> None:
        for _ in range(times):
            self.vector = self.vector.append(value)
        self.model = self.model + [value] * times

    @rule(value=VALUES, times=st.integers(1, 40))
    def appendleft(self, value: Any, times: int) -> None:
        for _ in range(times):
            self.vector = self.vector.appendleft(value)
        self.model = [value] * times + self.model

    @rule(times=st.integers(1, 70))
    def pop(self, times: int) -> None:
        for _ in range(min(times, len(self.model))):
            self.vector = self.vector.pop()
            self.model = self.model[:-1]

    @rule(times=st.integers(1, 70))
    def popleft(self, times: int) -> None:
        for _ in range(min(times, len(self.model))):
            self.vector = self.vector.popleft()
            self.model = self.model[1:]

    @rule(block=BLOCKS, own=st.booleans())
    def extend(self, block: list[Any], own: bool) -> None:
        self.vector = self.vector + (pvector(block) if own else block)
        self.model = self.model + block

    @rule(block=BLOCKS)
    def put_before(self, block: list[Any]) -> None:
        self.vector = pvector(block) + self.vector
        self.model = block + self.model

    @rule(block=st.lists(VALUES, max_size=40))
    def extendleft(self, block: list[Any]) -> None:
        self.vector = self.vector.extendleft(block)
        self.model = block[::-1] + self.model

    @rule(part=PART, value=VALUES)
    def insert(self, part: float, value: Any) -> None:
        at = self.at(part)
        self.vector = self.vector.insert(at, value)
        self.model = [*self.model[:at], value, *self.model[at:]]

    @rule(part=PART, value=VALUES)
    def set(self, part: float, value: Any) -> None:
        at = self.at(part)
        self.vector = self.vector.set(at, value)
        self.model = [*self.model[:at], value, *self.model[at + 1 :]]

    @rule(part=PART, value=VALUES)
    def mset(self, part: float, value: Any) -> None:
        at = self.at(part)
        self.vector = self.vector.mset(at, value, 0, value)
        self.model = [*self.model[:at], value, *self.model[at + 1 :]]
        self.model[0] = value

    @rule(part=PART)
    def delete(self, part: float) -> None:
        at = self.at(part)
        if at < len(self.model):
            self.vector = self.vector.delete(at)
            self.model = self.model[:at] + self.model[at + 1 :]

    @rule(a=PART, b=PART)
    def delete_range(self, a: float, b: float) -> None:
        lo, hi = self.at(a), self.at(b)
        self.vector = self.vector.delete(lo, hi)
        self.model = self.model[:lo] + self.model[max(lo, hi) :]

    @rule(a=PART, b=PART, step=st.sampled_from([None, 1, 1, 1, 2, -1, -3, 7]))
    def slice(self, a: float, b: float, step: int | None) -> None:
        cut = slice(self.at(a), self.at(b), step)
        self.kept.append((self.vector[cut], self.model[cut]))

    @rule(a=PART, b=PART)
    def cut(self, a: float, b: float) -> None:
        lo, hi = sorted((self.at(a), self.at(b)))
        self.vector, self.model = self.vector[lo:hi], self.model[lo:hi]

    @rule(part=PART)
    def rotate(self, part: float) -> None:
        at = self.at(part)
        self.vector = self.vector[at:] + self.vector[:at]
        self.model = self.model[at:] + self.model[:at]

    @rule(data=st.data())
    def join_with_an_old_version(self, data: st.DataObject) -> None:
        old, model = data.draw(st.sampled_from(self.kept))
        if len(model) + len(self.model) <= MOST:
            self.vector, self.model = self.vector + old, self.model + model

    @rule(times=st.integers(-1, 3))
    def repeat(self, times: int) -> None:
        if len(self.model) * times <= MOST:
            self.kept.append((self.vector * times, self.model * times))

    @rule(value=VALUES)
    def remove(self, value: Any) -> None:
        if value in self.model:
            self.vector = self.vector.remove(value)
            self.model = list(self.model)
            self.model.remove(value)

    @rule(steps=st.lists(st.tuples(st.integers(0, 4), PART, VALUES), max_size=40))
    def evolve(self, steps: list[tuple[int, float, Any]]) -> None:
        e = self.vector.evolver()
        model = list(self.model)
        for i, (what, part, value) in enumerate(steps):
            at = min(len(model), int(part * (len(model) + 1)))
            if what <= 1:
                e.append(value)
                model.append(value)
            elif what == 2:
                e[at] = value
                model[at : at + 1] = [value]
            elif what == 3 and at < len(model):
                del e[at], model[at]
            elif what == 4:
                e.insert(at, value)
                model.insert(at, value)
            assert len(e) == len(model)
            if i % 7 == 5:
                self.kept.append((e.persistent(), list(model)))
        _core._check(e)
        self.vector, self.model = e.persistent(), model

    @rule()
    def keep(self) -> None:
        self.kept.append((self.vector, list(self.model)))

    @rule(a=PART, b=PART, value=VALUES)
    def search(self, a: float, b: float, value: Any) -> None:
        lo, hi = self.at(a), self.at(b)
        assert self.vector.count(value) == self.model.count(value)
        assert (value in self.vector) == (value in self.model)
        try:
            expected = self.model.index(value, lo, hi)
        except ValueError:
            expected = -1
        try:
            assert self.vector.index(value, lo, hi) == expected
        except ValueError:
            assert expected == -1

    @rule(data=st.data())
    def compare(self, data: st.DataObject) -> None:
        old, model = data.draw(st.sampled_from(self.kept))
        assert (self.vector == old) == (self.model == model)
        assert (self.vector != model) == (self.model != model)
        if all(isinstance(x, int) for x in (*self.model, *model)):
            for op in (operator.lt, operator.le, operator.gt, operator.ge):
                assert op(self.vector, old) == op(self.model, model)
                assert op(self.vector, model) == op(self.model, model)

    @invariant()
    def is_the_model(self) -> None:
        if len(self.model) > MOST:
            self.vector, self.model = self.vector[: MOST // 3], self.model[: MOST // 3]
        _core._check(self.vector)
        assert len(self.vector) == len(self.model)
        assert self.vector.tolist() == self.model
        n = len(self.model)
        for i in {0, 1, n // 3, n // 2, n - 33, n - 1}:
            if 0 <= i < n:
                assert self.vector[i] is self.model[i] and self.vector[i - n] is self.model[i]

    @invariant()
    def iterates_both_ways(self) -> None:
        assert list(self.vector) == self.model
        assert list(reversed(self.vector)) == self.model[::-1]

    @invariant()
    def old_versions_are_unchanged(self) -> None:
        del self.kept[:-4]
        for old, model in self.kept:
            assert old == model
            _core._check(old)


TestVector = VectorMachine.TestCase
# 200 examples of 75 steps in the default profile.
TestVector.settings = settings(stateful_step_count=75, max_examples=2 * settings().max_examples)
