"""diff and patch: what is reported, that a patch leads there, and what it costs."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pstructs import ABSENT, Diff, PMap, _core, diff, m, patch, pmap, pset, s
from support.keys import Fault, Key, Ledger, keys, values

MISSING = object()
# (key, value) sets, (key, MISSING) removes.
edits = st.lists(st.tuples(keys, st.one_of(values, st.just(MISSING))), max_size=6)


def edited(base: PMap[Any, Any], changes: list[tuple[Any, Any]]) -> PMap[Any, Any]:
    for key, value in changes:
        base = base.discard(key) if value is MISSING else base.set(key, value)
    return base


def same(x: object, y: object) -> bool:
    return x is y or (type(x) is type(y) and x == y)


def typed(d: Any) -> dict[Any, Any]:
    """A dict whose values compare with their types."""
    return {k: (type(v), v) for k, v in dict(d).items()}


def verify(a: PMap[Any, Any], b: PMap[Any, Any]) -> None:
    """Compare diff(a, b) with what dicts say, and apply it both ways."""
    d = diff(a, b)
    x, y = dict(a), dict(b)
    assert typed(d.added) == typed({k: v for k, v in y.items() if k not in x})
    assert typed(d.removed) == typed({k: v for k, v in x.items() if k not in y})
    changed = {k: (v, y[k]) for k, v in x.items() if k in y and not same(v, y[k])}
    assert set(d.changed) == set(changed)
    for k, (old, new) in d.changed.items():
        assert same(old, changed[k][0])
        assert same(new, changed[k][1])
    there, back = patch(a, d), patch(b, d.inverse())
    assert typed(there) == typed(b)
    assert typed(back) == typed(a)
    assert there == b
    for c in (there, back, *d):
        _core._check(c)
    assert bool(d) == bool(d.added or d.removed or d.changed)
    assert dict(a) == x
    assert dict(b) == y


@given(st.dictionaries(keys, values), st.dictionaries(keys, values))
def test_diff_of_unrelated_maps_is_what_dicts_say(a: dict[Any, Any], b: dict[Any, Any]) -> None:
    verify(pmap(a), pmap(b))


@given(st.dictionaries(keys, values), edits, edits)
def test_diff_of_related_maps_is_what_dicts_say(
    base: dict[Any, Any], one: list[tuple[Any, Any]], two: list[tuple[Any, Any]]
) -> None:
    start = pmap(base)
    verify(edited(start, one), edited(start, two))
    verify(start, edited(start, two))


@given(st.sets(keys), st.sets(keys))
def test_diff_of_sets_is_two_differences(a: set[Any], b: set[Any]) -> None:
    x, y = pset(a), pset(b)
    d = diff(x, y)
    assert (set(d.added), set(d.removed), len(d.changed)) == (b - a, a - b, 0)
    assert patch(x, d) == y
    assert patch(y, d.inverse()) == x
    _core._check(patch(x, d))


def test_an_edit_between_equal_values_of_different_types_is_a_change() -> None:
    a, b, c = m(x=True), m(x=1), m(x=1.0)
    assert a == b == c
    assert diff(a, b).changed["x"] == (True, 1)
    assert type(diff(b, c).changed["x"][1]) is float
    assert type(patch(a, diff(a, c))["x"]) is float


def test_equal_values_of_one_type_are_no_change() -> None:
    assert not diff(m(x=[1, 2]), m(x=[1, 2]))
    nan = float("nan")
    assert not diff(m(x=nan), m(x=nan))
    assert diff(m(x=nan), m(x=float("nan"))).changed.keys() == {"x"}


def test_diff_with_an_empty_map_lists_everything() -> None:
    a = pmap({i: str(i) for i in range(1000)})
    assert diff(pmap(), a) == (a, pmap(), pmap())
    assert diff(a, pmap()) == (pmap(), a, pmap())
    assert diff(a, a) == (pmap(), pmap(), pmap())


def test_patch_that_changes_nothing_gives_the_same_object() -> None:
    a = pmap({i: i for i in range(100)})
    assert patch(a, diff(a, a)) is a
    assert patch(a, Diff(pmap(), pmap({-1: 0}), pmap())) is a
    t = s(1, 2)
    assert patch(t, diff(t, t)) is t


def test_patch_on_another_map_overwrites_and_skips() -> None:
    d = diff(m(a=1, b=2, c=3), m(a=10, c=3, d=4))
    assert patch(m(a=7, e=5), d) == m(a=10, d=4, e=5)


def test_patch_takes_any_triple() -> None:
    assert patch(m(a=1, b=2), ({"c": 3}, {"b": 2}, {"a": (1, 5)})) == m(a=5, c=3)  # type: ignore[call-overload]


@pytest.mark.parametrize("size", [100, 3000])
def test_diff_and_patch_look_along_the_changed_paths_only(size: int) -> None:
    ledger = Ledger()
    ks = [Key(n, ledger=ledger) for n in range(size)]
    base = pmap(dict.fromkeys(ks, 0))
    new = base.set(ks[5], 1).remove(ks[7]).set(Key("new", ledger=ledger), 2)
    ledger.reset()
    d = diff(base, new)
    assert ledger.hashes + ledger.comparisons <= 30
    assert (len(d.added), len(d.removed), len(d.changed)) == (1, 1, 1)
    ledger.reset()
    again = patch(base, d)
    assert ledger.hashes + ledger.comparisons <= 40
    assert again == new


def test_a_raising_key_leaves_both_sides_as_they_were() -> None:
    ledger = Ledger()

    def make(numbers: range) -> PMap[Key, int]:
        return pmap({Key(n, hash=n % 5, ledger=ledger): n for n in numbers})

    a, b = make(range(20)), make(range(10, 30)).set("other", 1)
    d = diff(a, b)
    for action in (lambda: diff(a, b), lambda: patch(a, d)):
        ledger.reset()
        action()
        comparisons, hashes = ledger.comparisons, ledger.hashes
        for what, calls in (("fail_comparison", comparisons), ("fail_hash", hashes)):
            for n in range(1, calls + 1, 1 + calls // 60):
                ledger.reset(**{what: n})
                with pytest.raises(Fault):
                    action()
        ledger.reset()
        assert diff(a, b) == d
        assert patch(a, d) == b
        _core._check(a)
        _core._check(b)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(TypeError, match=r"not dict; make one with pmap\(\)"):
        diff(m(a=1), {"a": 1})  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="not both at once"):
        diff(m(a=1), s(1))  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="not list"):
        patch([], diff(s(1), s(2)))  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"\(old, new\)"):
        patch(m(a=1), Diff(pmap(), pmap(), pmap({"a": 3})))
    with pytest.raises(ValueError, match="one of PMaps"):
        patch(s(1), Diff(s(), s(), pmap({"a": (1, 2)})))


def test_absent_is_one_object_everywhere() -> None:
    assert repr(ABSENT) == "ABSENT"
    assert pickle.loads(pickle.dumps(ABSENT)) is ABSENT
    assert copy.deepcopy(ABSENT) is ABSENT
    assert copy.copy(ABSENT) is ABSENT


def test_a_diff_can_be_pickled() -> None:
    d = diff(m(a=1, b=2), m(b=3, c=4))
    again = pickle.loads(pickle.dumps(d))
    assert isinstance(again, Diff)
    assert again == d
