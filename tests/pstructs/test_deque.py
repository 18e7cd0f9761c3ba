"""PDeque: pyrsistent's deque, with the slices and the rotation of Python's own."""

from __future__ import annotations

import collections
import copy
import gc
import pickle
import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pstructs import PDeque, _core, dq, pdeque, pmap, pset, pvector
from support.wilful_keys import EqKeyError, HashKeyError, Key, calling


def fail(error: type[Exception]) -> Any:
    def raise_it(*args: object) -> None:
        raise error

    return raise_it


# ---- examples


def test_the_ways_to_make_one() -> None:
    assert list(dq()) == [] and list(dq(1, 2)) == [1, 2]
    assert list(pdeque("abc")) == list(pdeque(iter("abc"))) == ["a", "b", "c"]
    assert dq() is pdeque() is PDeque() is pdeque([])
    a = dq(1)
    assert pdeque(a) is a and PDeque(a) is a and pdeque(a, maxlen=3) is not a
    assert list(pdeque(pvector(range(99)))) == list(range(99))
    assert repr(PDeque([1, 2], maxlen=2)) == repr(pdeque([0, 1, 2], 2))


def test_maxlen_keeps_the_last_elements() -> None:
    a = pdeque(range(100), maxlen=3)
    assert list(a) == [97, 98, 99] and a.maxlen == 3
    assert list(pdeque([1, 2], maxlen=0)) == [] and pdeque([1], maxlen=0).maxlen == 0
    assert list(pdeque(a, maxlen=2)) == [98, 99] and pdeque(a).maxlen is None
    assert list(pdeque(a.reverse(), maxlen=2)) == [98, 97]


@pytest.mark.parametrize(
    ("maxlen", "error"),
    [("x", TypeError), (1.0, TypeError), (-1, ValueError), (2**70, OverflowError)],
)
def test_a_bad_maxlen_is_refused(maxlen: Any, error: type[Exception]) -> None:
    for make in (pdeque, PDeque):
        with pytest.raises(error):
            make([], maxlen=maxlen)


@pytest.mark.parametrize("make", [lambda: pdeque(5), lambda: pdeque(1, 2, 3), lambda: PDeque(a=1)])
def test_nonsense_is_refused_when_making_one(make: Any) -> None:
    with pytest.raises(TypeError):
        make()


def test_the_ends() -> None:
    a = dq(1, 2, 3)
    assert (a.left, a.right) == (1, 3)
    assert a.append(4) == dq(1, 2, 3, 4) and a.appendleft(0) == dq(0, 1, 2, 3)
    assert a.pop() == dq(1, 2) and a.popleft() == dq(2, 3) and a == dq(1, 2, 3)
    assert a.pop(2) == dq(1) and a.popleft(2) == dq(3) and a.pop(99) is dq() is a.popleft(3)
    assert a.pop(-1) == dq(2, 3) and a.popleft(count=-2) == dq(1) and a.pop(0) is a
    assert dq().pop() is dq() and dq().popleft(10**40) is dq()
    for side in ("left", "right"):
        with pytest.raises(IndexError, match="No elements in empty deque"):
            getattr(dq(), side)


def test_extend_at_both_ends() -> None:
    a = dq(3)
    assert a.extend([4, 5]) == dq(3, 4, 5) and a.extendleft([2, 1]) == dq(1, 2, 3)
    assert a.extend(a) == a.extendleft(a) == dq(3, 3) and a.extend(()) == a
    b = dq(1, 2)
    assert b.extend(b.reverse()) == dq(1, 2, 2, 1) and b.extendleft(b.reverse()) == dq(1, 2, 1, 2)
    assert b.extend(pvector([7])) == dq(1, 2, 7) and b.extendleft(pvector([7, 8])).left == 8
    with pytest.raises(TypeError):
        a.extend(5)  # type: ignore[arg-type]


def test_additions_to_a_full_deque_push_out_the_other_end() -> None:
    a = pdeque([1, 2, 3], maxlen=3)
    assert list(a.append(4)) == [2, 3, 4] and list(a.appendleft(0)) == [0, 1, 2]
    assert list(a.extend(range(4, 99))) == [96, 97, 98]
    assert list(a.extendleft(range(4, 99))) == [98, 97, 96]
    assert list(pdeque(maxlen=0).append(1).appendleft(2).extend([3])) == []
    for b in (
        a.append(4),
        a.pop(),
        a.reverse(),
        a.rotate(1),
        a.remove(2),
        a[1:],
        a[::-1],
        a[:0],
        a.pop(3),
    ):
        assert b.maxlen == 3


def test_rotation_is_that_of_a_built_in_deque() -> None:
    a = dq(1, 2, 3, 4, 5)
    assert a.rotate(2) == dq(4, 5, 1, 2, 3) and a.rotate(-2) == dq(3, 4, 5, 1, 2)
    assert a.rotate(7) == a.rotate(2) and a.rotate(0) is a.rotate(5) is a
    assert a.rotate(10**50 + 1) == a.rotate(1) and dq().rotate(3) is dq()
    assert a.reverse().rotate(1) == dq(1, 5, 4, 3, 2)
    with pytest.raises(TypeError, match="number of steps"):
        a.rotate("x")  # type: ignore[arg-type]


def test_reverse_is_what_reversed_gives() -> None:
    a = dq(1, 2, 3)
    assert a.reverse() == dq(3, 2, 1) == reversed(a) and a.reverse().reverse() == a
    assert a.reverse().append(0) == dq(3, 2, 1, 0) and a.reverse().left == 3


def test_remove_count_index_and_membership() -> None:
    a = dq(1, 2, 3, 2)
    assert a.remove(2) == dq(1, 3, 2) and a.reverse().remove(2) == dq(3, 2, 1)
    assert a.count(2) == 2 and a.count(9) == 0 and 3 in a and 9 not in a
    assert a.index(2) == 1 and a.index(2, 2) == 3 and a.index(2, -1) == 3
    assert a.reverse().index(1) == 3 and a.index(value=3, start=1, stop=3) == 2
    for do in (lambda: a.remove(9), lambda: a.index(9), lambda: a.index(2, 2, 3)):
        with pytest.raises(ValueError, match="is not in the PDeque"):
            do()


def test_indexing() -> None:
    a = dq("a", "b", "c")
    assert (a[0], a[2], a[-1], a[-3], a[True]) == ("a", "c", "c", "a", "b")
    assert a.reverse()[0] == "c"
    for i in (3, -4, 10**30):
        with pytest.raises(IndexError):
            a[i]
    with pytest.raises(TypeError, match="cannot be interpreted as an index"):
        a["x"]  # type: ignore[call-overload]


@given(
    st.integers(0, 80),
    st.tuples(*[st.none() | st.integers(-90, 90)] * 2, st.none() | st.integers(-4, 4)),
    st.booleans(),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_slices_are_those_of_a_list(
    n: int, parts: tuple[int | None, int | None, int | None], flip: bool, left: int, right: int
) -> None:
    cut = slice(*parts)
    a = pdeque(range(n)).popleft(left).pop(right)
    a = a.reverse() if flip else a
    items = list(a)
    if cut.step == 0:
        with pytest.raises(ValueError, match="slice step cannot be zero"):
            a[cut]
    else:
        assert list(a[cut]) == items[cut]
        _core._check(a[cut])
    assert list(a) == items


def test_equality_and_order() -> None:
    assert dq(1, 2) == dq(1.0, 2) == pdeque([1, 2], maxlen=2) and dq(1) != dq(1, 2)
    assert dq(1) != [1] and dq(1) != collections.deque([1]) and dq(1) != pvector([1])
    assert dq(1, 2) < dq(1, 2, 3) < dq(1, 3) and dq() < dq(1) and dq(2) > dq(1, 9)
    assert dq(1) <= dq(1) and not dq(1) < dq(1)
    assert dq(2, 1).reverse() == dq(1, 2) and dq(0, 1, 2).popleft() == dq(1, 2, 3).pop()
    with pytest.raises(TypeError):
        dq(1) < [1]  # type: ignore[operator]
    nan = float("nan")
    assert dq(nan) == dq(nan) and dq(nan) != dq(float("nan"))


def test_the_hash_is_that_of_the_tuple() -> None:
    for items in ([], [1], ["a", 2, (3,)]):
        assert hash(pdeque(items)) == hash(tuple(items)) == hash(pdeque(items[::-1]).reverse())
    assert hash(dq(0, 1).popleft()) == hash((1,))
    with pytest.raises(TypeError, match="unhashable"):
        hash(dq(1, []))
    assert pmap({dq(1, 2): "x"})[dq(1, 2)] == "x" and dq(1) in pset([dq(1)])


def test_repr() -> None:
    assert repr(dq()) == "pdeque([])" and str(dq(1, "a")) == "pdeque([1, 'a'])"
    assert repr(pdeque([1], 4)) == "pdeque([1], maxlen=4)"
    loop: list[Any] = []
    loop.append(dq(loop))
    assert repr(loop[0]) == "pdeque([[pdeque([...])]])"


def test_protocols() -> None:
    match dq(1, 2, 3):
        case [first, *others]:
            assert first == 1 and others == [2, 3]
        case _:
            raise AssertionError
    assert isinstance(dq(), Sequence) and isinstance(dq(1), Hashable)
    assert PDeque[int].__origin__ is PDeque
    it = iter(dq(1, 2, 3).reverse())
    assert it.__length_hint__() == 3 and next(it) == 3 and it.__length_hint__() == 2
    assert list(it) == [2, 1]


def test_copies_and_pickles() -> None:
    a = pdeque([1, [2], "x"], maxlen=5)
    assert copy.copy(a) is a
    deep = copy.deepcopy(a)
    assert deep == a and deep[1] is not a[1] and deep.maxlen == 5
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        b = pickle.loads(pickle.dumps(a.reverse(), protocol))
        assert b == a.reverse() and b.maxlen == 5
        assert pickle.loads(pickle.dumps(dq(), protocol)) is dq()


def test_a_deque_cannot_be_written() -> None:
    a: Any = pdeque([1], maxlen=2)
    for name in ("left", "right", "maxlen", "other"):
        with pytest.raises(AttributeError):
            setattr(a, name, 5)
    with pytest.raises(TypeError):
        a[0] = 5


class Named(PDeque):  # type: ignore[type-arg]
    """A subclass with state of its own."""


def test_a_subclass_keeps_its_state_and_makes_plain_deques() -> None:
    a: Any = Named([1, 2], maxlen=4)
    a.name = "mine"
    b = pickle.loads(pickle.dumps(a))
    assert type(b) is Named and b == a == dq(1, 2) and b.name == "mine" and b.maxlen == 4
    for c in (a.append(3), a.pop(0), a[:], a.rotate(0), a.reverse(), a.popleft()):
        assert type(c) is PDeque
    assert type(Named()) is Named and Named() == dq() and pdeque(a) == a


# ---- what is dropped


def test_what_is_popped_is_released_at_once() -> None:
    class Frame:
        pass

    for pop in (PDeque.pop, PDeque.popleft):
        frames = [Frame() for _ in range(40)]
        refs = [weakref.ref(f) for f in frames]
        a = pdeque(frames)
        del frames
        for i in range(40):
            assert sum(r() is None for r in refs) == i
            a = pop(a)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [int, str, lambda i: "x" * 100 + str(i), lambda i: 10**i])
def test_a_queue_that_runs_for_long_stays_small(kind: Callable[[int], Any]) -> None:
    a = pdeque(kind(i) for i in range(50))
    for i in range(50, 500):
        a = a.append(kind(i)).popleft()
        _core._check(a)
    assert list(a) == [kind(i) for i in range(450, 500)]
    for i in range(500, 900):
        a = a.appendleft(kind(i)).pop()
        _core._check(a)
    assert list(a) == [kind(i) for i in range(899, 849, -1)]


def test_old_versions_share_what_was_written_over() -> None:
    a = pdeque(range(100)).popleft().pop()
    b, c = a.append("b"), a.append("c")
    d, e = a.appendleft("d"), a.appendleft("e")
    assert list(a) == list(range(1, 99))
    assert (b.right, c.right, d.left, e.left) == ("b", "c", "d", "e")
    assert list(d.append("f")) == ["d", *range(1, 99), "f"]


# ---- elements that misbehave


def test_an_element_that_raises_ends_the_operation() -> None:
    a = pdeque(Key(i) for i in range(50))
    with calling(on_eq=fail(EqKeyError)):
        for do in (
            lambda: a == pdeque(Key(i) for i in range(50)),
            lambda: a == pdeque(Key(i) for i in range(49, -1, -1)).reverse(),
            lambda: a < pdeque(Key(i) for i in range(50)),
            lambda: a.remove(Key(3)),
            lambda: a.index(Key(3)),
            lambda: a.count(Key(3)),
            lambda: Key(3) in a,
        ):
            with pytest.raises(EqKeyError):
                do()
    with calling(on_hash=fail(HashKeyError)), pytest.raises(HashKeyError):
        hash(a)
    assert a == pdeque(Key(i) for i in range(50)) and hash(a) == hash(tuple(a))


def test_an_iterable_that_raises_leaves_nothing_behind() -> None:
    def items() -> Any:
        yield from range(100)
        raise HashKeyError

    a = dq(7)
    for do in (lambda: pdeque(items()), lambda: a.extend(items()), lambda: a.extendleft(items())):
        with pytest.raises(HashKeyError):
            do()
    assert a == dq(7)


def test_a_deque_may_lose_its_holder_while_it_is_searched() -> None:
    holder: list[Any] = []

    def drop(*args: object) -> None:
        if holder:
            holder.clear()
            gc.collect()

    for do, expected in (
        (lambda a: Key(49) in a, True),
        (lambda a: len(a.remove(Key(48))), 49),
        (lambda a: a.count(Key(5)), 1),
        (lambda a: a == pdeque(Key(i) for i in range(50)), True),
    ):
        holder.append(pdeque(Key(i) for i in range(50)))
        with calling(on_eq=drop):
            assert do(holder[0]) == expected


# ---- the collector, and death


def test_deques_of_atoms_are_untracked() -> None:
    for a in (
        dq(),
        dq(1, "a"),
        pdeque(range(100)),
        dq(dq(1), (2,)),
        dq(1).append(2),
        dq(1, 2).reverse(),
        pdeque([1, 2], 3),
        pdeque(range(100)).popleft(40),
    ):
        assert not gc.is_tracked(a)
    for b in (dq([]), dq(1).append([]), dq({}).appendleft(1), dq(dq([])), Named([1])):
        assert gc.is_tracked(b)


@pytest.mark.parametrize("length", [1, 40, 2000])
def test_cycles_are_collected(length: int) -> None:
    class Node:
        to: Any

    def by_deque(n: Node) -> Any:
        return pdeque([*range(length), n, 5])

    def by_append(n: Node) -> Any:
        return pdeque(range(length)).append(n).appendleft(3)

    def by_iterator(n: Node) -> Any:
        it = iter(pdeque([n, *range(length)]))
        next(it)
        return it

    def by_subclass(n: Node) -> Any:
        a: Any = Named([1])
        a.to = n
        return a

    for make in (by_deque, by_append, by_iterator, by_subclass):
        node = Node()
        ref = weakref.ref(node)
        node.to = make(node)
        del node
        gc.collect()
        assert ref() is None, make.__name__


def test_deques_in_deques_die_without_a_crash() -> None:
    for leaf in (1, []):
        a: Any = dq(leaf)
        for i in range(100_000):
            a = dq(1, a, 2) if i % 2 else dq(a)
        del a


def test_deep_nesting_ends_in_a_recursion_error() -> None:
    def deep() -> Any:
        a: Any = dq(1)
        for _ in range(100_000):
            a = dq(a)
        return a

    a = deep()
    for do in (repr, hash, lambda a: a == deep(), pickle.dumps, lambda a: pmap({a: 1})):
        with pytest.raises(RecursionError):
            do(a)


def test_weak_references() -> None:
    a = dq(1, 2)
    ref = weakref.ref(a)
    assert ref() is a
    del a
    assert ref() is None


# ---- model

ITEM = st.one_of(
    st.integers(0, 9),
    st.sampled_from("abc"),
    st.builds(lambda i: (i,), st.integers(0, 3)),
    st.builds(list),
)
ITEMS = st.one_of(st.lists(ITEM, max_size=12), st.integers(0, 150).map(lambda n: list(range(n))))


class DequeMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.a: Any = dq()
        self.model: collections.deque[Any] = collections.deque()
        self.kept: list[tuple[Any, list[Any]]] = []

    @rule(items=ITEMS, maxlen=st.sampled_from([None, None, None, 0, 1, 5, 40]))
    def build(self, items: list[Any], maxlen: int | None) -> None:
        self.a = pdeque(items, maxlen=maxlen)
        self.model = collections.deque(items, maxlen)

    @rule(item=ITEM, left=st.booleans())
    def append(self, item: Any, left: bool) -> None:
        name = "appendleft" if left else "append"
        self.a = getattr(self.a, name)(item)
        getattr(self.model, name)(item)

    @rule(left=st.booleans(), count=st.sampled_from([1, 1, 1, 2, 3, 9, 40]))
    def pop(self, left: bool, count: int) -> None:
        name = "popleft" if left else "pop"
        self.a = getattr(self.a, name)(count)
        for _ in range(min(count, len(self.model))):
            getattr(self.model, name)()

    @rule(items=ITEMS, left=st.booleans())
    def extend(self, items: list[Any], left: bool) -> None:
        name = "extendleft" if left else "extend"
        self.a = getattr(self.a, name)(items)
        getattr(self.model, name)(items)

    @rule(left=st.booleans())
    def extend_with_itself(self, left: bool) -> None:
        if len(self.model) < 1000:
            name = "extendleft" if left else "extend"
            self.a = getattr(self.a, name)(self.a)
            getattr(self.model, name)(list(self.model))

    @rule()
    def reverse(self) -> None:
        self.a = self.a.reverse()
        self.model.reverse()

    @rule(steps=st.integers(-50, 50))
    def rotate(self, steps: int) -> None:
        self.a = self.a.rotate(steps)
        self.model.rotate(steps)

    @rule(item=ITEM)
    def remove(self, item: Any) -> None:
        if item in self.model:
            self.a = self.a.remove(item)
            self.model.remove(item)
        else:
            with pytest.raises(ValueError, match="not in"):
                self.a.remove(item)

    @rule(
        start=st.none() | st.integers(-60, 60),
        stop=st.none() | st.integers(-60, 60),
        step=st.sampled_from([None, 1, 2, -1, -3]),
    )
    def slice(self, start: Any, stop: Any, step: Any) -> None:
        self.a = self.a[start:stop:step]
        self.model = collections.deque(list(self.model)[start:stop:step], self.model.maxlen)

    @rule()
    def keep(self) -> None:
        self.kept = [*self.kept[-4:], (self.a, list(self.model))]

    @rule(item=ITEM, i=st.integers(-60, 60))
    def ask(self, item: Any, i: int) -> None:
        assert self.a.count(item) == self.model.count(item)
        assert (item in self.a) == (item in self.model)
        if item in self.model:
            assert self.a.index(item) == self.model.index(item)
        if -len(self.model) <= i < len(self.model):
            assert self.a[i] == self.model[i]
        if self.model:
            assert (self.a.left, self.a.right) == (self.model[0], self.model[-1])
        other = pdeque(self.model)
        assert other == self.a and not other < self.a and other <= self.a

    @invariant()
    def agrees(self) -> None:
        _core._check(self.a)
        assert list(self.a) == list(self.model) and len(self.a) == len(self.model)
        assert self.a.maxlen == self.model.maxlen

    @invariant()
    def old_values_are_unchanged(self) -> None:
        for a, model in self.kept:
            assert list(a) == model


TestDequeModel = DequeMachine.TestCase
TestDequeModel.settings = settings(
    max_examples=2 * settings().max_examples, stateful_step_count=75
)
