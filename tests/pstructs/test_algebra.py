"""Set algebra, equality and subset tests: what they give, what they share, what they cost."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pstructs import PMap, PSet, _core, pmap, pset
from support.keys import Fault, Key, Ledger, keys, values

OPERATORS = [operator.or_, operator.and_, operator.sub, operator.xor]
COMPARISONS = [operator.eq, operator.ne, operator.le, operator.lt, operator.ge, operator.gt]
by_name = pytest.mark.parametrize("op", OPERATORS, ids=lambda f: f.__name__)

# Edits of a base: (True, key) adds, (False, key) removes.
edits = st.lists(st.tuples(st.booleans(), keys), max_size=6)


def edited(base: PSet[Any], changes: list[tuple[bool, Any]]) -> PSet[Any]:
    """Apply edits, so that the result shares what they leave alone."""
    for add, key in changes:
        base = base.add(key) if add else base.discard(key)
    return base


def check(*collections: Any) -> None:
    """Assert that the trees are sound and in canonical form."""
    for c in collections:
        _core._check(c)
        twin = pset(c) if isinstance(c, PSet) else pmap(dict(c))
        assert c == twin
        assert len(c) == len(list(c))


@given(st.sets(keys), st.sets(keys))
def test_operators_of_unrelated_sets_agree_with_set(a: set[Any], b: set[Any]) -> None:
    x, y = pset(a), pset(b)
    for op in OPERATORS:
        result = op(x, y)
        assert set(result) == op(a, b)
        check(result)
    for compare in COMPARISONS:
        assert compare(x, y) == compare(a, b)
    assert x.isdisjoint(y) == a.isdisjoint(b)
    assert set(x) == a
    assert set(y) == b
    check(x, y)


@given(st.sets(keys), edits, edits)
def test_operators_of_related_sets_agree_with_set(
    base: set[Any], one: list[tuple[bool, Any]], two: list[tuple[bool, Any]]
) -> None:
    start = pset(base)
    x, y = edited(start, one), edited(start, two)
    a, b = set(x), set(y)
    for op in OPERATORS:
        result = op(x, y)
        assert set(result) == op(a, b)
        check(result)
    for compare in COMPARISONS:
        assert compare(x, y) == compare(a, b)
    assert x.isdisjoint(y) == a.isdisjoint(b)
    assert set(start) == base
    check(start, x, y)


@given(st.dictionaries(keys, values), st.dictionaries(keys, values))
def test_update_of_a_map_agrees_with_dict(a: dict[Any, Any], b: dict[Any, Any]) -> None:
    x, y = pmap(a), pmap(b)
    result = x.update(y)
    expected = {**a, **b}
    assert dict(result) == expected
    assert all(result[k] is v for k, v in expected.items())
    firsts = {k: k for k in b} | {k: k for k in a}
    assert all(firsts[k] is k for k in result), "the key that was there first is kept"
    assert (x | y) == result
    check(result, x, y)
    assert dict(x) == a
    assert dict(y) == b


@given(st.dictionaries(keys, values), st.dictionaries(keys, values))
def test_key_views_combine_as_those_of_dict(a: dict[Any, Any], b: dict[Any, Any]) -> None:
    x, y = pmap(a).keys(), pmap(b).keys()
    for op in OPERATORS:
        assert set(op(x, y)) == op(a.keys(), b.keys())
    for compare in COMPARISONS:
        assert compare(x, y) == compare(a.keys(), b.keys())


@given(st.dictionaries(keys, values), st.lists(st.tuples(keys, values), max_size=4))
def test_equality_of_maps_agrees_with_dict(
    a: dict[Any, Any], changes: list[tuple[Any, Any]]
) -> None:
    b = a | dict(changes)
    x, related, separate = pmap(a), pmap(a), pmap(b)
    for key, value in changes:
        related = related.set(key, value)
    for y in (related, separate):
        assert (x == y) == (a == b)
        assert (y == x) == (a == b)
    assert related == separate


def big(n: int = 2000) -> PSet[int]:
    return pset(range(n))


def test_union_with_a_subset_is_the_same_object() -> None:
    a = big()
    assert a | pset([5, 7]) is a
    assert a | a is a


def test_union_with_a_superset_takes_its_tree() -> None:
    a = big()
    b = a.add(-1)
    assert set(a | b) == set(b)
    check(a | b)


def test_intersection_and_difference_that_change_nothing_give_the_same_object() -> None:
    a = big()
    assert a & a.add(-1) is a
    assert a - pset([-1, -2]) is a
    assert a & a is a


def test_update_with_identical_values_gives_an_equal_map_with_the_first_keys() -> None:
    one, two = Key(1, hash=1), Key(1, hash=1)
    a, b = pmap({one: "v"}), pmap({two: "v"})
    assert next(iter(a.update(b))) is one
    assert next(iter(pset([one]) | pset([two]))) is one
    assert next(iter(pset([one]) & pset([two]))) is one


def test_a_single_element_that_remains_is_inlined() -> None:
    a = pset([Key(n, hash=1) for n in range(4)])
    only = a - pset([Key(n, hash=1) for n in range(3)])
    assert [k.value for k in only] == [3]
    check(only)
    deep = a.add("other") - pset([Key(n, hash=1) for n in range(3)])
    check(deep)
    assert deep == pset([Key(3, hash=1), "other"])


def test_difference_of_values_that_need_the_collector_gives_a_plain_tree() -> None:
    a = pmap({n: n for n in range(100)}).set("list", [])
    b = a.update({"list": 0})
    check(a, b)
    assert b["list"] == 0


@pytest.mark.parametrize("size", [100, 3000])
def test_related_versions_are_compared_along_the_changed_paths_only(size: int) -> None:
    ledger = Ledger()
    ks = [Key(n, ledger=ledger) for n in range(size)]
    base = pset(ks)
    one, two = base.add(Key("one", ledger=ledger)), base.remove(ks[3])
    actions: list[Callable[[], object]] = [
        lambda: one == two,
        lambda: one <= two,
        lambda: one.isdisjoint(two),
        *(lambda op=op: op(one, two) for op in OPERATORS),
    ]
    for action in actions:
        ledger.reset()
        action()
        assert ledger.hashes + ledger.comparisons <= 40


def test_unrelated_trees_are_combined_without_hashing_common_keys() -> None:
    ledger = Ledger()
    ks = [Key(n, ledger=ledger) for n in range(500)]
    a, b = pset(ks), pset(reversed(ks))
    ledger.reset()
    assert a == b
    assert len(a & b) == len(a | b) == 500
    assert not a ^ b
    assert ledger.hashes == 0


@by_name
@pytest.mark.parametrize("what", ["fail_comparison", "fail_hash"])
def test_a_raising_key_leaves_both_sides_as_they_were(
    op: Callable[[Any, Any], Any], what: str
) -> None:
    ledger = Ledger()

    def make(start: int, stop: int, hashes: int) -> PSet[Any]:
        return pset([Key(n, hash=n % hashes, ledger=ledger) for n in range(start, stop)])

    for hashes in (2, 7, 1000):
        a, b = make(0, 24, hashes), make(12, 36, hashes)
        before = [k.value for k in a], [k.value for k in b]
        ledger.reset()
        whole = op(a, b)
        calls = ledger.comparisons if what == "fail_comparison" else ledger.hashes
        for n in range(1, calls + 1, 1 + calls // 60):
            ledger.reset(**{what: n})
            with pytest.raises(Fault):
                op(a, b)
            ledger.reset()
            assert ([k.value for k in a], [k.value for k in b]) == before
        ledger.reset()
        assert op(a, b) == whole
        check(a, b, whole)


class Meddler:
    """A value whose `__eq__` runs any code."""

    def __init__(self, action: Callable[[], object]) -> None:
        self.action = action

    def __eq__(self, other: object) -> bool:
        self.action()
        return True

    __hash__ = None  # type: ignore[assignment]


def test_a_comparison_may_drop_the_last_reference_to_its_operands() -> None:
    holder: list[PMap[int, Any]] = []
    values_a = {n: Meddler(holder.clear) for n in range(50)}
    values_b = {n: Meddler(holder.clear) for n in range(50)}
    holder[:] = [pmap(values_a), pmap(values_b)]
    del values_a, values_b
    assert holder[0] == holder[1]


def test_comparison_of_deeply_nested_maps_raises_recursion_error() -> None:
    a = b = pmap({"end": 1.5})
    for _ in range(100_000):
        a, b = pmap({"next": a}), pmap({"next": b})
    b = b.set("more", 1).remove("more")
    with pytest.raises(RecursionError):
        _ = a == b.set("next", b["next"].set("x", 1).remove("x"))
