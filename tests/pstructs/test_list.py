"""PList: pyrsistent's list, with Python's slices and protocols in full."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Hashable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pstructs import PList, _core, l, plist, pmap, pset
from support.wilful_keys import EqKeyError, HashKeyError, Key, calling


def fail(error: type[Exception]) -> Any:
    def raise_it(*args: object) -> None:
        raise error

    return raise_it


# ---- examples


def test_the_ways_to_make_one() -> None:
    assert list(l()) == [] and list(l(1, 2)) == [1, 2]
    assert list(plist()) == [] and list(plist("abc")) == ["a", "b", "c"]
    assert list(plist(iter([1, 2, 3]))) == [1, 2, 3]
    assert list(plist([1, 2, 3], reverse=True)) == list(plist(iter([1, 2, 3]), True)) == [3, 2, 1]
    assert PList([1, 2]) == l(1, 2) and PList() is plist() is l()
    a = l(1)
    assert plist(a) is a and PList(a) is a
    assert plist({"a": 1, "b": 2}) == l("a", "b")


@pytest.mark.parametrize("make", [lambda: plist(5), lambda: plist(1, 2, 3), lambda: PList([], 2)])
def test_nonsense_is_refused_when_making_one(make: Any) -> None:
    with pytest.raises(TypeError):
        make()


def test_first_and_rest() -> None:
    a = l(1, 2, 3)
    assert a.first == 1 and a.rest == l(2, 3) and a.rest.rest.first == 3
    assert a.rest is a.rest and a.cons(0).rest is a
    assert a.rest.rest.rest is plist() and plist().rest is plist()
    with pytest.raises(AttributeError):
        plist().first


def test_a_list_cannot_be_written() -> None:
    a: Any = l(1, 2)
    for name in ("first", "rest"):
        with pytest.raises(AttributeError):
            setattr(a, name, 5)
        with pytest.raises(AttributeError):
            delattr(a, name)
    with pytest.raises(TypeError):
        a[0] = 5
    with pytest.raises(AttributeError):
        a.other = 5


def test_cons_and_mcons() -> None:
    a = l(3)
    assert a.cons(2) == l(2, 3) and a == l(3)
    assert a.mcons([1, 2]) == l(2, 1, 3) and a.mcons([]) is a
    with pytest.raises(TypeError):
        a.mcons(5)  # type: ignore[arg-type]


def test_reverse_is_what_reversed_gives() -> None:
    assert l(1, 2, 3).reverse() == l(3, 2, 1) == reversed(l(1, 2, 3))
    assert l().reverse() is l()


def test_split_shares_the_right_part() -> None:
    a = l(1, 2, 3, 4)
    left, right = a.split(2)
    assert left == l(1, 2) and right is a.rest.rest
    assert a.split(0) == a.split(-7) == (l(), a) and a.split(0)[1] is a
    assert a.split(4) == a.split(99) == (a, l()) and a.split(4)[0] is a


def test_remove_shares_what_follows() -> None:
    a = l(1, 2, 3, 2)
    assert a.remove(2) == l(1, 3, 2) and a.remove(2).rest is a.rest.rest
    assert a.remove(1) is a.rest
    with pytest.raises(ValueError, match="9 is not in the PList"):
        a.remove(9)


def test_count_index_and_membership() -> None:
    a = l(1, 2, 3, 2)
    assert a.count(2) == 2 and a.count(9) == 0 and 3 in a and 9 not in a
    assert a.index(2) == 1 and a.index(2, 2) == 3 and a.index(2, -1) == 3 and a.index(1, 0, 1) == 0
    for args in ((9,), (2, 2, 3), (1, 1), (2, 0, -3)):
        with pytest.raises(ValueError, match="is not in the PList"):
            a.index(*args)
    with pytest.raises(TypeError):
        a.index()  # type: ignore[call-arg]


def test_indexing() -> None:
    a = l("a", "b", "c")
    assert (a[0], a[2], a[-1], a[-3], a[True]) == ("a", "c", "c", "a", "b")
    for i in (3, -4, 10**30):
        with pytest.raises(IndexError):
            a[i]
    with pytest.raises(TypeError, match="cannot be interpreted as an index"):
        a["x"]  # type: ignore[call-overload]


def test_a_slice_to_the_end_shares_it() -> None:
    a = plist(range(10))
    assert a[3:] is a.rest.rest.rest and a[:] is a and a[10:] is l() and a[-1:] == l(9)


@given(
    st.lists(st.integers(), max_size=12),
    st.tuples(*[st.none() | st.integers(-15, 15)] * 2, st.none() | st.integers(-4, 4)),
)
def test_slices_are_those_of_a_list(
    items: list[int], parts: tuple[int | None, int | None, int | None]
) -> None:
    cut = slice(*parts)
    a = plist(items)
    if cut.step == 0:
        with pytest.raises(ValueError, match="slice step cannot be zero"):
            a[cut]
    else:
        assert list(a[cut]) == items[cut]
        _core._check(a[cut])
    assert list(a) == items


def test_equality_and_order() -> None:
    assert l(1, 2) == l(1.0, True + 1) and l(1) != l(1, 2) and l() == plist([])
    assert l(1) != [1] and l(1) != (1,) and not l() == []
    assert l(1, 2) < l(1, 2, 3) < l(1, 3) and l() < l(1) and l(2) > l(1, 9)
    assert l(1) <= l(1) and l(1) >= l(1) and not l(1) < l(1)
    with pytest.raises(TypeError):
        l(1) < [1]  # type: ignore[operator]
    with pytest.raises(TypeError):
        l(1) < l("a")
    nan = float("nan")
    assert l(nan) == l(nan) and l(nan) != l(float("nan"))


def test_the_hash_is_that_of_the_tuple() -> None:
    for items in ([], [1], ["a", 2, (3,)]):
        assert hash(plist(items)) == hash(tuple(items))
    with pytest.raises(TypeError, match="unhashable"):
        hash(l(1, []))
    assert pmap({l(1, 2): "x"})[l(1, 2)] == "x" and l(1) in pset([l(1)])


def test_repr() -> None:
    assert repr(l()) == "plist([])" and str(l(1, "a")) == "plist([1, 'a'])"
    loop: list[Any] = []
    loop.append(l(loop))
    assert repr(loop[0]) == "plist([[plist([...])]])"


def test_pattern_matching() -> None:
    match l(1, 2, 3):
        case [first, *others]:
            assert first == 1 and others == [2, 3]
        case _:
            raise AssertionError


def test_abstract_types_and_generics() -> None:
    assert isinstance(l(), Sequence) and isinstance(l(1), Hashable)
    assert PList[int].__origin__ is PList


def test_copies_and_pickles() -> None:
    a = l(1, [2], "x")
    assert copy.copy(a) is a
    deep = copy.deepcopy(a)
    assert deep == a and deep[1] is not a[1]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(a, protocol)) == a
        assert pickle.loads(pickle.dumps(l(), protocol)) is l()


class Named(PList):  # type: ignore[type-arg]
    """A subclass with state of its own."""


def test_a_subclass_keeps_its_state_and_makes_plain_lists() -> None:
    a: Any = Named([1, 2])
    a.name = "mine"
    assert type(a) is Named and a == l(1, 2) and len(a) == 2 and a.first == 1
    assert type(a.rest) is PList and type(a.cons(0)) is PList and a.cons(0).rest is a
    b = pickle.loads(pickle.dumps(a))
    assert type(b) is Named and b == a and b.name == "mine"
    assert Named() == l() and type(Named()) is Named and Named().rest is l() and not Named()
    assert plist(a) == a and type(plist(a)) is PList


def test_a_dying_subclass_still_sees_its_elements() -> None:
    seen = []

    class Watched(PList):  # type: ignore[type-arg]
        def __del__(self) -> None:
            seen.append(list(self))

    a = Watched([1, 2]).cons(0).cons(-1)
    del a
    assert seen == [[1, 2]]


def test_weak_references() -> None:
    a = l(1, 2)
    whole, part = weakref.ref(a), weakref.ref(a.rest)
    a = a.rest
    assert whole() is None and part() is a
    a = l()
    assert part() is None


def test_an_iterator_knows_what_is_left() -> None:
    it = iter(l(1, 2, 3))
    assert it.__length_hint__() == 3 and next(it) == 1 and it.__length_hint__() == 2
    assert iter(it) is it and list(it) == [2, 3]
    assert it.__length_hint__() == 0 and next(it, None) is None


# ---- elements that misbehave


def test_an_element_that_raises_ends_the_operation() -> None:
    a = plist(Key(i) for i in range(5))
    with calling(on_eq=fail(EqKeyError)):
        for do in (
            lambda: a == plist(Key(i) for i in range(5)),
            lambda: a < plist(Key(i) for i in range(5)),
            lambda: a.remove(Key(3)),
            lambda: a.index(Key(3)),
            lambda: a.count(Key(3)),
            lambda: Key(3) in a,
        ):
            with pytest.raises(EqKeyError):
                do()
    with calling(on_hash=fail(HashKeyError)), pytest.raises(HashKeyError):
        hash(a)
    assert a == plist(Key(i) for i in range(5))


def test_equal_ends_are_not_compared() -> None:
    shared = plist(Key(i) for i in range(5))
    a, b = shared.cons(1), shared.cons(1)
    with calling(on_eq=fail(EqKeyError)):
        assert a == b and not a < b


def test_an_iterable_that_raises_leaves_nothing_behind() -> None:
    def items() -> Any:
        yield from range(3)
        raise HashKeyError

    for do in (lambda: plist(items()), lambda: plist(items(), True), lambda: l(7).mcons(items())):
        with pytest.raises(HashKeyError):
            do()


def test_a_list_may_lose_its_holder_while_it_is_compared() -> None:
    holder: list[Any] = [plist(Key(i) for i in range(50))]

    def drop(*args: object) -> None:
        if holder:
            holder.clear()
            gc.collect()

    with calling(on_eq=drop):
        assert Key(49) in holder[0]
    holder.append(plist(Key(i) for i in range(50)))
    with calling(on_eq=drop):
        assert holder[0].remove(Key(48)) == plist(Key(i) for i in range(50) if i != 48)


# ---- the collector, and death


def test_lists_of_atoms_are_untracked() -> None:
    for a in (l(), l(1, "a"), plist(range(100)), l(l(1), (2,)), l(pmap({1: 2})), l(1).cons(2)):
        assert not gc.is_tracked(a)
    for a in (l([]), l(1, [], 2), l({}).cons(1), l(l([])), Named([1])):
        assert gc.is_tracked(a)
    assert not gc.is_tracked(l(1, [], 2).rest.rest) and not gc.is_tracked(pmap({1: l(2)}))
    for a in (l(1, [], 2), plist(range(9)), l(), l({}).cons(1)):
        _core._check(a)


@pytest.mark.parametrize("length", [1, 3, 500])
def test_cycles_are_collected(length: int) -> None:
    class Node:
        to: Any

    def by_list(n: Node) -> Any:
        return plist([*range(length), n, 5])

    def by_iterator(n: Node) -> Any:
        it = iter(plist([n, *range(length)]))
        next(it)
        return it

    def by_subclass(n: Node) -> Any:
        a: Any = Named([1])
        a.to = n
        return a

    for make in (by_list, by_iterator, by_subclass):
        node = Node()
        ref = weakref.ref(node)
        node.to = make(node)
        del node
        gc.collect()
        assert ref() is None, make.__name__


def test_a_long_list_dies_without_a_crash() -> None:
    a = plist(range(1_000_000))
    b = plist([[i] for i in range(300_000)])
    c: Any = l()
    for i in range(1_000_000):
        c = c.cons(i)
    middle = c[500_000:]
    del a, b, c
    assert middle.first == 499_999


def test_lists_in_lists_die_without_a_crash() -> None:
    a: Any = l([])
    for i in range(200_000):
        a = l(1, a, 2) if i % 2 else l(a)
    del a
    b: Any = Named()
    for _ in range(100_000):
        b = Named(b.cons(1))
    del b


def test_deep_nesting_ends_in_a_recursion_error() -> None:
    def deep() -> Any:
        a: Any = l(1)
        for _ in range(100_000):
            a = l(a)
        return a

    a = deep()
    for do in (repr, hash, lambda a: a == deep(), pickle.dumps, lambda a: pmap({a: 1})):
        with pytest.raises(RecursionError):
            do(a)


def test_a_destructor_may_use_what_is_left() -> None:
    left = []

    class Last:
        def __del__(self) -> None:
            left.append(list(self.rest))  # type: ignore[attr-defined]

    last = Last()
    tail = l(2, 3)
    a = tail.cons(last)
    last.rest = tail  # type: ignore[attr-defined]
    del last, tail, a
    gc.collect()
    assert left == [[2, 3]]


# ---- model

ITEMS = st.lists(st.one_of(st.integers(0, 9), st.builds(list), st.text(max_size=1)), max_size=12)


class ListMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.a: Any = l()
        self.model: list[Any] = []
        self.kept: list[tuple[Any, list[Any]]] = []

    @rule(items=ITEMS, reverse=st.booleans())
    def build(self, items: list[Any], reverse: bool) -> None:
        self.a = plist(items, reverse=reverse)
        self.model = items[::-1] if reverse else items[:]

    @rule(item=st.integers(0, 9))
    def cons(self, item: int) -> None:
        self.a = self.a.cons(item)
        self.model.insert(0, item)

    @rule(items=ITEMS)
    def mcons(self, items: list[Any]) -> None:
        self.a = self.a.mcons(items)
        self.model = items[::-1] + self.model

    @rule()
    def rest(self) -> None:
        self.a = self.a.rest
        self.model = self.model[1:]

    @rule()
    def reverse(self) -> None:
        self.a = self.a.reverse()
        self.model = self.model[::-1]

    @rule(i=st.integers(-2, 40), right=st.booleans())
    def split(self, i: int, right: bool) -> None:
        self.a = self.a.split(i)[right]
        i = max(i, 0)
        self.model = self.model[i:] if right else self.model[:i]

    @rule(item=st.integers(0, 9))
    def remove(self, item: int) -> None:
        if item in self.model:
            self.a = self.a.remove(item)
            self.model.remove(item)
        else:
            with pytest.raises(ValueError, match="not in"):
                self.a.remove(item)

    @rule(
        start=st.none() | st.integers(-20, 20),
        stop=st.none() | st.integers(-20, 20),
        step=st.sampled_from([None, 1, 2, -1, -3]),
    )
    def slice(self, start: Any, stop: Any, step: Any) -> None:
        self.a = self.a[start:stop:step]
        self.model = self.model[start:stop:step]

    @rule()
    def keep(self) -> None:
        self.kept = [*self.kept[-4:], (self.a, list(self.model))]

    @rule(item=st.integers(0, 9), i=st.integers(-20, 20))
    def ask(self, item: int, i: int) -> None:
        assert self.a.count(item) == self.model.count(item)
        assert (item in self.a) == (item in self.model)
        if item in self.model:
            assert self.a.index(item) == self.model.index(item)
        if -len(self.model) <= i < len(self.model):
            assert self.a[i] == self.model[i]
        other = plist(self.model)
        assert other == self.a and not other < self.a and other <= self.a

    @invariant()
    def agrees(self) -> None:
        _core._check(self.a)
        assert list(self.a) == self.model and len(self.a) == len(self.model)
        assert bool(self.a) == bool(self.model)

    @invariant()
    def old_values_are_unchanged(self) -> None:
        for a, model in self.kept:
            assert list(a) == model


TestListModel = ListMachine.TestCase
TestListModel.settings = settings(max_examples=2 * settings().max_examples, stateful_step_count=75)
