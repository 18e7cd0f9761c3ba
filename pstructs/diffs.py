"""Differences between two versions: `diff`, and `patch`, which applies one.

Two versions of a collection share the subtrees that neither changed, and the walk over both
skips them: the cost follows the number of changes, not the size. Subtrees that were saved are
skipped by their digests too, so versions that come from different stores are compared as fast.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, Generic, NamedTuple, TypeVar, overload

from pstructs._core import PMap, PSet, PSortedMap, PSortedSet, PVector, _diff, _patch
from pstructs.vector_diffs import VectorDiff, diff_vectors, patch_vector

__all__ = ["ABSENT", "Absent", "Diff", "diff", "patch"]

K = TypeVar("K")
V = TypeVar("V")
C = TypeVar("C")
M = TypeVar("M")


class Absent(Enum):
    """The type of `ABSENT`, the mark for "this side has no such key"."""

    ABSENT = "ABSENT"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT


class Diff(NamedTuple, Generic[C, M]):
    """What has to change in one collection to make it another one.

    A `Diff` is false when nothing differs.

    Attributes
    ----------
    added : PMap, PSet, PSortedMap or PSortedSet
        Entries (elements, for sets) that only the second collection has.
    removed : PMap, PSet, PSortedMap or PSortedSet
        Entries that only the first one has.
    changed : PMap or PSortedMap
        Key to `(old, new)` for keys of both with different values. Empty for sets.
    """

    added: C
    removed: C
    changed: M

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return any(len(part) for part in (self.added, self.removed, self.changed))  # type: ignore[arg-type]

    def inverse(self) -> Diff[C, M]:
        """Return the diff that leads back.

        Returns
        -------
        Diff
            For `d = diff(a, b)`, what `diff(b, a)` gives.

        Notes
        -----
        Cost: O(changes).

        Examples
        --------
        >>> from pstructs import m, diff, patch
        >>> a, b = m(x=1), m(x=2, y=3)
        >>> patch(b, diff(a, b).inverse())
        pmap({'x': 1})
        """
        pairs = {k: (new, old) for k, (old, new) in self.changed.items()}  # type: ignore[attr-defined]
        changed: Any = self.changed.update(pairs)  # type: ignore[attr-defined]
        return Diff(self.removed, self.added, changed)


@overload
def diff(a: PMap[K, V], b: PMap[K, V]) -> Diff[PMap[K, V], PMap[K, tuple[V, V]]]: ...
@overload
def diff(a: PSet[K], b: PSet[K]) -> Diff[PSet[K], PMap[K, tuple[K, K]]]: ...
@overload
def diff(
    a: PSortedMap[K, V], b: PSortedMap[K, V]
) -> Diff[PSortedMap[K, V], PSortedMap[K, tuple[V, V]]]: ...
@overload
def diff(
    a: PSortedSet[K], b: PSortedSet[K]
) -> Diff[PSortedSet[K], PSortedMap[K, tuple[K, K]]]: ...
@overload
def diff(a: PVector[K], b: PVector[K]) -> VectorDiff[K]: ...
def diff(a: Any, b: Any) -> Any:
    """Tell what leads from one map, set or vector to another.

    Values count as unchanged when they are the same object, or equal and of one type: an
    edit from `True` to `1` or `1.0` is reported, though Python calls them equal.

    Parameters
    ----------
    a, b : PMap, PSet, PVector, PSortedMap or PSortedSet
        The collections to compare: two of one kind; sorted ones in one order.

    Returns
    -------
    Diff
        `(added, removed, changed)`; `patch(a, diff(a, b)) == b`.
    VectorDiff
        For vectors: `(edits,)`, the ranges that were replaced.

    Raises
    ------
    TypeError
        When `a` and `b` are not of one kind, or sorted by different key functions.

    Notes
    -----
    Cost: O(k log n) for versions of n entries that differ in k keys, O(n) for unrelated
    collections. Versions of a vector: O(k log n) for k elements set or one range replaced,
    O(n / 32) when its length changed at several places.

    Examples
    --------
    >>> from pstructs import m, s, diff
    >>> diff(m(x=1, y=2), m(y=3, z=4))
    Diff(added=pmap({'z': 4}), removed=pmap({'x': 1}), changed=pmap({'y': (2, 3)}))
    >>> diff(s(1, 2), s(2, 3)).added
    pset([3])
    >>> bool(diff(m(x=1), m(x=1)))
    False
    """
    if isinstance(a, PVector) and isinstance(b, PVector):
        return diff_vectors(a, b)
    return Diff(*_diff(a, b))


@overload
def patch(a: PMap[K, V], d: Diff[PMap[K, V], PMap[K, tuple[V, V]]]) -> PMap[K, V]: ...
@overload
def patch(a: PSet[K], d: Diff[PSet[K], PMap[K, tuple[K, K]]]) -> PSet[K]: ...
@overload
def patch(
    a: PSortedMap[K, V], d: Diff[PSortedMap[K, V], PSortedMap[K, tuple[V, V]]]
) -> PSortedMap[K, V]: ...
@overload
def patch(
    a: PSortedSet[K], d: Diff[PSortedSet[K], PSortedMap[K, tuple[K, K]]]
) -> PSortedSet[K]: ...
@overload
def patch(a: PVector[K], d: VectorDiff[K]) -> PVector[K]: ...
def patch(a: Any, d: Any) -> Any:
    """Apply a diff to a map, set or vector.

    The removed keys are removed, the added entries added, and the changed keys set to their
    new values. Nothing is compared with the old values: a patch on another collection than
    the diff's own overwrites what it finds and skips keys that are already gone. Use `merge`
    to be told about conflicts.

    Parameters
    ----------
    a : PMap, PSet, PVector, PSortedMap or PSortedSet
        What to change.
    d : Diff or VectorDiff
        From `diff`, or any `(added, removed, changed)` triple.

    Returns
    -------
    PMap, PSet, PVector, PSortedMap or PSortedSet
        Shares all that the diff does not touch with `a`; `a` itself when nothing changes.

    Notes
    -----
    Cost: O(k log n) for k changes in n entries.

    Examples
    --------
    >>> from pstructs import m, diff, patch
    >>> a, b = m(x=1, y=2), m(y=3)
    >>> patch(a, diff(a, b)) == b
    True
    """
    if isinstance(a, PVector):
        return patch_vector(a, d)
    added, removed, changed = d
    return _patch(a, added, removed, changed)
