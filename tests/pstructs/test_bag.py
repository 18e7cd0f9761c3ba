"""PBag: pyrsistent's bag over a map of counts."""

from __future__ import annotations

import copy
import pickle
import weakref
from collections import Counter
from collections.abc import Collection, Hashable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pstructs import PBag, _core, b, pbag, pmap
from support.wilful_keys import EqKeyError, HashKeyError, Key, calling


def test_the_ways_to_make_one() -> None:
    assert b(1, 2, 1) == pbag([2, 1, 1]) == PBag(iter([1, 1, 2])) and pbag("aab").count("a") == 2
    assert b() == pbag([]) == pbag(iter(())) and len(PBag()) == 0
    assert pbag({"a": 5}) == b("a")  # keys, not counts
    a = b(1, 1)
    assert pbag(a) == PBag(a) == a
    for make in (lambda: pbag(5), lambda: pbag([[]]), lambda: b().add([])):
        with pytest.raises(TypeError):
            make()


def test_changes_leave_the_old_bag_as_it_was() -> None:
    a = b(1, 1, 2)
    assert a.add(2) == b(1, 1, 2, 2) and a.remove(1) == b(1, 2) and a.remove(2) == b(1, 1)
    assert a.update([1, 3, 3]) == b(1, 1, 1, 2, 3, 3) and a.update(iter(())) is a
    assert a == b(1, 1, 2) and a.counts == {1: 2, 2: 1} and len(a) == 3
    with pytest.raises(KeyError, match="9"):
        a.remove(9)


def test_operators() -> None:
    x, y = b(1, 2, 2, 3, 3, 3), b(2, 3, 3, 4)
    assert x + y == b(1, 2, 2, 2, 3, 3, 3, 3, 3, 4)
    assert x - y == b(1, 2, 3) and x | y == b(1, 2, 2, 3, 3, 3, 4) and x & y == b(2, 3, 3)
    for do in (lambda: x + [1], lambda: x - 1, lambda: x | {1}, lambda: x & {1}):
        with pytest.raises(TypeError):
            do()


def test_equality_hash_and_order() -> None:
    assert b(1, 2) == b(2, 1) and hash(b(1, 2)) == hash(b(2, 1)) and b(1) != b(1, 1)
    assert b(1) != 1 and b(1) != [1] and b(1) not in [1, 2]
    assert pmap({b(1, 2): "x"})[b(2, 1)] == "x"
    for do in (
        lambda: b(1) < b(2),
        lambda: b(1) <= b(2),
        lambda: b(1) > b(2),
        lambda: b(1) >= b(2),
    ):
        with pytest.raises(TypeError, match="not orderable"):
            do()


def test_protocols() -> None:
    a = b(1, 1, 2)
    assert isinstance(a, Collection) and isinstance(a, Hashable) and PBag[int]
    assert sorted(a) == [1, 1, 2] and 2 in a and 3 not in a and not b()
    assert repr(b("x", "x")) == "pbag(['x', 'x'])" and weakref.ref(a)() is a
    assert copy.copy(a) is a and copy.deepcopy(a) == a
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        c = pickle.loads(pickle.dumps(a, protocol))
        assert c == a and len(c) == 3
    with pytest.raises(AttributeError):
        a.other = 1  # type: ignore[attr-defined]


def test_a_subclass_makes_plain_bags() -> None:
    class Mine(PBag):  # type: ignore[type-arg]
        pass

    a = Mine([1])
    assert type(a) is Mine and a == b(1) and type(a.add(1)) is PBag and type(a + a) is PBag


def test_an_element_that_raises_leaves_the_bag_as_it_was() -> None:
    def fail(error: type[Exception]) -> Any:
        def raise_it(*args: object) -> None:
            raise error

        return raise_it

    a = pbag([Key(1), Key(2)])
    with calling(on_hash=fail(HashKeyError)):
        for do in (lambda: a.add(Key(3)), lambda: a.count(Key(1)), lambda: a.update([Key(1)])):
            with pytest.raises(HashKeyError):
                do()
    with calling(on_eq=fail(EqKeyError)), pytest.raises(EqKeyError):
        a.remove(Key(1))
    assert a == pbag([Key(2), Key(1)])


ITEMS = st.lists(st.integers(0, 9) | st.sampled_from("abc"), max_size=12)


class BagMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.a: PBag[Any] = b()
        self.model: Counter[Any] = Counter()
        self.kept: list[tuple[PBag[Any], Counter[Any]]] = []

    @rule(items=ITEMS)
    def update(self, items: list[Any]) -> None:
        self.a = self.a.update(items)
        self.model.update(items)

    @rule(item=st.integers(0, 9))
    def add(self, item: int) -> None:
        self.a = self.a.add(item)
        self.model[item] += 1

    @rule(item=st.integers(0, 9))
    def remove(self, item: int) -> None:
        if self.model[item]:
            self.a = self.a.remove(item)
            self.model[item] -= 1
        else:
            with pytest.raises(KeyError):
                self.a.remove(item)

    @rule(items=ITEMS, op=st.sampled_from(["__add__", "__sub__", "__or__", "__and__"]))
    def operate(self, items: list[Any], op: str) -> None:
        self.a = getattr(self.a, op)(pbag(items))
        self.model = getattr(self.model, op)(Counter(items))

    @rule()
    def keep(self) -> None:
        self.kept = [*self.kept[-3:], (self.a, Counter(self.model))]

    @invariant()
    def agrees(self) -> None:
        self.model = +self.model
        _core._check(self.a.counts)
        assert self.a.counts == self.model and len(self.a) == self.model.total()
        assert Counter(self.a) == self.model
        assert all(self.a.count(x) == self.model[x] for x in range(10))

    @invariant()
    def old_values_are_unchanged(self) -> None:
        for a, model in self.kept:
            assert a.counts == +model and len(a) == model.total()


TestBagModel = BagMachine.TestCase
TestBagModel.settings = settings(max_examples=2 * settings().max_examples, stateful_step_count=75)
