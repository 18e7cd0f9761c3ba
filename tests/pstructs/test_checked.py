"""Checked collections accept certain types only, and keep invariants."""

from __future__ import annotations

import copy
import pickle
import weakref
from typing import Any

import pytest

from pstructs import (
    CheckedKeyTypeError,
    CheckedPMap,
    CheckedPSet,
    CheckedPVector,
    CheckedType,
    CheckedTypeError,
    CheckedValueTypeError,
    InvariantException,
    PClass,
    PMap,
    PRecord,
    PSet,
    PVector,
    field,
    optional,
    pmap,
    pmap_field,
    pset,
    pset_field,
    pvector,
    pvector_field,
    thaw,
)


class Small(CheckedPSet[int]):
    __type__ = int
    __invariant__ = lambda n: (n < 10, f"{n} is large")  # noqa: E731


class Table(CheckedPMap[str, int]):
    __key_type__ = str
    __value_type__ = optional(int)
    __invariant__ = lambda k, v: (k != "bad", "bad key")  # noqa: E731


class Steps(CheckedPVector[int]):
    __type__ = int
    __invariant__ = lambda n: (n < 10, f"{n} is large")  # noqa: E731


SMALL, TABLE, STEPS = Small([1, 2]), Table({"a": 1, "b": None}), Steps([1, 2, 3])
ALL = [SMALL, TABLE, STEPS]

GROWS: list[tuple[Any, Any, Any]] = [
    (SMALL, lambda c, x: c.add(x), {1, 2, 5}),
    (SMALL, lambda c, x: c.update([x]), {1, 2, 5}),
    (SMALL, lambda c, x: c.evolver().add(x).persistent(), {1, 2, 5}),
    (SMALL, lambda c, x: c.evolver().update([2, x]).persistent(), {1, 2, 5}),
    (TABLE, lambda c, x: c.set("a", x), {"a": 5, "b": None}),
    (TABLE, lambda c, x: c.update({"a": x}), {"a": 5, "b": None}),
    (TABLE, lambda c, x: c + {"a": x}, {"a": 5, "b": None}),
    (TABLE, lambda c, x: c | pmap({"a": x}), {"a": 5, "b": None}),
    (TABLE, lambda c, x: c.update_with(lambda a, b: b, {"a": x}), {"a": 5, "b": None}),
    (TABLE, lambda c, x: c.transform(["a"], x), {"a": 5, "b": None}),
    (TABLE, lambda c, x: c.evolver().update({"a": x}).persistent(), {"a": 5, "b": None}),
    (STEPS, lambda c, x: c.append(x), [1, 2, 3, 5]),
    (STEPS, lambda c, x: c.extend([x]), [1, 2, 3, 5]),
    (STEPS, lambda c, x: c + [x], [1, 2, 3, 5]),
    (STEPS, lambda c, x: c.set(0, x), [5, 2, 3]),
    (STEPS, lambda c, x: c.mset(0, x, 1, 4), [5, 4, 3]),
    (STEPS, lambda c, x: c.insert(1, x), [1, 5, 2, 3]),
    (STEPS, lambda c, x: c.appendleft(x), [5, 1, 2, 3]),
    (STEPS, lambda c, x: c.prepend(x), [5, 1, 2, 3]),
    (STEPS, lambda c, x: c.extendleft([4, x]), [5, 4, 1, 2, 3]),
    (STEPS, lambda c, x: c.transform([0], x), [5, 2, 3]),
    (STEPS, lambda c, x: c.evolver().insert(0, x).persistent(), [5, 1, 2, 3]),
    (STEPS, lambda c, x: c.evolver().extend([x]).persistent(), [1, 2, 3, 5]),
]


@pytest.mark.parametrize(("start", "grow", "expected"), GROWS)
def test_what_comes_in_is_checked_and_the_old_value_stays(
    start: Any, grow: Any, expected: Any
) -> None:
    before = repr(start)
    grown = grow(start, 5)
    assert grown == expected and type(grown) is type(start)
    with pytest.raises(CheckedValueTypeError, match="can only be used with") as e:
        grow(start, "five")
    assert e.value.actual_value == "five" and e.value.source_class is type(start)
    if start is not TABLE:
        with pytest.raises(InvariantException) as broken:
            grow(start, 11)
        assert broken.value.invariant_errors == ("11 is large",)
    assert repr(start) == before


@pytest.mark.parametrize(
    ("shrunk", "expected"),
    [
        (SMALL.remove(1), {2}),
        (SMALL.discard(1), {2}),
        (TABLE.remove("a"), {"b": None}),
        (TABLE.discard("a"), {"b": None}),
        (STEPS.pop(), [1, 2]),
        (STEPS.popleft(), [2, 3]),
        (STEPS.delete(0, 2), [3]),
        (STEPS.remove(2), [1, 3]),
        (STEPS.evolver().delete(0).persistent(), [2, 3]),
        (SMALL.evolver().discard(1).persistent(), {2}),
    ],
)
def test_what_takes_out_keeps_the_class(shrunk: Any, expected: Any) -> None:
    assert shrunk == expected and isinstance(shrunk, CheckedType)


def test_what_changes_nothing_returns_the_collection_itself() -> None:
    assert SMALL.add(1) is SMALL and SMALL.discard(7) is SMALL
    assert TABLE.discard("nothing") is TABLE
    assert all(c.evolver().persistent() is c and type(c)(c) is c for c in ALL)
    assert all(copy.copy(c) == c and type(copy.copy(c)) is type(c) for c in ALL)


def test_a_key_of_a_wrong_type_is_told_from_a_value() -> None:
    with pytest.raises(CheckedKeyTypeError) as e:
        TABLE.set(5, 5)  # type: ignore[arg-type]
    assert isinstance(e.value, CheckedTypeError) and isinstance(e.value, TypeError)
    back = pickle.loads(pickle.dumps(e.value))
    assert str(back) == str(e.value) and back.actual_value == 5
    with pytest.raises(InvariantException, match="bad key"):
        TABLE.set("bad", 1)


def test_an_evolver_checks_types_at_once_and_invariants_in_the_end() -> None:
    e = SMALL.evolver()
    with pytest.raises(CheckedValueTypeError):
        e.add("x")
    e.add(11)
    assert 11 in e and len(e) == 3 and e.is_dirty()
    for _ in range(2):
        with pytest.raises(InvariantException):
            e.persistent()


@pytest.mark.parametrize("value", ALL, ids=lambda value: type(value).__name__)
def test_a_checked_collection_is_a_plain_one_as_well(value: Any) -> None:
    plain = {Small: pset, Table: pmap, Steps: pvector}[type(value)](value)
    assert isinstance(value, PSet | PMap | PVector) and type(plain) is not type(value)
    assert value == plain and plain == value and hash(value) == hash(plain)
    assert pmap({value: 1})[plain] == 1
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        back = pickle.loads(pickle.dumps(value, protocol))
        assert back == value and type(back) is type(value)
    assert copy.deepcopy(value) == value and weakref.ref(value)() is value
    assert type(value).create(value.serialize()) == value
    assert repr(value).startswith(type(value).__name__ + "(")
    with pytest.raises(AttributeError):
        value.new_attribute = 1


def test_construction_from_a_plain_collection_checks_it() -> None:
    with pytest.raises(CheckedValueTypeError):
        Small(pset(["x"]))
    with pytest.raises(CheckedKeyTypeError):
        Table(pmap({1: 1}))
    with pytest.raises(InvariantException):
        Steps(pvector([11]))


def test_checked_things_nest_and_are_created_from_plain_data() -> None:
    class Item(PRecord):
        n = field(type=int)

    class Shelf(CheckedPVector[Any]):
        __type__ = Item

    class House(CheckedPMap[str, Any]):
        __key_type__ = str
        __value_type__ = Shelf

    data = {"hall": [{"n": 1}, {"n": 2}], "attic": []}
    house = House.create(data)
    assert house["hall"][1].n == 2 and type(house["attic"]) is Shelf
    assert house.serialize() == data and thaw(house) == data
    extra = {"hall": [{"n": 1, "m": 5}]}
    assert House.create(extra, ignore_extra=True) == House.create({"hall": [{"n": 1}]})
    with pytest.raises(AttributeError):
        House.create(extra)


def test_serializers_of_a_class_are_inherited() -> None:
    class Loud(CheckedPSet[str]):
        __type__ = str

        def __serializer__(self, format: Any, value: Any) -> Any:
            return format(value)

    class Louder(Loud):
        pass

    assert Louder(["a"]).serialize(str.upper) == {"A"}


def test_types_and_invariants_of_all_bases_hold() -> None:
    class Tiny(Small):
        __invariant__ = lambda n: (n != 5, "five")  # noqa: E731

    class Tinier(Tiny):
        pass

    with pytest.raises(CheckedValueTypeError):
        Tinier(["x"])  # type: ignore[list-item]
    for bad, error in ((5, "five"), (11, "11 is large")):
        with pytest.raises(InvariantException) as e:
            Tinier([bad])
        assert e.value.invariant_errors == (error,)


def test_fields_of_one_type_share_a_class_and_those_of_other_invariants_do_not() -> None:
    class A(PClass):
        a = pvector_field(int)
        b = pvector_field(int, item_invariant=lambda n: (n > 0, "small"))
        c = pset_field((int, str))
        d = pmap_field(str, (int, float), optional=True)

    class B(PClass):
        a = pvector_field(int)

    a = A(a=[0], b=[1], c=["x", 1], d=None)
    assert type(a.a) is type(B().a) is not type(a.b)
    assert [type(x).__name__ for x in (a.a, a.b, a.c)] == [
        "IntPVector",
        "IntPVector",
        type(a.c).__name__,
    ]
    with pytest.raises(InvariantException, match="small"):
        a.b.append(0)
    for value in (a.a, a.b, a.c, A().d):
        back = pickle.loads(pickle.dumps(value))
        assert back == value and type(back) is type(value)


def test_an_invariant_that_returns_nonsense_is_named() -> None:
    class Odd(CheckedPSet[int]):
        __invariant__ = lambda n: "no"  # noqa: E731

    with pytest.raises(TypeError, match="an invariant returns"):
        Odd([1])
