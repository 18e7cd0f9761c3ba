"""Merge what two writers made of one value, without losing an update.

`pstructs.merge` takes a change that both sides made alike once: right for people who edit a
document, and a lost update for two writers who both counted from 1 to 2. So a head is stricter.
A change counts only where the other side left alone what it replaces, at any depth of nested maps
and sets; everything else is a conflict, and the writer's function is called again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pstructs import ABSENT, PMap, PSet, PSortedMap, PSortedSet, PVector, diff, merge
from pstructs.errors import MergeConflictError

__all__ = ["merge_changes"]

_MAPS = (PMap, PSortedMap)
_SETS = (PSet, PSortedSet)
_SHOWN = 3


def merge_changes(base: Any, current: Any, new: Any) -> Any:
    """Return `current` with the changes that lead from `base` to `new`.

    Parameters
    ----------
    base : object
        What the writer was given.
    current : object
        What others have made of it since.
    new : object
        What the writer made of it.

    Returns
    -------
    object

    Raises
    ------
    MergeConflictError
        Its `conflicts` holds `(path, base, current, new)` for each place that both changed; a
        path is the tuple of keys that leads there.

    Notes
    -----
    *Cost*: O(changes of both · log n).

    Examples
    --------
    >>> from pstructs import m
    >>> base = m(hits=1, names=m(a=1))
    >>> others = base.set("hits", 2)
    >>> sorted(merge_changes(base, others, base.set("names", m(a=1, b=2))).items())
    [('hits', 2), ('names', pmap({'a': 1, 'b': 2}))]
    >>> merge_changes(base, others, base.set("hits", 2))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    pstructs.errors.MergeConflictError: both sides changed ('hits',); ...
    """
    conflicts: list[tuple[Any, Any, Any, Any]] = []
    merged = _merge((), base, current, new, conflicts)
    if conflicts:
        shown = ", ".join(repr(path) for path, *_ in conflicts[:_SHOWN])
        more = f" and {len(conflicts) - _SHOWN} more places" if len(conflicts) > _SHOWN else ""
        raise MergeConflictError(
            f"both sides changed {shown}{more}; make the change again from the newer value",
            tuple(conflicts),
        )
    return merged


def _merge(path: tuple[Any, ...], base: Any, current: Any, new: Any, conflicts: list[Any]) -> Any:
    kind = type(base)
    if not (kind is type(current) is type(new)):
        conflicts.append((path, base, current, new))
        return current
    if kind is PVector:
        return _merge_vectors(path, base, current, new, conflicts)
    if kind not in _MAPS and kind not in _SETS:
        conflicts.append((path, base, current, new))
        return current
    met: set[Any] = set()

    def resolve(key: Any, before: Any, ours: Any, theirs: Any) -> Any:
        met.add(key)
        return _merge((*path, key), before, ours, theirs, conflicts)

    merged = merge(base, current, new, resolve)
    mine, others = diff(base, new), diff(base, current)
    for key in _keys(mine):
        if key not in met and any(key in part for part in others):  # both made it alike
            before, ours, theirs = (_at(side, key) for side in (base, current, new))
            _merge((*path, key), before, ours, theirs, conflicts)
    return merged


def _merge_vectors(
    path: tuple[Any, ...], base: Any, current: Any, new: Any, conflicts: list[Any]
) -> Any:
    others = diff(base, current).edits
    for mine in diff(base, new).edits:
        for other in others:
            grows = any(len(e.removed) != len(e.added) for e in (mine, other))
            apart = mine.stop - other.start, other.stop - mine.start
            if min(apart) > 0 or (grows and min(apart) == 0):
                lo, hi = min(mine.start, other.start), max(mine.stop, other.stop)
                conflicts.append(((*path, range(lo, hi)), base[lo:hi], other.added, mine.added))
    return current if conflicts else merge(base, current, new)


def _keys(changes: Any) -> Iterable[Any]:
    for part in changes:
        yield from part


def _at(side: Any, key: Any) -> Any:
    if isinstance(side, _MAPS):
        return side.get(key, ABSENT)
    return key if key in side else ABSENT
