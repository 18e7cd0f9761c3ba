"""What a PSet promises, method by method."""

from __future__ import annotations

import copy
import itertools
import operator
import pickle
import weakref
from collections.abc import Hashable, Iterator, Set
from typing import Any

import pytest

from pstructs import PSet, _core, m, pset, s

SIZES = [0, 1, 2, 10, 33, 1000]


class OtherSet(Set[Any]):
    """A Set of somebody else."""

    def __init__(self, elements: Any) -> None:
        self.elements = list(dict.fromkeys(elements))

    def __contains__(self, x: object) -> bool:
        return x in self.elements

    def __iter__(self) -> Iterator[Any]:
        return iter(self.elements)

    def __len__(self) -> int:
        return len(self.elements)


KINDS: list[Any] = [set, frozenset, pset, OtherSet, lambda x: dict.fromkeys(x).keys()]
PAIRS = [
    (range(0), range(0)),
    (range(0), range(5)),
    (range(5), range(0)),
    (range(5), range(5)),
    (range(5), range(3, 8)),
    (range(5), range(5, 10)),
    (range(3), range(10)),
    (range(200), range(150, 350)),
    (range(50), [f"k{i}" for i in range(40)]),
]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(
    "source", [list, tuple, set, frozenset, iter, pset, dict.fromkeys, OtherSet, m().update]
)
def test_every_iterable_gives_the_same_set(n: int, source: Any) -> None:
    elements = [i if i % 2 else f"k{i}" for i in range(n)]
    given = m().update((e, 1) for e in elements) if source == m().update else source(elements)
    got = pset(given)
    assert got == set(elements) and len(got) == n and set(got) == set(elements)
    _core._check(got)


def test_ways_to_make_a_set() -> None:
    assert pset() is s() is pset([]) is PSet() is s(1).remove(1)
    assert s(1, 2, 1) == pset([1, 2]) == PSet([2, 1]) == {1, 2}
    assert pset(iterable=[1], pre_size=4) == {1}
    assert pset(m(a=1)) == pset(m(a=1).keys()) == {"a"}
    a = s(1)
    assert pset(a) is a and PSet(a) is a
    for wrong in (lambda: pset(5), lambda: s([])):
        with pytest.raises(TypeError):
            wrong()  # type: ignore[no-untyped-call]
    with pytest.raises(TypeError, match="at most 1 argument"):
        PSet([1], [2])  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        PSet(iterable=[1])  # type: ignore[call-arg]


@pytest.mark.parametrize("n", SIZES)
def test_updates_leave_the_old_set_alone(n: int) -> None:
    elements = set(range(n))
    a = pset(elements)
    assert a.add("new") == elements | {"new"}
    assert a.update([1, 2, "x"], "ab") == elements | {1, 2, "x", "a", "b"}
    for x in list(elements)[:5]:
        assert a.remove(x) == elements - {x}
        assert a.discard(x) == elements - {x}
        assert a.add(x) is a
    assert a == elements
    assert a.discard("no") is a and a.update() is a
    with pytest.raises(KeyError) as error:
        a.remove((1, 2))
    assert error.value.args == ((1, 2),)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_operators_agree_with_set_from_both_sides(kind: Any, left: Any, right: Any) -> None:
    a, b = set(left), set(right)
    for op in (operator.or_, operator.and_, operator.sub, operator.xor):
        for got in (op(pset(a), kind(b)), op(kind(a), pset(b))):
            if not isinstance(got, set):  # dict views answer with a set of their own
                assert type(got) in (PSet, OtherSet)
            assert got == op(a, b)
            if isinstance(got, PSet):
                _core._check(got)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_comparisons_agree_with_set_from_both_sides(kind: Any, left: Any, right: Any) -> None:
    a, b = set(left), set(right)
    ops = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)
    for op in ops:
        assert op(pset(a), kind(b)) is op(a, b)
        assert op(kind(a), pset(b)) is op(a, b)
        assert op(pset(a), kind(a)) is op(a, a)


@pytest.mark.parametrize(("left", "right"), PAIRS)
@pytest.mark.parametrize("kind", [list, iter, pset, set, tuple])
def test_named_methods_take_any_iterable(kind: Any, left: Any, right: Any) -> None:
    a, b = set(left), set(right)
    p = pset(a)
    assert p.union(kind(b)) == a | b
    assert p.intersection(kind(b)) == a & b
    assert p.difference(kind(b)) == a - b
    assert p.symmetric_difference(kind(b)) == a ^ b
    assert p.issubset(kind(b)) == a.issubset(b)
    assert p.issuperset(kind(b)) == a.issuperset(b)
    assert p.isdisjoint(kind(b)) == a.isdisjoint(b)
    assert p == a


def test_named_methods_take_several() -> None:
    a = pset(range(10))
    assert a.union([20], [30]) == {*range(10), 20, 30}
    assert a.intersection(range(5), range(3, 9)) == {3, 4}
    assert a.difference([1], [2]) == set(range(10)) - {1, 2}
    assert a.union() is a and a.intersection() is a and a.difference() is a


def test_operators_take_iterables_on_the_right_as_the_set_class_does() -> None:
    a: Any = s(1, 2)
    assert a | [3] == {1, 2, 3} and a & (2,) == {2} and a - iter([1]) == {2} and a ^ [2] == {1}
    for op in (operator.or_, operator.and_, operator.sub, operator.xor):
        for other in (1, None):
            with pytest.raises(TypeError):
                op(a, other)
            with pytest.raises(TypeError):
                op(other, a)
        with pytest.raises(TypeError):
            op([1], a)
    for op in (operator.lt, operator.le, operator.gt, operator.ge):
        with pytest.raises(TypeError):
            op(a, [1, 2])
    assert a != [1, 2] and a != 1


def test_operations_that_change_nothing_share_the_set() -> None:
    a = pset(range(100))
    assert a | a is a and a & a is a and a | pset(range(50)) is a
    assert a - pset() is a and a ^ pset() is a and a.union(range(3)) is a
    assert a - a is pset() and a ^ a is pset()


def test_union_keeps_the_elements_of_the_left() -> None:
    assert type(next(iter(s(1) | {True}))) is int
    assert type(next(iter(s(1).add(True)))) is int


def test_hash_is_that_of_the_frozenset() -> None:
    samples: list[Any] = [[], [0], range(100), ["a", "b"], [(1, 2), None, 1.5], [frozenset([1])]]
    for n in range(4):
        samples.extend(itertools.permutations([1, "b", (2,)], n))
    for elements in samples:
        assert hash(pset(elements)) == hash(frozenset(elements))
    assert {frozenset([1, 2]): "x"}[s(2, 1)] == "x"  # type: ignore[index]


def test_sets_are_registered_with_the_abstract_classes() -> None:
    assert isinstance(s(), Set) and isinstance(s(), Hashable)
    assert not isinstance(s(), (set, frozenset))


def test_repr_shows_the_elements() -> None:
    assert repr(s()) == "pset()"
    assert repr(s(1)) == str(s(1)) == "pset([1])"
    assert eval(repr(s(1, "x", (2,)))) == {1, "x", (2,)}


def test_no_indexing_and_no_reverse() -> None:
    a: Any = s(1)
    with pytest.raises(TypeError):
        a[0]
    with pytest.raises(TypeError, match=r"hash order.*sorted\("):
        reversed(a)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_round_trips_under_every_protocol(protocol: int) -> None:
    for n in SIZES:
        again = pickle.loads(pickle.dumps(pset(range(n)), protocol))
        assert again == set(range(n)) and type(again) is PSet


def test_copies_and_weak_references() -> None:
    a = s(1, (2, 3))
    assert a.copy() is a and copy.copy(a) is a
    assert copy.deepcopy(a) == a
    b = a.add("x")
    ref = weakref.ref(b)
    assert ref() is b
    del b
    assert ref() is None


def test_a_set_is_no_mapping_nor_sequence_for_match() -> None:
    match s(1):
        case {} | []:
            raise AssertionError
        case PSet():
            pass
        case _:
            raise AssertionError


class Tagged(PSet):  # type: ignore[type-arg]
    def __new__(cls, source: Any = (), tag: str = "") -> Tagged:
        self = super().__new__(cls, source)
        self.tag = tag
        return self


def test_a_subclass_keeps_its_attributes_and_makes_plain_sets() -> None:
    t = Tagged([1, 2], "x")
    assert t == {1, 2} and t.tag == "x"
    made: Any
    for made in (t.add(3), t | [3], t & [1], {3} | t, t.remove(1), t.union([4])):
        assert type(made) is PSet
    assert t.discard(9) is t
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(t, protocol))
        assert type(again) is Tagged and again == t and again.tag == "x"


def test_a_subclass_may_override_an_operator_and_call_the_base() -> None:
    class Loud(PSet):  # type: ignore[type-arg]
        def __or__(self, other: Any) -> Any:
            return ("loud", super().__or__(other))

        def __sub__(self, other: Any) -> Any:
            return super().__sub__(other)

    loud = Loud([1])
    assert loud | {2} == ("loud", {1, 2})
    assert loud - {1} == set() and {5} - loud == {5}


def test_class_getitem_and_truth() -> None:
    assert PSet[int]([1]) == {1}
    assert not s() and s(0)
