"""Differences between two vectors, and their three-way merge: replaced ranges.

`pstructs.diff`, `patch` and `merge` come here when they are given vectors. An edit says which
elements stood at a place and what stands there now; places count in the vector that the diff
starts from, so two diffs of one base can be compared and joined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, TypeVar

from pstructs._core import PVector, _vector_edits, pvector

__all__ = ["Edit", "VectorDiff", "diff_vectors", "merge_vectors", "patch_vector"]

T = TypeVar("T")


class Edit(NamedTuple, Generic[T]):
    """One range of a vector that was replaced.

    Attributes
    ----------
    start : int
        Index of the range in the vector that the diff starts from.
    removed : PVector
        The elements that stood there; empty for an insertion.
    added : PVector
        What stands there instead; empty for a deletion.
    """

    start: int
    removed: PVector[T]
    added: PVector[T]

    @property
    def stop(self) -> int:
        """Index behind the range."""
        return self.start + len(self.removed)


class VectorDiff(NamedTuple, Generic[T]):
    """What has to change in one vector to make it another one.

    A `VectorDiff` is false when nothing differs.

    Attributes
    ----------
    edits : tuple of Edit
        Replaced ranges, ascending; no two of them touch.
    """

    edits: tuple[Edit[T], ...]

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.edits)

    def inverse(self) -> VectorDiff[T]:
        """Return the diff that leads back.

        Returns
        -------
        VectorDiff
            For `d = diff(a, b)`, one for which `patch(b, d.inverse()) == a`.

        Notes
        -----
        Cost: O(edits).

        Examples
        --------
        >>> from pstructs import v, diff, patch
        >>> a, b = v(1, 2, 3), v(1, 9, 9, 3)
        >>> patch(b, diff(a, b).inverse())
        pvector([1, 2, 3])
        """
        moved = 0
        back = []
        for edit in self.edits:
            back.append(Edit(edit.start + moved, edit.added, edit.removed))
            moved += len(edit.added) - len(edit.removed)
        return VectorDiff(tuple(back))


def diff_vectors(a: PVector[T], b: PVector[T]) -> VectorDiff[T]:
    """Tell which ranges lead from one vector to another; see `pstructs.diff`."""
    return VectorDiff(
        tuple(
            Edit(a_lo, a[a_lo:a_hi], b[b_lo:b_hi])
            for a_lo, a_hi, b_lo, b_hi in _vector_edits(a, b)
        )
    )


def patch_vector(a: PVector[T], d: VectorDiff[T]) -> PVector[T]:
    """Apply a diff to a vector; see `pstructs.patch`."""
    edits = d.edits
    if edits and edits[-1].stop > len(a):
        raise ValueError(
            f"patch() got an edit of elements {edits[-1].start} to {edits[-1].stop} for a vector "
            f"of {len(a)}: the diff is one of another vector"
        )
    return _replace(a, [(edit.start, edit.stop, edit.added) for edit in edits])


def merge_vectors(
    base: PVector[T],
    ours: PVector[T],
    theirs: PVector[T],
    resolve: Callable[[Any, Any, Any, Any], Iterable[T]] | None,
) -> tuple[PVector[T], list[tuple[Any, Any, Any, Any]]]:
    """Merge two versions of a vector; see `pstructs.merge`.

    Returns
    -------
    tuple
        The merged vector, and the conflicts that nobody resolved (ours is kept there).
    """
    mine, others = diff_vectors(base, ours), diff_vectors(base, theirs)
    if not others:
        return ours, []
    if not mine:
        return theirs, []
    changes: list[tuple[int, int, PVector[T]]] = []
    conflicts: list[tuple[Any, Any, Any, Any]] = []
    for lo, hi, left, right in _clusters(mine.edits, others.edits):
        our_part, their_part = (_part(base, lo, hi, edits) for edits in (left, right))
        if not left or not right or not diff_vectors(our_part, their_part):
            changes.append((lo, hi, our_part if left else their_part))
            continue
        conflict = (range(lo, hi), base[lo:hi], our_part, their_part)
        if resolve is None:
            conflicts.append(conflict)
            changes.append((lo, hi, our_part))
        else:
            changes.append((lo, hi, pvector(resolve(*conflict))))
    return _replace(base, changes), conflicts


def _replace(a: PVector[T], changes: list[tuple[int, int, PVector[T]]]) -> PVector[T]:
    """Put other elements in place of ascending ranges; from the end, so that places stay."""
    for lo, hi, added in reversed(changes):
        a = a[:lo] + added + a[hi:]
    return a


def _part(base: PVector[T], lo: int, hi: int, edits: list[Edit[T]]) -> PVector[T]:
    """Elements lo <= i < hi of base with the edits, which lie within."""
    return _replace(base[lo:hi], [(e.start - lo, e.stop - lo, e.added) for e in edits])


def _clusters(
    mine: Iterable[Edit[T]], others: Iterable[Edit[T]]
) -> list[tuple[int, int, list[Edit[T]], list[Edit[T]]]]:
    """Edits of both sides by the ranges in which they meet: (lo, hi, of ours, of theirs).

    Edits that touch meet, too, unless all of them keep the length: where one ends and the other
    begins is then a matter of how the diff was told, and an insertion might be taken twice.
    """
    found: list[tuple[int, int, list[Edit[T]], list[Edit[T]]]] = []
    both = [(e.start, e.stop, 0, e) for e in mine] + [(e.start, e.stop, 1, e) for e in others]
    for start, stop, side, edit in sorted(both, key=lambda item: item[:3]):
        sides: tuple[list[Edit[T]], list[Edit[T]]] = ([], [])
        lo, hi = start, stop
        if found:
            last_lo, last_hi, left, right = found[-1]
            keep = all(len(e.added) == len(e.removed) for e in (*left, *right, edit))
            if start < last_hi or (start == last_hi and not keep):
                found.pop()
                lo, hi, sides = last_lo, max(last_hi, stop), (left, right)
        sides[side].append(edit)
        found.append((lo, hi, *sides))
    return found
