"""A `PRecord` is a mapping, too."""

from __future__ import annotations

import pickle
from collections.abc import Mapping

import pytest

from pstructs import (
    PClass,
    PRecord,
    field,
    m,
    pmap,
    pset,
    stable_hash,
)
from pstructs.errors import UnsavableKeyError


class PointR(PRecord):
    x = field(type=int, mandatory=True, invariant=lambda x: (x >= 0, "x is negative"))
    y = field(type=(int, float))
    z = field(type=int, initial=0)


def test_a_precord_is_a_mapping_in_the_order_of_its_fields() -> None:
    p = PointR(z=3, x=1)
    assert isinstance(p, Mapping)
    assert list(p) == ["x", "z"] == list(p.keys()) == list(p.iterkeys())
    assert list(p.values()) == [1, 3] == list(p.itervalues())
    assert list(p.items()) == [("x", 1), ("z", 3)] == list(p.iteritems())
    assert len(p) == 2 and "x" in p and "y" not in p and [] not in p.values()
    assert p["x"] == 1 and p.get("y") is None and p.get("y", 5) == 5
    with pytest.raises(KeyError):
        p["y"]
    with pytest.raises(TypeError, match="unhashable"):
        p[[]]  # type: ignore[index]
    assert {**p} == {"x": 1, "z": 3}
    match p:
        case {"x": x, "z": 3}:
            assert x == 1
        case _:
            raise AssertionError("no match")


def test_a_precord_equals_every_mapping_of_its_entries() -> None:
    p = PointR(x=1)
    entries = {"x": 1, "z": 0}

    class Other(PRecord):
        z = field()
        x = field()

    for same in (entries, pmap(entries), Other(**entries)):
        assert p == same and same == p
        assert not p != same
    assert hash(p) == hash(pmap(entries)) == hash(Other(**entries))
    assert stable_hash(p) == stable_hash(pmap(entries))
    assert {pmap(entries): 1}[p] == 1 == pmap({p: 1})[pmap(entries)]
    assert pset([p, pmap(entries), Other(**entries)]) == {p}
    assert p != {"x": 1} and p != [("x", 1)]


def test_a_field_named_like_a_method_is_reached_by_subscript() -> None:
    class Awkward(PRecord):
        items = field()
        set = field()
        _build = field()

    a = Awkward(items=1, set=2, _build=3)
    assert (a["items"], a["set"], a["_build"]) == (1, 2, 3)
    assert dict(a.items()) == a == a.set("items", 1)
    assert pickle.loads(pickle.dumps(dict(a))) == a


def test_a_pclass_field_may_have_the_name_of_a_method() -> None:
    class Awkward(PClass):
        set = field()
        evolver = field()
        _replace = field()

    a = Awkward(set=1, evolver=2, _replace=3)
    assert a.set == 1 and a.evolver == 2
    assert a.remove("set") == Awkward(evolver=2, _replace=3)
    assert a.serialize() == {"set": 1, "evolver": 2, "_replace": 3}


def test_updates_merge_mappings_from_the_left() -> None:
    p = PointR(x=1, y=2)
    assert p.update({"x": 5}, m(y=6)) == PointR(x=5, y=6)
    assert p.update_with(lambda a, b: a + b, {"x": 5, "z": 7}) == PointR(x=6, y=2, z=7)
    assert p + {"x": 3} == p | {"x": 3} == PointR(x=3, y=2)
    assert p.discard("y") == PointR(x=1) and p.discard("nothing") is p
    with pytest.raises(KeyError):
        p.remove("nothing")
    with pytest.raises(TypeError):
        p | 5


def test_a_key_with_an_unhashable_or_unstable_value_says_so() -> None:
    class Free(PRecord):
        x = field()

    with pytest.raises(TypeError, match="unhashable"):
        pmap({Free(x=[]): 1})
    odd = Free(x=object())
    assert pmap({odd: 1})[odd] == 1 == pmap({odd: 1})[pmap(odd)]
    with pytest.raises(UnsavableKeyError, match="'object'"):
        stable_hash(odd)


def test_a_record_with_a_hash_of_its_own_is_hashed_by_it() -> None:
    class Own(PRecord):
        x = field()

        def __eq__(self, other: object) -> bool:
            return self is other

        def __hash__(self) -> int:
            return 7

    a = Own(x=1)
    assert a in pset([a]) and pmap(a) not in pset([a])
