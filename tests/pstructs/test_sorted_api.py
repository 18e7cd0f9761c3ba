"""Sorted maps and sets: each promise of their methods once, errors included."""

from __future__ import annotations

import copy
import gc
import operator
import pickle
import weakref
from collections import OrderedDict
from collections.abc import Hashable, ItemsView, KeysView, Mapping, Set, ValuesView
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

import pstructs
from pstructs import (
    PSortedMap,
    PSortedSet,
    _core,
    m,
    pmap,
    pset,
    psortedmap,
    psortedset,
    stable_hash,
)
from pstructs.errors import MergeConflictError

NAN = float("nan")


def lower(key: str) -> str:
    return key.lower()


def fold(key: Any) -> Any:
    return key % 10


# ---------------------------------------------------------------- construction and order


def test_building_sorts_and_of_equal_keys_keeps_the_first_key_and_the_last_value() -> None:
    a = psortedmap([(3, "c"), (1, "a"), (2, "b"), (1.0, "z")])
    assert list(a.items()) == [(1, "z"), (2, "b"), (3, "c")]
    assert [type(k) for k in a] == [int, int, int]
    assert list(psortedset([2, True, 1, 0.0, False])) == [0.0, True, 2]


def test_a_collection_in_the_same_order_is_returned_as_it_is() -> None:
    a, b = psortedmap({1: 2}), psortedset([1], key=fold)
    assert psortedmap(a) is a and psortedset(b, key=fold) is b
    assert psortedset(b) is not b and psortedset(b).key is None


def test_a_key_function_orders_and_equal_results_are_one_key() -> None:
    a = psortedmap({"b": 1, "A": 2}, key=lower)
    assert list(a) == ["A", "b"] and a.key is lower
    assert a["a"] == 2 and "B" in a
    assert list(a.set("B", 3).items()) == [("A", 2), ("b", 3)]
    assert list(psortedset([25, 3, 14, 5], key=fold)) == [3, 14, 25]


def test_a_key_function_is_called_once_an_entry_and_once_a_lookup() -> None:
    calls: list[Any] = []

    def key(k: int) -> int:
        calls.append(k)
        return -k

    a = psortedmap({i: i for i in range(500)}, key=key)
    assert len(calls) == 500
    calls.clear()
    assert a[250] == 250 and a.bisect_left(3) == 496
    assert calls == [250, 3]


def test_strings_are_ordered_by_code_points_whatever_their_storage() -> None:
    words = [
        "",
        "\0",
        "a",
        "a\0",
        "ab",
        "é",
        "éé",
        "z",
        "\u0100",
        "\u07ff",
        "\u0800",
        "\ud800",
        "\uffff",
        "\U00010000",
        "\U0010ffff",
        "abcdefgh",
        "abcdefgh\0",
        "abcdefghi",
        "abcdefgé",
    ]
    assert list(psortedset(words)) == sorted(words)
    s = psortedset(words)
    for w in words:
        assert s[s.index(w)] == w


def test_numbers_of_different_types_are_ordered_exactly() -> None:
    numbers = [
        2**53,
        2**53 + 1,
        float(2**53 + 2),
        2**63,
        -(2**63),
        -(2**63) - 1,
        1e300,
        0.5,
        -0.0,
        True,
        Decimal("0.25"),
        float("inf"),
        -float("inf"),
        10**400,
    ]
    s = psortedset(numbers)
    assert list(s) == sorted(numbers)
    for i, x in enumerate(sorted(numbers)):
        assert s.index(x) == i
    ints, floats = psortedset(range(10)), psortedset(float(i) for i in range(10))
    assert 3.0 in ints and 3 in floats and 3.5 not in ints and 2**70 not in floats
    assert ints.floor(3.5) == 3 and floats.ceiling(4) == 4.0


@pytest.mark.parametrize("nan", [NAN, (NAN,), Decimal("nan")])
def test_nan_is_refused_with_an_error_that_names_it(nan: Any) -> None:
    error: Any = (ValueError, ArithmeticError)
    if isinstance(nan, tuple):
        other: Any = (float("nan"),)
        with pytest.raises(ValueError, match="neither sorts before"):
            psortedset([nan, other])
        return
    for do in (
        lambda: psortedset([1.5, nan]),
        lambda: psortedset([nan]),
        lambda: psortedset([1.5]).add(nan),
        lambda: psortedset().add(nan),
        lambda: psortedset([1.5]).bisect_left(nan),
        lambda: psortedmap().evolver().set(nan, 1),
    ):
        with pytest.raises(error) as caught:
            do()  # type: ignore[no-untyped-call]
        if isinstance(nan, float):
            assert "nan can't be a key" in str(caught.value)


def test_a_lookup_of_nan_finds_nothing() -> None:
    a = psortedmap({1.0: 2})
    assert NAN not in a and a.get(NAN) is None and a.discard(NAN) is a
    with pytest.raises(KeyError):
        a[NAN]


def test_keys_that_can_not_be_ordered_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"the keys .*'a'.* can't be sorted") as caught:
        psortedset([1, 2, "a"])
    assert isinstance(caught.value.__cause__, TypeError)
    a = psortedmap({i: i for i in range(50)})
    for do in (
        lambda: a.set("a", 1),
        lambda: a.update({"a": 1}),
        lambda: a | {None: 1},
        lambda: a["a"],
        lambda: a.floor(None),
    ):
        with pytest.raises(TypeError, match="can't be sorted"):
            do()  # type: ignore[no-untyped-call]
    assert a == {i: i for i in range(50)}
    with pytest.raises(TypeError, match="can't be sorted"):
        psortedset([object()])
    with pytest.raises(TypeError, match="can't be sorted"):
        psortedset().add(1j)
    with pytest.raises(ValueError, match="neither sorts before the other"):
        psortedset([frozenset([1]), frozenset([2])])
    with pytest.raises(ValueError, match="neither sorts before the other"):
        psortedset([frozenset([1])]).add(frozenset([2]))


def test_unhashable_keys_are_refused() -> None:
    for do in (
        lambda: psortedset([[1]]),
        lambda: psortedset().add([1]),
        lambda: psortedmap().set([1], 2),
        lambda: psortedmap().update([([1], 2)]),
        lambda: psortedmap().evolver().set([1], 2),
    ):
        with pytest.raises(TypeError, match="unhashable type: 'list'"):
            do()  # type: ignore[no-untyped-call]


def test_arguments_of_a_wrong_kind_are_refused() -> None:
    with pytest.raises(TypeError, match="key must be a function"):
        psortedmap({}, key=3)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="mapping or from"):
        psortedmap(5)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="at most 1 positional"):
        psortedset([], lower)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        PSortedMap({}, None, 3)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="pair of bools"):
        psortedset([1]).irange(0, 1, inclusive=(True,))  # type: ignore[arg-type]


# ---------------------------------------------------------------- maps


def test_updates_return_new_maps_and_unchanged_ones_the_map_itself() -> None:
    a = psortedmap({1: "a"})
    b = a.set(2, "b")
    assert a == {1: "a"} and b == {1: "a", 2: "b"}
    value = b[2]
    assert b.set(2, value) is b and b.discard(7) is b and b.update({}) is b and b.update(a) is b
    assert b.remove(1) == {2: "b"}
    with pytest.raises(KeyError):
        b.remove(7)
    with pytest.raises(KeyError):
        b[7]
    assert b.update_with(operator.add, {1: "x", 3: "c"}) == {1: "ax", 2: "b", 3: "c"}
    assert b | {0: "z"} == {0: "z", 1: "a", 2: "b"} == {0: "z"} | b
    assert type({0: "z"} | b) is PSortedMap and type(pmap({0: 1}) | b) is pstructs.PMap
    assert (psortedmap({1: 1}) | {1: 2})[1] == 2 and ({1: 1} | psortedmap({1: 2}))[1] == 2


def test_a_map_is_equal_to_any_mapping_of_equal_content_and_has_its_hash() -> None:
    content: Any = {i: str(i) for i in range(100)}
    a = psortedmap(content)
    for other in (
        content,
        OrderedDict(content),
        pmap(content),
        psortedmap(content, key=fold_all),
        psortedmap(reversed(list(content.items()))),
    ):
        assert a == other and other == a and not a != other
    assert hash(a) == hash(pmap(content)) == hash(psortedmap(content, key=fold_all))
    assert stable_hash(a) == stable_hash(pmap(content))
    assert {pmap(content): 1}[a] == 1 and pmap({a: 1})[pmap(content)] == 1
    assert a != a.set(3, 0) and a != {} and a != {**content, "x": 1}
    assert psortedmap({1: 1}) != {"a": 1} and psortedmap({1: 1}) != psortedmap({"a": 1})
    assert psortedmap({"A": 1}) != psortedmap({"a": 1}, key=lower)
    assert psortedset(["A"]) != psortedset(["a"], key=lower)
    assert pset(["A"]) != psortedset(["a"], key=lower) != pset(["A"])
    with pytest.raises(TypeError, match="not orderable"):
        a < a


def fold_all(key: int) -> int:
    return -key


def test_a_map_of_unhashable_values_has_no_hash() -> None:
    with pytest.raises(TypeError, match="key 1 is of unhashable type 'list'"):
        hash(psortedmap({1: []}))


def test_views_are_sets_in_order_and_are_read_by_position() -> None:
    a = psortedmap({"b": 2, "a": 1, "c": 2})
    assert list(a.keys()) == ["a", "b", "c"] and list(reversed(a.values())) == [2, 2, 1]
    assert a.keys()[-1] == "c" and a.values()[0] == 1 and a.items()[1] == ("b", 2)
    assert a.items()[:2] == [("a", 1), ("b", 2)] and a.keys()[::2] == ["a", "c"]
    with pytest.raises(IndexError):
        a.keys()[3]
    assert isinstance(a.keys(), KeysView) and isinstance(a.items(), ItemsView)
    assert isinstance(a.values(), ValuesView)
    assert a.keys() & {"a", "z"} == {"a"} and type(a.keys() | {"z"}) is PSortedSet
    assert a.keys() == {"a", "b", "c"} and a.keys() <= {"a", "b", "c", "d"}
    assert {"a"} < a.keys() and a.keys() - a.set("a", 5).remove("b").keys() == {"b"}
    assert a.items() - {("a", 1)} == {("b", 2), ("c", 2)}
    assert a.items() ^ psortedmap({"a": 1}).items() == {("b", 2), ("c", 2)}
    assert ("a", 1) in a.items() and ("a", 2) not in a.items() and 2 in a.values()
    assert a.keys().isdisjoint(["z"]) and not a.items().isdisjoint([("a", 1)])
    assert hash(a.keys()) == hash(frozenset("abc")) and hash(a.items()) == hash(a)
    assert a.keys().mapping is a
    assert repr(a.keys()) == "psortedmap_keys(['a', 'b', 'c'])"
    assert ("A", 1) not in psortedmap({"a": 1}, key=lower).items()


def test_a_map_works_with_the_protocols_of_python() -> None:
    a = psortedmap({2: "b", 1: "a"})
    assert isinstance(a, Mapping) and isinstance(a, Hashable) and copy.copy(a) is a
    match a:
        case {1: x}:
            assert x == "a"
        case _:
            raise AssertionError
    assert repr(a) == "psortedmap({1: 'a', 2: 'b'})"
    assert repr(psortedmap({1: 2}, key=abs)) == f"psortedmap({{1: 2}}, key={abs!r})"
    assert eval(repr(psortedset([2, 1]))) == {1, 2}
    assert weakref.ref(a)() is a
    assert PSortedMap[int, str].__origin__ is PSortedMap  # type: ignore[attr-defined]
    assert dict(**psortedmap({"x": 1})) == {"x": 1}
    assert list(a.iterkeys()) == [1, 2] and list(a.itervalues()) == ["a", "b"]
    assert list(a.iteritems()) == [(1, "a"), (2, "b")]
    assert operator.length_hint(iter(a)) == 2


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_keeps_contents_order_and_key_function(protocol: int) -> None:
    for a in (
        psortedmap({3: [1], 1: 2}),
        psortedmap({"B": 1, "a": 2}, key=lower),
        psortedset([3, 1]),
        psortedset(["B", "a"], key=lower),
        psortedset(),
    ):
        b: Any = pickle.loads(pickle.dumps(a, protocol))
        assert b == a and list(b) == list(a) and b.key is a.key and type(b) is type(a)
        _core._check(b)
    assert copy.deepcopy(psortedmap({1: [2]})) == {1: [2]}


class Named(PSortedMap[Any, Any]):
    name = "none"


def test_a_subclass_keeps_its_attributes_and_its_updates_are_plain() -> None:
    a = Named({2: 1, 1: 2}, key=abs)
    a.name = "mine"
    b = pickle.loads(pickle.dumps(a))
    assert type(b) is Named and b.name == "mine" and b == a and b.key is abs
    assert type(a.set(3, 4)) is PSortedMap and a.set(3, 4).key is abs
    assert stable_hash(Named({1: 2})) == stable_hash(pmap({1: 2}))
    _core._check(a)


# ---------------------------------------------------------------- positions and ranges


def test_neighbours_ends_and_positions() -> None:
    s = psortedset([10, 20, 30])
    assert (s.floor(25), s.ceiling(25), s.lower(20), s.higher(20)) == (20, 30, 10, 30)
    assert (s.floor(20), s.ceiling(20)) == (20, 20)
    assert (s.first(), s.last(), s.nth(1), s.nth(-1), s[0]) == (10, 30, 20, 30, 10)
    assert (s.rank(20), s.bisect_left(20), s.bisect(20), s.index(20)) == (1, 1, 2, 1)
    assert s.lower(10, None) is None and s.higher(30, default="no") == "no"
    for do in (
        lambda: s.lower(10),
        lambda: s.floor(5),
        lambda: s.higher(30),
        lambda: s.ceiling(31),
        lambda: psortedset().first(),
        lambda: psortedset().last(),
        lambda: psortedset().pop_first(),
    ):
        with pytest.raises(KeyError):
            do()  # type: ignore[no-untyped-call]
    with pytest.raises(ValueError, match="25 is not in this"):
        s.index(25)
    with pytest.raises(IndexError):
        s[3]
    assert psortedset().first(None) is None
    a = psortedmap({1: "a", 2: "b"})
    assert a.first() == (1, "a") and a.floor(9) == (2, "b")
    assert a.pop_first() == ((1, "a"), {2: "b"}) and a.pop_last() == ((2, "b"), {1: "a"})


def test_slices_share_their_nodes_with_the_whole() -> None:
    a = psortedmap({i: [i] for i in range(10_000)})
    part = a.between(1000, 9000)
    assert len(part) == 8001 and part.first() == (1000, [1000]) and part.last() == (9000, [9000])
    assert len(a.between(1000, 9000, inclusive=(False, False))) == 7999
    assert a.between() is a and a.slice() is a and a.between(5, 4) == {}
    assert len(nodes(part)) > 500 and len(nodes(part) - nodes(a)) < 60
    below, rest = a.split(5000)
    assert len(below) == len(rest) == 5000 and len(nodes(below | rest) - nodes(a)) < 60
    assert below | rest == a


def nodes(a: Any) -> set[int]:
    """Addresses of the nodes of a collection of lists, which the collector can list."""
    seen: dict[int, Any] = {}

    def walk(o: Any) -> None:
        for child in gc.get_referents(o):
            if type(child).__name__ in ("Node", "PlainNode") and id(child) not in seen:
                seen[id(child)] = child
                walk(child)

    walk(a)
    return set(seen)


def test_a_time_series_is_appended_to_and_scanned() -> None:
    start = datetime(2026, 1, 1)
    e = psortedmap().evolver()
    for i in range(1000):
        e[start + timedelta(minutes=i)] = i
    series = e.persistent()
    _core._check(series)
    hour = series.between(
        start + timedelta(hours=2), start + timedelta(hours=3), inclusive=(True, False)
    )
    assert list(hour.values()) == list(range(120, 180))
    assert list(series.irange(minimum=start + timedelta(minutes=998), reverse=True)) == [
        start + timedelta(minutes=999),
        start + timedelta(minutes=998),
    ]
    assert series.floor(start + timedelta(minutes=30, seconds=59))[1] == 30


# ---------------------------------------------------------------- sets


def test_set_operators_take_sets_of_any_kind_and_give_sorted_sets() -> None:
    s = psortedset([3, 1, 2])
    assert list(s | {0}) == [0, 1, 2, 3] and list({0} | s) == [0, 1, 2, 3]
    assert type({0} | s) is PSortedSet and type(pset([0]) | s) is pstructs.PSet
    assert s & [1, 9] == {1} and {1, 9} - s == {9} and s ^ {1, 9} == {2, 3, 9}
    assert s.union([7], {8}) == {1, 2, 3, 7, 8} and s.update([1]) is s
    assert s.intersection({1, 2}, [2]) == {2} and s.difference([1]) == {2, 3}
    assert s.symmetric_difference([1]) == {2, 3}
    assert s.issubset([1, 2, 3, 4]) and s.issuperset([1]) and s.isdisjoint([9])
    assert isinstance(s, Set) and s == {1, 2, 3} and {1, 2, 3} == s and s != {1, "a", 2}
    assert s < {1, 2, 3, "a"} and not s > {"a"} and not s >= {1, "a"}
    assert hash(s) == hash(frozenset(s)) and {frozenset([1, 2, 3]): 5}[s] == 5
    assert stable_hash(s) == stable_hash(frozenset(s)) == stable_hash(pset(s))
    assert s.add(2) is s and s.discard(9) is s and s.remove(1) == {2, 3}
    with pytest.raises(KeyError):
        s.remove(9)
    with pytest.raises(TypeError):
        s | 5  # type: ignore[operator]
    assert list(reversed(s)) == [3, 2, 1]


# ---------------------------------------------------------------- evolvers


def test_an_evolver_changes_in_place_and_gives_out_versions() -> None:
    a = psortedmap({1: "a", 2: "b"})
    e = a.evolver()
    assert not e.is_dirty() and e.persistent() is a
    e[3] = "c"
    del e[1]
    e.set(2, "B").update({5: "e"}, [(6, "f")]).discard(9).remove(6)
    assert e.is_dirty() and len(e) == 3 and e[2] == "B" and e.get(9) is None and 5 in e
    b = e.persistent()
    assert b == {2: "B", 3: "c", 5: "e"} and a == {1: "a", 2: "b"} and e.persistent() is b
    assert e.pop_first() == (2, "B") and e.pop_last() == (5, "e") and len(b) == 3
    with pytest.raises(KeyError):
        del e[9]
    with pytest.raises(KeyError):
        e[9]
    e.pop_last()
    with pytest.raises(KeyError):
        e.pop_first()
    s = psortedset([3], key=fold).evolver().add(12).add(22).remove(3).persistent()
    assert list(s) == [12] and s.key is fold


# ---------------------------------------------------------------- diff, patch, merge


def test_diff_patch_and_merge_give_what_they_give_for_maps() -> None:
    base = psortedmap({i: i for i in range(1000)})
    ours, theirs = base.set(1, "ours").remove(500), base.set(2, "theirs").set(2000, 1)
    d = pstructs.diff(base, theirs)
    assert d.added == {2000: 1} and d.removed == {} and d.changed == {2: (2, "theirs")}
    assert type(d.added) is PSortedMap
    assert pstructs.patch(base, d) == theirs
    assert pstructs.patch(theirs, d.inverse()) == base
    merged = pstructs.merge(base, ours, theirs)
    assert merged[1] == "ours" and merged[2] == "theirs" and 500 not in merged
    assert pstructs.merge(base, base, theirs) is theirs
    assert pstructs.diff(m(a=1), m(a=True)).changed == {"a": (1, True)}
    changed = pstructs.diff(psortedmap({"a": 1}), psortedmap({"a": True})).changed
    assert changed == {"a": (1, True)}
    with pytest.raises(MergeConflictError, match="key was changed differently"):
        pstructs.merge(base, base.set(1, "x"), base.set(1, "y"))
    s = psortedset(range(10))
    assert pstructs.merge(s, s.remove(1), s.add(11)) == {0, *range(2, 10), 11}
    assert pstructs.diff(s, s.add(5.5)).added == {5.5}
    nested = psortedmap({"u": psortedmap({1: 1, 2: 2})})
    both = pstructs.merge(
        nested,
        nested.set("u", nested["u"].set(1, 9)),
        nested.set("u", nested["u"].set(3, 3)),
        pstructs.merge_nested,
    )
    assert both["u"] == {1: 9, 2: 2, 3: 3}


def test_diff_and_merge_refuse_collections_of_different_kinds_or_orders() -> None:
    a = psortedmap({1: 1})
    for other in (pmap({1: 1}), psortedset([1]), {1: 1}):
        with pytest.raises(TypeError):
            pstructs.diff(a, other)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="same key function"):
        pstructs.diff(a, psortedmap({1: 1}, key=abs))
    with pytest.raises(ValueError, match="got changed values"):
        pstructs.patch(psortedset([1]), ([], [], {1: (1, 2)}))  # type: ignore[call-overload]
