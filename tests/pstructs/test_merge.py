"""merge: three-way merges against a model, conflicts, resolvers, sharing."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pstructs import ABSENT, PMap, _core, m, merge, merge_nested, pmap, pset, s
from pstructs.errors import MergeConflictError
from support.keys import Fault, Key, Ledger, keys, values

edits = st.lists(st.tuples(keys, st.one_of(values, st.just(ABSENT))), max_size=6)


def edited(base: PMap[Any, Any], changes: list[tuple[Any, Any]]) -> PMap[Any, Any]:
    for key, value in changes:
        base = base.discard(key) if value is ABSENT else base.set(key, value)
    return base


def same(x: object, y: object) -> bool:
    return x is y or (type(x) is type(y) and x == y)


def model(
    base: Any, ours: Any, theirs: Any
) -> tuple[dict[Any, Any], dict[Any, tuple[Any, Any, Any]]]:
    """The merged entries, and the conflicts by key."""
    merged, conflicts = {}, {}
    for key in {**base, **theirs, **ours}:
        b, o, t = (side.get(key, ABSENT) for side in (base, ours, theirs))
        if same(b, t) or same(o, t):
            value = o
        elif same(b, o):
            value = t
        else:
            conflicts[key] = (b, o, t)
            continue
        if value is not ABSENT:
            merged[key] = value
    return merged, conflicts


def verify(base: PMap[Any, Any], ours: PMap[Any, Any], theirs: PMap[Any, Any]) -> None:
    sides = [base, ours, theirs]
    before = [dict(side) for side in sides]
    merged, conflicts = model(*before)
    seen: dict[Any, tuple[Any, Any, Any]] = {}

    def resolve(key: Any, b: Any, o: Any, t: Any) -> Any:
        assert key not in seen
        seen[key] = (b, o, t)
        return [ABSENT, o, t, "decided"][len(seen) % 4]

    result = merge(base, ours, theirs, resolve)
    assert seen.keys() == conflicts.keys()
    assert all(all(map(same, seen[k], conflicts[k])) for k in seen)
    for n, (key, (_, o, t)) in enumerate(seen.items(), 1):
        value = [ABSENT, o, t, "decided"][n % 4]
        if value is not ABSENT:
            merged[key] = value
    assert dict(result) == merged
    assert all(same(result[k], merged[k]) for k in merged)
    _core._check(result)
    if conflicts:
        with pytest.raises(MergeConflictError) as caught:
            merge(base, ours, theirs)
        assert {c[0]: c[1:] for c in caught.value.conflicts} == conflicts
    else:
        assert merge(base, ours, theirs) == result
    assert [dict(side) for side in sides] == before


@given(st.dictionaries(keys, values), edits, edits)
def test_merge_of_related_maps_agrees_with_the_model(
    base: dict[Any, Any], one: list[tuple[Any, Any]], two: list[tuple[Any, Any]]
) -> None:
    start = pmap(base)
    verify(start, edited(start, one), edited(start, two))


@given(*[st.dictionaries(keys, values)] * 3)
def test_merge_of_unrelated_maps_agrees_with_the_model(
    base: dict[Any, Any], ours: dict[Any, Any], theirs: dict[Any, Any]
) -> None:
    verify(pmap(base), pmap(ours), pmap(theirs))


@given(*[st.sets(keys)] * 3)
def test_sets_merge_without_conflicts(base: set[Any], ours: set[Any], theirs: set[Any]) -> None:
    result = merge(pset(base), pset(ours), pset(theirs))
    assert set(result) == (ours | (theirs - base)) - (base - theirs)
    _core._check(result)


def test_a_side_that_did_not_change_gives_the_other_side_itself() -> None:
    base = pmap({i: i for i in range(500)})
    changed = base.set(3, -3).remove(4)
    assert merge(base, base, changed) is changed
    assert merge(base, changed, base) is changed
    assert merge(base, base, base) is base
    t = s(1, 2, 3)
    assert merge(t, t, t.add(4)) == s(1, 2, 3, 4)


def test_the_same_change_on_both_sides_is_no_conflict() -> None:
    base = m(a=1, b=2, c=[3])
    ours = base.set("a", 5).remove("b").set("c", [4])
    theirs = base.set("a", 5).remove("b").set("c", [4])
    assert merge(base, ours, theirs) is ours


def test_change_against_removal_is_a_conflict_with_absent() -> None:
    base = m(a=1)
    with pytest.raises(MergeConflictError) as caught:
        merge(base, base.set("a", 2), base.remove("a"))
    assert caught.value.conflicts == (("a", 1, 2, ABSENT),)
    with pytest.raises(MergeConflictError) as caught:
        merge(base.remove("a"), base, base.set("a", 2))
    assert caught.value.conflicts == (("a", ABSENT, 1, 2),)


def test_a_change_of_type_alone_takes_part_in_the_merge() -> None:
    base = m(a=True)
    assert type(merge(base, base.set("b", 0), base.set("a", 1))["a"]) is int
    with pytest.raises(MergeConflictError):
        merge(base, base.set("a", 1.0), base.set("a", 1))


def test_the_message_names_the_first_conflicts_and_the_remedy() -> None:
    base = pmap(dict.fromkeys("abcdef", 0))
    ours, theirs = pmap(dict.fromkeys("abcdef", 1)), pmap(dict.fromkeys("abcdef", 2))
    with pytest.raises(MergeConflictError) as caught:
        merge(base, ours, theirs)
    message = str(caught.value)
    assert message.startswith("6 keys were changed differently on both sides (")
    assert message.count("base 0, ours 1, theirs 2") == 3
    assert "and 3 more" in message
    assert "resolve=" in message
    assert len(caught.value.conflicts) == 6
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.conflicts == caught.value.conflicts


def test_nested_maps_and_sets_are_merged_by_merge_nested() -> None:
    base = m(user=m(name="Ada", tags=s("x")), n=1)
    ours = base.set("user", m(name="Ada L.", tags=s("x", "y")))
    theirs = base.set("user", m(name="Ada", tags=s("x", "z"), age=36))
    merged = merge(base, ours, theirs, merge_nested)
    assert merged == m(user=m(name="Ada L.", tags=s("x", "y", "z"), age=36), n=1)
    assert merge(m(), m(a=m(x=1)), m(a=m(y=2)), merge_nested) == m(a=m(x=1, y=2))
    with pytest.raises(MergeConflictError, match="under key 'user': 1 key was changed"):
        merge(base, ours, base.set("user", m(name="Bob", tags=s("x"))), merge_nested)


def test_an_error_of_the_resolver_leaves_everything_as_it_was() -> None:
    base = pmap({i: i for i in range(50)})
    ours, theirs = base.set(1, -1).set(2, -2), base.set(1, -3).set(2, -4)

    def resolve(key: int, *sides: Any) -> Any:
        raise Fault(key)

    with pytest.raises(Fault):
        merge(base, ours, theirs, resolve)
    for side in (base, ours, theirs):
        _core._check(side)
    assert dict(ours) == dict(base) | {1: -1, 2: -2}


@pytest.mark.parametrize("size", [100, 3000])
def test_merge_looks_along_the_changed_paths_only(size: int) -> None:
    ledger = Ledger()
    ks = [Key(n, ledger=ledger) for n in range(size)]
    base = pmap(dict.fromkeys(ks, 0))
    ours = base.set(ks[1], 1).remove(ks[2])
    theirs = base.set(ks[3], 3).remove(ks[4]).set(Key("new", ledger=ledger), 5)
    ledger.reset()
    merged = merge(base, ours, theirs)
    assert ledger.hashes + ledger.comparisons <= 60
    expected = dict(ours) | {ks[3]: 3, Key("new"): 5}
    del expected[ks[4]]
    assert dict(merged) == expected


def test_a_raising_key_leaves_all_sides_as_they_were() -> None:
    ledger = Ledger()
    ks = [Key(n, hash=n % 5, ledger=ledger) for n in range(30)]
    base = pmap(dict.fromkeys(ks, 0))
    fresh = [Key(n, hash=n % 5, ledger=ledger) for n in range(40)]
    ours = base.set(fresh[1], 1).remove(fresh[2])
    theirs = base.set(fresh[3], 3).remove(fresh[4]).set(fresh[35], 5)
    ledger.reset()
    whole = merge(base, ours, theirs)
    comparisons, hashes = ledger.comparisons, ledger.hashes
    for what, calls in (("fail_comparison", comparisons), ("fail_hash", hashes)):
        for n in range(1, calls + 1):
            ledger.reset(**{what: n})
            with pytest.raises(Fault):
                merge(base, ours, theirs)
    ledger.reset()
    for side in (base, ours, theirs, whole):
        _core._check(side)
    assert merge(base, ours, theirs) == whole


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(TypeError, match="not dict"):
        merge(m(), m(), {})  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="not both at once"):
        merge(m(), m(), s())  # type: ignore[call-overload]
