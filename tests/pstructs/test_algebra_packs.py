"""Set algebra, equality, diff and merge over any mix of heap nodes and packed ones."""

from __future__ import annotations

import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pstructs import PMap, _core, diff, merge, patch, pmap, pset
from support.keys import plain_keys

OPERATORS = [operator.or_, operator.and_, operator.sub, operator.xor]
values = st.sampled_from([0, 1, True, 1.0, "x", (1,), [4], {"k": 5}, None, 2**70])
maps = st.dictionaries(plain_keys, values, max_size=40)
# Where a collection lives: in the heap, in a pack, in a pack and edited since, or in the
# heap with its nodes remembering where they were saved.
homes = st.sampled_from(["heap", "packed", "edited", "saved"])


def packed(value: Any) -> Any:
    """The value as it comes back from a pack of its own."""
    return _core.Pack.from_buffer(_core.PackWriter(value).image).root()


def housed(value: Any, home: str) -> Any:
    """An equal collection that lives elsewhere."""
    if home == "heap":
        return value
    if home == "packed":
        return packed(value)
    if home == "saved":
        writer = _core.PackWriter(value)
        writer.adopt(_core.Pack.from_buffer(writer.image))
        return value
    if isinstance(value, PMap):
        with_more = packed(value.set("a", "a").set("b", "b"))
        for key in ("a", "b"):
            with_more = with_more.discard(key) if key not in value else with_more
        return with_more.update({k: value[k] for k in ("a", "b") if k in value})
    with_more = packed(value.add("a").add("b"))
    for key in ("a", "b"):
        with_more = with_more.discard(key) if key not in value else with_more
    return with_more


def same(x: object, y: object) -> bool:
    return type(x) is type(y) and x == y


@given(st.sets(plain_keys), st.sets(plain_keys), homes, homes)
def test_set_operators_agree_with_set(a: set[Any], b: set[Any], here: str, there: str) -> None:
    x, y = housed(pset(a), here), housed(pset(b), there)
    for op in OPERATORS:
        result = op(x, y)
        assert set(result) == op(a, b)
        assert len(result) == len(op(a, b))
        _core._check(result)
    assert (x == y) == (a == b)
    assert (x <= y) == (a <= b)
    assert x.isdisjoint(y) == a.isdisjoint(b)
    d = diff(x, y)
    assert (set(d.added), set(d.removed)) == (b - a, a - b)
    assert patch(x, d) == y


@given(maps, maps, homes, homes)
def test_map_operations_agree_with_dict(
    a: dict[Any, Any], b: dict[Any, Any], here: str, there: str
) -> None:
    x, y = housed(pmap(a), here), housed(pmap(b), there)
    assert (x == y) == (a == b)
    updated = x.update(y)
    assert dict(updated) == {**a, **b}
    d = diff(x, y)
    assert set(d.added) == b.keys() - a.keys()
    assert set(d.removed) == a.keys() - b.keys()
    assert set(d.changed) == {k for k in a.keys() & b.keys() if not same(a[k], b[k])}
    patched = patch(x, d)
    assert patched == y
    for op in OPERATORS:
        assert set(op(x.keys(), y.keys())) == op(a.keys(), b.keys())
    for c in (updated, patched, x, y):
        _core._check(c)
        assert len(c) == len(list(c))


@given(maps, maps, maps, st.tuples(homes, homes, homes))
def test_merge_takes_the_same_decisions_everywhere(
    base: dict[Any, Any], ours: dict[Any, Any], theirs: dict[Any, Any], where: Any
) -> None:
    plain = [pmap(base), pmap({**base, **ours}), pmap({**base, **theirs})]
    moved = [housed(c, home) for c, home in zip(plain, where, strict=True)]
    seen: list[list[Any]] = []

    def decide(key: Any, *sides: Any) -> Any:
        seen[-1].append(key)
        return sides[len(repr(key)) % 3]

    results = []
    for sides in (plain, moved):
        seen.append([])
        results.append(merge(*sides, decide))
        _core._check(results[-1])
    assert results[0] == results[1]
    assert set(seen[0]) == set(seen[1])
    assert len(seen[0]) == len(seen[1])


@pytest.mark.parametrize("home", ["packed", "saved"])
def test_a_pack_is_compared_by_digest_with_a_pack_of_equal_content(home: str) -> None:
    a = pmap({f"key{i}": i for i in range(3000)})
    b = housed(pmap(dict(reversed(list(a.items())))) if home == "saved" else a, home)
    c = packed(a)
    assert not diff(b, c)
    assert b == c
    changed = c.set("key7", -1).remove("key8")
    d = diff(b, changed)
    assert dict(d.changed) == {"key7": (7, -1)}
    assert dict(d.removed) == {"key8": 8}
    assert not d.added
    assert patch(b, d) == changed


def test_operations_of_opened_versions_stay_in_their_packs() -> None:
    a = pmap({i: str(i) for i in range(3000)})
    x, y = packed(a), packed(a.set(5, "changed").set(-1, "new"))
    for result in (x.update(y), patch(x, diff(x, y)), merge(x, x.set(7, "7!"), y)):
        _core._check(result)
        writer = _core.PackWriter(result, importable=lambda pack: True)
        assert writer.new_records < 60, "all but the changed paths are references"
