"""Three-way merge of maps and sets.

Two sides started from one base and changed it apart. The merge takes the changes of both; a
key that both changed, and not to the same value, is a conflict that a resolver decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from pstructs._core import PMap, PSet, PSortedMap, PSortedSet, PVector, _merge, pmap, pset
from pstructs.diffs import ABSENT
from pstructs.errors import MergeConflictError
from pstructs.vector_diffs import merge_vectors

__all__ = ["merge", "merge_nested"]

K = TypeVar("K")
V = TypeVar("V")

_SHOWN = 3  # conflicts named in the message; all are in the exception's `conflicts`


@overload
def merge(
    base: PMap[K, V],
    ours: PMap[K, V],
    theirs: PMap[K, V],
    resolve: Callable[[K, Any, Any, Any], Any] | None = None,
) -> PMap[K, V]: ...
@overload
def merge(
    base: PSet[K],
    ours: PSet[K],
    theirs: PSet[K],
    resolve: Callable[[K, Any, Any, Any], Any] | None = None,
) -> PSet[K]: ...
@overload
def merge(
    base: PSortedMap[K, V],
    ours: PSortedMap[K, V],
    theirs: PSortedMap[K, V],
    resolve: Callable[[K, Any, Any, Any], Any] | None = None,
) -> PSortedMap[K, V]: ...
@overload
def merge(
    base: PSortedSet[K],
    ours: PSortedSet[K],
    theirs: PSortedSet[K],
    resolve: Callable[[K, Any, Any, Any], Any] | None = None,
) -> PSortedSet[K]: ...
@overload
def merge(
    base: PVector[K],
    ours: PVector[K],
    theirs: PVector[K],
    resolve: Callable[[range, Any, Any, Any], Any] | None = None,
) -> PVector[K]: ...
def merge(
    base: Any,
    ours: Any,
    theirs: Any,
    resolve: Callable[[Any, Any, Any, Any], Any] | None = None,
) -> Any:
    """Merge two versions that started from one base.

    A key that only one side changed takes that side's value, or is removed if that side
    removed it. The same change on both sides is no conflict. Sets never conflict.

    Vectors conflict where the ranges that both sides replaced overlap; or touch, when one of
    them changes the length. `key` is the range of indexes in `base` then, the other arguments
    are what stands there, and the resolver returns the elements to put there.

    Parameters
    ----------
    base : PMap, PSet, PVector, PSortedMap or PSortedSet
        What both sides started from.
    ours, theirs : PMap or PSet
        The two versions.
    resolve : callable, optional
        Called as `resolve(key, base, ours, theirs)` for each conflict, with `ABSENT` for a
        side that lacks the key. Returns the value to keep, or `ABSENT` to remove the key.

    Returns
    -------
    PMap, PSet, PVector, PSortedMap or PSortedSet
        Shares all that theirs did not change with `ours`.

    Raises
    ------
    MergeConflictError
        When there are conflicts and no resolver. Its `conflicts` holds one
        `(key, base, ours, theirs)` for each.
    TypeError
        When the three are not of one kind, or sorted by different key functions.

    Notes
    -----
    Cost: O(k log n) for k changes from `base` to `theirs` in versions of n entries.

    Examples
    --------
    >>> from pstructs import m, merge
    >>> base = m(a=1, b=2, c=3)
    >>> merged = merge(base, base.set("a", 10), base.remove("b"))
    >>> sorted(merged.items())
    [('a', 10), ('c', 3)]
    >>> both = merge(base, base.set("a", 10), base.set("a", 5), lambda k, b, x, y: max(x, y))
    >>> both["a"]
    10
    """
    if all(isinstance(side, PVector) for side in (base, ours, theirs)):
        merged, conflicts = merge_vectors(base, ours, theirs, resolve)
    else:
        merged, conflicts = _merge(base, ours, theirs, resolve, ABSENT)
    if conflicts:
        raise _conflict_error(conflicts)
    return merged


def merge_nested(key: Any, base: Any, ours: Any, theirs: Any) -> Any:
    """Resolve a conflict between nested maps or sets by merging them, too.

    To be given to `merge` as its resolver. A key that both sides added with a map or set is
    merged as from an empty one.

    Parameters
    ----------
    key, base, ours, theirs
        As `merge` gives them to a resolver.

    Returns
    -------
    PMap or PSet
        The merged value.

    Raises
    ------
    MergeConflictError
        When the values are not all maps or all sets, or conflict themselves. The keys of
        its `conflicts` are as the innermost map holds them; the message names the way there.

    Examples
    --------
    >>> from pstructs import m, merge, merge_nested
    >>> base = m(user=m(name="Ada", age=36))
    >>> ours, theirs = m(user=m(name="Ada L.", age=36)), m(user=m(name="Ada", age=37))
    >>> merged = merge(base, ours, theirs, merge_nested)
    >>> sorted(merged["user"].items())
    [('age', 37), ('name', 'Ada L.')]
    """
    kinds: tuple[Any, ...] = (PMap, PSet, PSortedMap, PSortedSet)
    for kind in kinds:
        if isinstance(ours, kind) and isinstance(theirs, kind):
            if base is ABSENT:
                base = _empty(kind, ours)
            if isinstance(base, kind):
                try:
                    return merge(base, ours, theirs, merge_nested)
                except MergeConflictError as error:
                    message = f"under key {key!r}: {error}"
                    raise MergeConflictError(message, error.conflicts) from None
    raise _conflict_error([(key, base, ours, theirs)])


def _empty(kind: Any, like: Any) -> Any:
    """Return the empty collection of that kind, in the order of `like`."""
    if kind in (PMap, PSet):
        return pmap() if kind is PMap else pset()
    return like.slice(0, 0)


def _conflict_error(conflicts: list[tuple[Any, Any, Any, Any]]) -> MergeConflictError:
    """Name the first few conflicts and what to do about them."""
    shown = "; ".join(
        f"{key!r}: base {base!r}, ours {ours!r}, theirs {theirs!r}"
        for key, base, ours, theirs in conflicts[:_SHOWN]
    )
    more = f"; and {len(conflicts) - _SHOWN} more" if len(conflicts) > _SHOWN else ""
    noun = "key was" if len(conflicts) == 1 else "keys were"
    return MergeConflictError(
        f"{len(conflicts)} {noun} changed differently on both sides ({shown}{more}); "
        "pass resolve= to decide them",
        tuple(conflicts),
    )
