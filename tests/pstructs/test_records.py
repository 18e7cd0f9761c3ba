"""PClass and PRecord: flat objects with declared fields."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import weakref
from collections.abc import Hashable
from enum import Enum
from typing import Any

import pytest

import pstructs
from pstructs import (
    InvariantException,
    PClass,
    PRecord,
    PTypeError,
    field,
    optional,
    pmap_field,
    pset_field,
)
from pstructs._transformations import discard, inc, ny
from pstructs.errors import PstructsError


class PointC(PClass):
    x = field(type=int, mandatory=True, invariant=lambda x: (x >= 0, "x is negative"))
    y = field(type=(int, float))
    z = field(type=int, initial=0)


class PointR(PRecord):
    x = field(type=int, mandatory=True, invariant=lambda x: (x >= 0, "x is negative"))
    y = field(type=(int, float))
    z = field(type=int, initial=0)


@pytest.fixture(params=[PointC, PointR])
def point(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_fields_are_read_as_attributes(point: Any) -> None:
    p = point(x=1, y=2.5)
    assert (p.x, p.y, p.z) == (1, 2.5, 0)


def test_an_absent_field_is_no_attribute(point: Any) -> None:
    p = point(x=1)
    assert not hasattr(p, "y")
    assert p.set(y=1).y == 1


def test_set_takes_a_pair_or_keywords_and_leaves_the_old_value(point: Any) -> None:
    p = point(x=1)
    assert p.set("x", 2) == p.set(x=2) == point(x=2)
    assert p.set(x=3, y=4) == point(x=3, y=4)
    assert p == point(x=1)


def test_setting_what_is_there_returns_the_record_itself(point: Any) -> None:
    p = point(x=1, y=2.5)
    assert p.set(x=1) is p
    assert p.set(x=p.x, y=p.y) is p


@pytest.mark.parametrize("change", [{"x": "1"}, {"x": 1, "y": "2"}, {"y": None}])
def test_a_wrong_type_is_refused_and_says_where(point: Any, change: Any) -> None:
    p = point(x=1)
    with pytest.raises(PTypeError, match=rf"Invalid type for field {point.__name__}\.[xy]") as e:
        p.set(**change)
    assert e.value.source_class is point and e.value.field in change
    assert e.value.actual_type in (str, type(None))
    assert isinstance(e.value, TypeError) and isinstance(e.value, PstructsError)
    assert p == point(x=1)
    with pytest.raises(PTypeError):
        point(**{"x": 1, **change})


def test_a_failing_invariant_leaves_nothing_behind(point: Any) -> None:
    p = point(x=1, y=2)
    with pytest.raises(InvariantException) as e:
        p.set(y=3, x=-1)
    assert e.value.invariant_errors == ("x is negative",) and e.value.missing_fields == ()
    assert p == point(x=1, y=2)


def test_missing_mandatory_fields_are_named(point: Any) -> None:
    with pytest.raises(InvariantException) as e:
        point(y=1)
    assert e.value.missing_fields == (f"{point.__name__}.x",)
    with pytest.raises(InvariantException, match=r"missing_fields=\[Point[CR]\.x\]"):
        point(x=1).remove("x")


def test_an_unknown_field_is_refused(point: Any) -> None:
    with pytest.raises(AttributeError, match="'w'"):
        point(x=1, w=1)
    with pytest.raises(AttributeError, match="'w'"):
        point(x=1).set(w=1)
    with pytest.raises(TypeError, match="by keyword only"):
        point(1)
    with pytest.raises(TypeError, match="a name and a value"):
        point(x=1).set("x")


def test_records_never_change(point: Any) -> None:
    p = point(x=1)
    with pytest.raises(AttributeError, match="set"):
        p.x = 2
    with pytest.raises(AttributeError):
        del p.x
    with pytest.raises(AttributeError):
        p.w = 2
    assert p == point(x=1)


def test_equal_records_have_equal_hashes(point: Any) -> None:
    a, b = point(x=1, y=2), point(y=2, x=True + 0)
    assert a == b and hash(a) == hash(b) and not a != b
    assert a != point(x=1) and a != point(x=2, y=2) and a != 5
    assert {a: 1}[b] == 1
    assert isinstance(a, Hashable) and a.copy() is a is copy.copy(a)
    with pytest.raises(TypeError, match="unhashable"):
        hash(Anything(x=[]))


class Anything(PClass):
    x = field()


def test_records_are_not_orderable(point: Any) -> None:
    with pytest.raises(TypeError):
        assert point(x=1) < point(x=2)


def test_pickle_and_deepcopy_give_an_equal_record(point: Any) -> None:
    p = point(x=1, y=2)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        back = pickle.loads(pickle.dumps(p, protocol))
        assert back == p and type(back) is point
    assert copy.deepcopy(p) == p


def test_evolvers_collect_changes(point: Any) -> None:
    p = point(x=1)
    e = p.evolver()
    assert e.persistent() is p
    e["x"] = 5
    assert e.set("y", 7) is e and e["y"] == 7
    assert e.persistent() == point(x=5, y=7)
    e.remove("y")
    del e["z"]
    assert not hasattr(e.persistent(), "y")
    assert p == point(x=1)


def test_transform_goes_through_records(point: Any) -> None:
    class Holder(PClass):
        points = pmap_field(str, point)

    h = Holder(points={"a": point(x=1), "b": point(x=2)})
    assert h.transform(["points", ny, "x"], inc).points == {"a": point(x=2), "b": point(x=3)}
    assert h.transform(["points", "a", "z"], 5).points["a"].z == 5
    assert h.transform(["points", ny, "x"], lambda x: x) == h


def test_transform_discards_a_field() -> None:
    assert PointR(x=1, y=2).transform(["y"], discard) == PointR(x=1)


def test_global_invariants_see_the_whole_record_and_are_inherited(point: Any) -> None:
    calls = []

    class Ordered(point):
        __invariant__ = lambda p: (calls.append(1) or p.x < p.z, "z is not above x")  # type: ignore[func-returns-value]  # noqa: E731

    class Below(Ordered):
        w = field()

    assert Below(x=1, z=2, w=0).z == 2
    calls.clear()
    for bad in (lambda: Below(x=1), lambda: Below(x=1, z=2).set(x=5)):
        with pytest.raises(InvariantException, match="Global invariant") as e:
            bad()
        assert e.value.invariant_errors == ("z is not above x",)
    assert len(calls) == 3


def test_an_invariant_may_give_several_verdicts(point: Any) -> None:
    class Many(point):
        w = field(invariant=lambda w: [(w > 0, "small"), (w % 2 == 0, "odd")])

    assert Many(x=1, w=2).w == 2
    with pytest.raises(InvariantException) as e:
        Many(x=-1, w=-1)
    assert e.value.invariant_errors == ("x is negative", ("small", "odd"))


def test_factories_run_for_what_is_given_only(point: Any) -> None:
    calls = []

    def number(x: Any) -> int:
        calls.append(x)
        return int(x)

    class Parsed(point):
        w = field(type=int, factory=number)

    p = Parsed(x=1, w="3")
    assert p.w == 3 and p.set(x=2).w == 3 and calls == ["3"]
    assert p.set(w="4").w == 4 and calls == ["3", "4"]


def test_initial_values_may_be_called_for(point: Any) -> None:
    class Listed(point):
        w = field(initial=list)

    a, b = Listed(x=1), Listed(x=1)
    assert a.w == [] == b.w and a.w is not b.w


def test_fields_of_a_subclass_come_after_those_of_its_base(point: Any) -> None:
    class Sub(point):
        w = field(initial=9)
        x = field(type=str)

    s = Sub(x="one")
    assert (s.x, s.w, s.z) == ("one", 9, 0)
    assert repr(s) == "Sub(x='one', z=0, w=9)"
    assert isinstance(s, point)
    with pytest.raises(PTypeError):
        Sub(x=1)
    assert point(x=1).x == 1


def test_two_bases_with_fields_are_refused_with_a_reason() -> None:
    class A(PRecord):
        a = field()

    class B(PRecord):
        b = field()

    with pytest.raises(TypeError, match="only one of them may have fields"):
        type(PRecord)("C", (A, B), {})

    class Greeter:
        __slots__ = ()

        def greet(self) -> str:
            return f"I have {len(self)}"  # type: ignore[arg-type]

    class D(A, Greeter):
        pass

    assert D(a=1).greet() == "I have 1"


def test_a_class_may_have_its_own_new_and_init(point: Any) -> None:
    class Double(point):
        def __new__(cls, **kwargs: Any) -> Any:
            if "both" in kwargs:
                both = kwargs.pop("both")
                return super().__new__(cls, x=both, y=both, **kwargs)
            return super().__new__(cls, **kwargs)

    d = Double(both=3)
    assert (d.x, d.y) == (3, 3) and type(d) is Double
    assert d.set(x=4).x == 4


def test_types_may_be_named(point: Any) -> None:
    class Node(PClass):
        value = field(type=int)
        next = field(type=optional(f"{__name__}.NamedNode"))

    Node.__qualname__ = Node.__name__ = "NamedNode"
    Node.__module__ = __name__
    globals()["NamedNode"] = Node
    n = Node(value=1, next=Node(value=2, next=None))
    assert n.next.value == 2 and n.set(value=5).next is n.next
    with pytest.raises(PTypeError):
        n.set(next=5)


def test_a_nested_record_is_made_from_plain_data_and_serialized_back(point: Any) -> None:
    class Line(PClass):
        start = field(type=point)
        tags = pset_field(str)
        lengths = pmap_field(str, float, optional=True)

    data = {"start": {"x": 1, "z": 0}, "tags": {"a"}, "lengths": {"m": 1.5}}
    line = Line.create(data)
    assert line.start == point(x=1) and line.serialize() == data
    assert Line.create(line) is line
    extra = {**data, "more": 1, "start": {"x": 1, "z": 0, "q": 0}}
    assert Line.create(extra, ignore_extra=True) == line
    with pytest.raises(AttributeError):
        Line.create(extra)


def test_serializers_get_the_format() -> None:
    class Priced(PClass):
        price = field(serializer=lambda format, price: format.format(price))

    assert Priced(price=5).serialize("{} EUR") == {"price": "5 EUR"}


def test_an_enum_is_a_type() -> None:
    class Color(Enum):
        RED = 1

    class Painted(PRecord):
        color = field(type=Color)

    assert Painted(color=Color.RED).color is Color.RED
    with pytest.raises(PTypeError):
        Painted(color=1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"type": 5},
        {"initial": "x", "type": int},
        {"invariant": 5},
        {"factory": 5},
        {"serializer": 5},
    ],
)
def test_field_refuses_what_makes_no_sense(arguments: Any) -> None:
    with pytest.raises(TypeError):
        field(**arguments)
    with pytest.raises(TypeError, match="Invariants must be callable"):
        type(PClass)("Bad", (PClass,), {"__invariant__": 5})


# ---- user code that misbehaves


class Bang(Exception):
    pass


def bang(*_: Any) -> Any:
    raise Bang


def test_user_code_that_raises_leaves_the_old_value(point: Any) -> None:
    armed: list[int] = []

    def maybe(value: Any) -> Any:
        return bang() if armed else value

    class Wild(point):
        a = field(invariant=lambda v: (maybe(v) is v, ""))
        b = field(factory=maybe)
        c = field(initial=lambda: maybe(1))

    w = Wild(x=1, a=1, b=1)
    before = w._to_dict()
    armed.append(1)
    for change in ({"a": 2}, {"b": 2}, {"x": 2, "a": 3}):
        with pytest.raises(Bang):
            w.set(**change)
        assert w._to_dict() == before
    with pytest.raises(Bang):
        Wild(x=1)
    armed.clear()
    assert w.set(a=2, b=2, x=2)._to_dict() == {**before, "a": 2, "b": 2, "x": 2}


def test_an_evolver_goes_on_after_a_failure(point: Any) -> None:
    e = point(x=1).evolver()
    with pytest.raises(Exception, match=r"is not among|are not among"):
        e.set("nothing", 1)
        e.persistent()
    e = point(x=1).evolver()
    e["x"] = -1
    for _ in range(2):
        with pytest.raises(InvariantException):
            e.persistent()


def test_an_invariant_may_use_the_class_that_it_guards(point: Any) -> None:
    class Self(point):
        w = field(invariant=lambda w: (w == 0 or Self(x=1, w=w - 1).w == w - 1, ""))

    assert Self(x=1, w=20).w == 20


def test_a_layout_that_is_replaced_while_it_is_used_stays_alive(point: Any) -> None:
    class Odd(point):
        w = field(invariant=lambda w: (replace(), ""))

    def replace() -> bool:
        Odd._record_layout = Other._record_layout
        gc.collect()
        return True

    class Other(point):
        pass

    with pytest.raises(TypeError, match="has no fields"):
        Odd(x=1, w=1) and Odd(x=1, w=1)


def test_a_class_whose_layout_is_gone_raises(point: Any) -> None:
    class Bare(point):
        pass

    b = Bare(x=1)
    Bare._record_layout = None
    for use in (lambda: Bare(x=1), lambda: b.set(x=2), b._to_dict, lambda: hash(b)):
        with pytest.raises(TypeError, match="has no fields"):
            use()


def test_comparing_fields_may_raise(point: Any) -> None:
    class Rude:
        __hash__ = None  # type: ignore[assignment]
        __eq__ = bang

    class Free(point):
        w = field()

    with pytest.raises(Bang):
        assert Free(x=1, w=Rude()) == Free(x=1, w=Rude())
    same = Rude()
    assert Free(x=1, w=same) == Free(x=1, w=same)


# ---- memory


def test_records_can_be_weakly_referenced(point: Any) -> None:
    class Sub(point):
        w = field()

    s = Sub(x=1)
    ref = weakref.ref(s)
    assert ref() is s
    del s
    gc.collect()
    assert ref() is None


def test_cycles_through_records_are_collected(point: Any) -> None:
    class Free(point):
        w = field()

    box: list[Any] = []
    r = Free(x=1, w=box)
    box.append(r)
    ref = weakref.ref(r)
    del r, box
    gc.collect()
    assert ref() is None


def test_classes_are_collected(point: Any) -> None:
    def use() -> weakref.ref[Any]:
        class Temporary(point):
            w = field(invariant=lambda w: (True, Temporary))

        assert hash(Temporary(x=1, w=2)) == hash(Temporary(x=1, w=2))
        return weakref.ref(Temporary)

    ref = use()
    gc.collect()
    assert ref() is None


def test_a_record_is_as_small_as_its_fields(point: Any) -> None:
    class Other(point):
        pass

    assert sys.getsizeof(point(x=1)) == sys.getsizeof(Other(x=1))
    assert not hasattr(point(x=1), "__dict__")
    assert point.__basicsize__ == PClass.__basicsize__ + 3 * 8


def test_deep_nesting_ends_in_recursion_error() -> None:
    pair: list[Any] = [None, None]
    for _ in range(100_000):
        pair = [Anything(x=pair[0]), Anything(x=pair[1])]
    for use in (lambda: pair[0] == pair[1], lambda: hash(pair[0]), lambda: repr(pair[0])):
        with pytest.raises(RecursionError):
            use()
    with pytest.raises((RecursionError, pickle.PicklingError)):
        pickle.dumps(pair[0])
    pair.clear()
    gc.collect()


def test_more_fields_than_bits_in_a_word() -> None:
    names = [f"f{i}" for i in range(70)]
    Wide = type(PRecord)("Wide", (PRecord,), {n: field(type=int, initial=0) for n in names})
    w = Wide(f69=1)
    assert w["f69"] == 1 and len(w) == 70 and w.set(f0=5).f0 == 5
    with pytest.raises(PTypeError):
        w.set(f69="x")
    assert pstructs.pmap(w) == w
