"""keys(), values() and items(): windows on a map that behave as Python's own."""

from __future__ import annotations

import operator
from collections.abc import Collection, ItemsView, KeysView, Set, ValuesView
from typing import Any

import pytest

from pstructs import PSet, _core, m, pmap, pset

BASE = {i: f"v{i}" for i in range(200)}
RELATED: list[dict[Any, Any]] = [
    {},
    BASE,
    {**BASE, 5: "other"},
    {**BASE, 500: "new"},
    {k: v for k, v in BASE.items() if k % 3},
    {k + 100: f"v{k}" for k in BASE},
    {1: "v1"},
    {1: "x"},
]
OPS = (operator.or_, operator.and_, operator.sub, operator.xor)
COMPARE = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)


def variants(d: dict[Any, Any]) -> list[Any]:
    """The dict itself, an unrelated map, and one that shares nodes with BASE's."""
    shared = pmap(BASE)
    for k in BASE.keys() - d.keys():
        shared = shared.remove(k)
    for k, v in d.items():
        shared = shared.set(k, v)
    return [d, pmap(d), shared]


def test_views_are_views() -> None:
    a = m(a=1)
    assert isinstance(a.keys(), KeysView) and isinstance(a.keys(), Set)
    assert isinstance(a.items(), ItemsView) and isinstance(a.items(), Set)
    assert isinstance(a.values(), ValuesView) and isinstance(a.values(), Collection)
    assert not isinstance(a.values(), Set)
    assert a.keys().mapping is a and a.items().mapping is a and a.values().mapping is a


@pytest.mark.parametrize("d", RELATED)
def test_views_hold_what_the_map_holds(d: dict[Any, Any]) -> None:
    a = pmap(d)
    assert len(a.keys()) == len(a.values()) == len(a.items()) == len(d)
    assert set(a.keys()) == set(d) and set(a.items()) == set(d.items())
    assert sorted(a.values()) == sorted(d.values())
    for k, v in d.items():
        assert k in a.keys() and v in a.values() and (k, v) in a.items()
    assert "no" not in a.keys() and "no" not in a.values()
    for wrong in (("no", 1), (1, "no"), (1,), (1, 2, 3), 1, None, [1, "v1"]):
        assert wrong not in a.items()


@pytest.mark.parametrize("d", RELATED)
@pytest.mark.parametrize("view", ["keys", "items"])
def test_set_operators_agree_with_dict_views(d: dict[Any, Any], view: str) -> None:
    mine = getattr(pmap(BASE), view)()
    theirs = getattr(BASE, view)()
    for other in variants(d):
        for right in (getattr(other, view)(), set(getattr(other, view)())):
            for op in OPS:
                got = op(mine, right)
                assert type(got) is PSet
                _core._check(got)
                assert got == op(theirs, getattr(d, view)())
            reflected = operator.sub(right, mine)
            assert reflected == getattr(d, view)() - theirs


@pytest.mark.parametrize("d", RELATED)
@pytest.mark.parametrize("view", ["keys", "items"])
def test_comparisons_agree_with_dict_views(d: dict[Any, Any], view: str) -> None:
    mine = getattr(pmap(BASE), view)()
    theirs = getattr(BASE, view)()
    for other in variants(d):
        for right in (getattr(other, view)(), set(getattr(other, view)())):
            for op in COMPARE:
                assert op(mine, right) is op(theirs, getattr(d, view)())
                assert op(right, mine) is op(getattr(d, view)(), theirs)
            assert mine.isdisjoint(right) is theirs.isdisjoint(getattr(d, view)())
        assert mine.isdisjoint(iter(getattr(other, view)())) is theirs.isdisjoint(
            getattr(d, view)()
        )


def test_items_with_equal_values_of_another_type_are_equal() -> None:
    a, b = m(a=1, b=2), m(a=True, b=3)
    assert a.items() - b.items() == {("b", 2)}
    assert a.items() ^ b.items() == {("b", 2), ("b", 3)}
    assert m(a=1).items() == m(a=1.0).items()
    assert m(a=1).items() <= m(a=True, b=0).items()


def test_items_with_unhashable_values_compare_and_refuse_operators() -> None:
    a, b = m(a=[1]), m(a=[1])
    assert a.items() == b.items() and a.items() <= b.items()
    assert ("a", [1]) in a.items()
    with pytest.raises(TypeError, match="unhashable"):
        a.items() | b.items()


def test_keys_with_psets_and_iterables() -> None:
    a = m(a=1, b=2)
    assert a.keys() & pset("bc") == pset("b") == pset("bc") & a.keys()
    assert a.keys() | ["z"] == {"a", "b", "z"}
    assert a.keys() == pset("ab") and pset("ab") == a.keys() and a.keys() <= pset("abc")
    with pytest.raises(TypeError):
        a.keys() | 1  # type: ignore[operator]


def test_hashes_of_set_views_are_those_of_frozensets() -> None:
    a = pmap(BASE)
    assert hash(a.keys()) == hash(frozenset(BASE))
    assert hash(a.items()) == hash(frozenset(BASE.items())) == hash(a)
    assert {a.keys(): 1}[frozenset(BASE)] == 1  # type: ignore[index]


def test_values_compare_by_identity_of_the_view() -> None:
    a = m(a=1)
    v = a.values()
    assert v == v and v != a.values()


def test_reprs_name_the_view() -> None:
    a = m(a=1)
    assert repr(a.keys()) == "pmap_keys(['a'])"
    assert repr(a.values()) == "pmap_values([1])"
    assert repr(a.items()) == "pmap_items([('a', 1)])"
    loop: list[Any] = []
    view = m(a=loop).values()
    loop.append(view)
    assert repr(view) == "pmap_values([[pmap_values(...)]])"


def test_a_view_keeps_its_map_alive() -> None:
    view = pmap(dict(BASE)).items()
    assert dict(view) == BASE
