"""diff, patch and merge of vectors: ranges that were replaced."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pstructs import VectorDiff, diff, errors, merge, patch, pmap, pvector, v
from pstructs.vector_diffs import Edit

N = 5000
LISTS = st.lists(st.integers(0, 3), max_size=30)
# Edits of a vector that is large enough to share subtrees: (place, elements out, elements in).
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 40), st.lists(st.integers(), max_size=5)), max_size=6
)


def edited(a: Any, edits: list[tuple[float, int, list[int]]]) -> Any:
    for place, out, put in edits:
        at = int(place * len(a))
        a = a[:at] + put + a[at + out :]
    return a


def applied(a: Any, b: Any) -> VectorDiff[Any]:
    """The diff of two vectors, after a look at what every diff promises."""
    d = diff(a, b)
    assert patch(a, d) == b and patch(b, d.inverse()) == a
    assert bool(d) == bool(d.edits)
    for one, other in zip(d.edits, d.edits[1:], strict=False):
        assert one.stop < other.start or (one.stop == other.start and one.added)
    for edit in d.edits:
        assert edit.removed == a[edit.start : edit.stop] and (edit.removed or edit.added)
    return d


def test_an_edit_says_what_was_replaced() -> None:
    assert diff(v(1, 2, 3, 4), v(1, 9, 9, 4)).edits == (Edit(1, v(2, 3), v(9, 9)),)
    assert diff(v(1, 2), v(1, 5, 2)).edits == (Edit(1, v(), v(5)),)
    assert diff(v(1, 5, 2), v(1, 2)).edits == (Edit(1, v(5), v()),)
    assert diff(v(), v(1)).edits == (Edit(0, v(), v(1)),)
    assert not diff(v(1, 2), v(1, 2)) and not diff(v(), v())


def test_an_edit_of_type_only_is_reported() -> None:
    assert diff(v(True), v(1)).edits[0].added[0] is not True
    assert not diff(v(1, "a"), pvector([1, "a"]))


@given(a=LISTS, b=LISTS)
def test_any_two_vectors(a: list[int], b: list[int]) -> None:
    applied(pvector(a), pvector(b))


@given(edits=EDITS)
def test_versions_of_a_large_vector(edits: list[tuple[float, int, list[int]]]) -> None:
    a = pvector(range(N))
    applied(a, edited(a, edits))


def test_far_edits_of_different_lengths_are_told_apart() -> None:
    a: Any = pvector(range(N))
    d = applied(a, a.insert(4000, "x").delete(2000).set(100, "y").delete(50, 53))
    assert len(d.edits) == 4
    assert sum(len(e.removed) + len(e.added) for e in d.edits) < 300


def test_elements_set_here_and_there_are_single_edits() -> None:
    a: Any = pvector(range(N))
    b = a.mset(7, "x", 8, "y", 3000, "z")
    assert diff(a, b).edits == (Edit(7, v(7, 8), v("x", "y")), Edit(3000, v(3000), v("z")))


def test_a_patch_for_another_vector_is_refused() -> None:
    d = diff(pvector(range(10)), pvector(range(5)))
    with pytest.raises(ValueError, match="another vector"):
        patch(v(1, 2), d)


def test_mixed_kinds_are_refused() -> None:
    for args in ((v(1), pmap()), (pmap(), v(1)), (v(1), [1])):
        with pytest.raises(TypeError):
            diff(*args)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        merge(v(), v(), pmap())  # type: ignore[call-overload]


# ---- merge


def test_changes_in_different_places_are_joined() -> None:
    base: Any = pvector(range(N))
    ours = base.set(10, "x").insert(100, "new")
    theirs = base.delete(4000).set(11, "y")
    merged = merge(base, ours, theirs)
    assert merged == base.mset(10, "x", 11, "y").delete(4000).insert(100, "new")
    assert merge(base, theirs, ours) == merged


def test_one_side_only() -> None:
    base: Any = pvector(range(100))
    changed = base.set(3, "x")
    assert merge(base, base, changed) is changed and merge(base, changed, base) is changed
    assert merge(base, base, base) is base


def test_the_same_change_on_both_sides_is_no_conflict() -> None:
    base: Any = pvector(range(100))
    assert merge(base, base.delete(5), base.delete(5)) == base.delete(5)
    large: Any = pvector(range(N))
    both = large.insert(5, "x")
    assert merge(large, both.set(4000, "o"), both) == both.set(4000, "o")


def test_overlapping_changes_conflict() -> None:
    base: Any = pvector(range(10))
    with pytest.raises(errors.MergeConflictError) as caught:
        merge(base, base.set(3, "x"), base.delete(2, 5))
    assert caught.value.conflicts == ((range(2, 5), v(2, 3, 4), v(2, "x", 4), v()),)
    with pytest.raises(errors.MergeConflictError):
        merge(base, base.insert(3, "x"), base.insert(3, "y"))


def test_a_resolver_decides() -> None:
    base: Any = pvector(range(10))

    def both(where: range, was: Any, ours: Any, theirs: Any) -> Any:
        assert where == range(3, 3) and was == []
        return [*ours, *theirs]

    merged = merge(base, base.insert(3, "x"), base.insert(3, "y").set(9, "z"), both)
    assert merged == [0, 1, 2, "x", "y", 3, 4, 5, 6, 7, "z", 9]


def test_changes_that_touch_conflict_when_the_length_changes() -> None:
    base: Any = pvector(range(6))
    assert merge(base, base.set(2, "a"), base.set(3, "b")) == [0, 1, "a", "b", 4, 5]
    with pytest.raises(errors.MergeConflictError):
        merge(base, base.delete(2, 4), base.insert(4, "x"))


@given(base=LISTS, ours=LISTS, theirs=LISTS)
def test_a_merge_is_symmetric_when_nothing_conflicts(
    base: list[int], ours: list[int], theirs: list[int]
) -> None:
    b, o, t = pvector(base), pvector(ours), pvector(theirs)
    assert merge(b, o, o) == o and merge(b, b, t) == t
    try:
        merged = merge(b, o, t)
    except errors.MergeConflictError as error:
        assert error.conflicts
        chosen = merge(b, o, t, lambda where, was, left, right: left)
        assert merge(b, t, o, lambda where, was, left, right: right) == chosen
    else:
        assert merge(b, t, o) == merged
