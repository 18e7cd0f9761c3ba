"""Three-way merge of whole values: collections in collections, dicts and records, with paths.

`pstructs.merge` brings two versions of one collection together and asks a resolver about keys that
both sides changed. Here the resolver goes on into what lies there: maps, sets, vectors, sorted
collections, plain dicts and records are merged in turn, and only what can't be taken apart any
further is a conflict. All of them are collected, each with the path that leads to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from pstructs import ABSENT, PMap, PSet, PSortedMap, PSortedSet, PVector, diff, merge, pmap, pset
from pstructs._core import Record
from pstructs.errors import MergeConflictError
from pstructs.packs import PackWriter

__all__ = ["OnConflict", "Path", "merge_values", "same"]

#: The keys that lead to a place in a value, from the outside.
Path: TypeAlias = tuple[Any, ...]

#: Who decides conflicts: nobody, a side, or a function of path, base, ours and theirs.
OnConflict: TypeAlias = Callable[[Path, Any, Any, Any], Any] | Literal["ours", "theirs"] | None

_KINDS: tuple[type[Any], ...] = (PMap, PSet, PVector, PSortedMap, PSortedSet)
_SHOWN = 3


def same(a: Any, b: Any) -> bool:
    """Whether two values are the same: identical, or equal and of one type, all the way down.

    What can't be compared, as arrays, and what equals nothing, as NaN, is the same when it is
    saved as the same bytes.
    """
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    try:
        if isinstance(a, _KINDS):
            return not diff(a, b)
        if isinstance(a, list | tuple):
            return len(a) == len(b) and all(map(same, a, b))
        if isinstance(a, dict):
            return len(a) == len(b) and all(same(a[key], b.get(key, ABSENT)) for key in a)
        if a == b:
            return True
        if a == a and b == b:
            return False
    except (ValueError, TypeError):
        pass
    return PackWriter(a).root_digest == PackWriter(b).root_digest


def merge_values(base: Any, ours: Any, theirs: Any, on_conflict: OnConflict = None) -> Any:
    """Merge two values that started from one.

    Raises
    ------
    MergeConflictError
        When nobody decides; its `conflicts` holds one `(path, base, ours, theirs)` for each.
    """
    if isinstance(on_conflict, str) and on_conflict not in ("ours", "theirs"):
        raise ValueError(
            f"on_conflict is 'ours', 'theirs', a function or None, got {on_conflict!r}"
        )
    run = _Merge(on_conflict)
    merged = run.merge((), base, ours, theirs)
    if run.conflicts:
        raise _conflict_error(run.conflicts)
    return merged


class _Merge:
    """One merge, and the conflicts that it has met."""

    def __init__(self, on_conflict: OnConflict) -> None:
        self.on_conflict = on_conflict
        self.conflicts: list[tuple[Path, Any, Any, Any]] = []

    def merge(self, path: Path, base: Any, ours: Any, theirs: Any) -> Any:
        """Merge what lies at `path`; `ABSENT` stands for nothing there."""
        if same(ours, theirs) or same(base, theirs):
            return ours
        if same(base, ours):
            return theirs
        for kind in _KINDS:
            if isinstance(ours, kind) and isinstance(theirs, kind):
                start = _empty(ours) if base is ABSENT else base
                if isinstance(start, kind):
                    return self._collections(path, start, ours, theirs)
        if type(ours) is type(theirs) is dict and (base is ABSENT or type(base) is dict):
            return self._dicts(path, {} if base is ABSENT else base, ours, theirs)
        if isinstance(ours, Record) and type(ours) is type(theirs) is type(base):
            return self._records(path, base, ours, theirs)
        return self._decide(path, base, ours, theirs)

    def _collections(self, path: Path, base: Any, ours: Any, theirs: Any) -> Any:
        if isinstance(ours, PVector):
            return merge(base, ours, theirs, lambda *at: self._elements(path, *at))
        return merge(base, ours, theirs, lambda key, *at: self.merge((*path, key), *at))

    def _elements(self, path: Path, where: range, base: Any, ours: Any, theirs: Any) -> Any:
        """Merge a range of a vector: one by one as long as nothing was inserted or deleted."""
        if len(base) == len(ours) == len(theirs):
            sides = zip(where, base, ours, theirs, strict=True)
            return [self.merge((*path, index), *at) for index, *at in sides]
        return self._decide((*path, where), base, ours, theirs)

    def _dicts(
        self, path: Path, base: dict[Any, Any], ours: dict[Any, Any], theirs: dict[Any, Any]
    ) -> dict[Any, Any]:
        merged = {}
        for key in {**ours, **theirs}:
            sides = (side.get(key, ABSENT) for side in (base, ours, theirs))
            value = self.merge((*path, key), *sides)
            if value is not ABSENT:
                merged[key] = value
        return merged

    def _records(self, path: Path, base: Any, ours: Any, theirs: Any) -> Any:
        mine = ours._to_dict()
        fields = self._dicts(path, base._to_dict(), mine, theirs._to_dict())
        changed = {name: value for name, value in fields.items() if mine.get(name) is not value}
        merged = ours.set(**changed) if changed else ours
        for name in mine.keys() - fields.keys():
            merged = merged.remove(name)
        return merged

    def _decide(self, path: Path, base: Any, ours: Any, theirs: Any) -> Any:
        if self.on_conflict is None:
            self.conflicts.append((path, base, ours, theirs))
            return ours
        if isinstance(self.on_conflict, str):
            return ours if self.on_conflict == "ours" else theirs
        return self.on_conflict(path, base, ours, theirs)


def _empty(like: Any) -> Any:
    """Return the empty collection of the kind, and in the order, of `like`."""
    if isinstance(like, PMap | PSet):
        return pmap() if isinstance(like, PMap) else pset()
    return like[:0] if isinstance(like, PVector) else like.slice(0, 0)


def _conflict_error(conflicts: list[tuple[Path, Any, Any, Any]]) -> MergeConflictError:
    shown = "; ".join(
        f"at {list(path)!r:.200}: base {base!r:.100}, ours {ours!r:.100}, theirs {theirs!r:.100}"
        for path, base, ours, theirs in conflicts[:_SHOWN]
    )
    more = f"; and {len(conflicts) - _SHOWN} more" if len(conflicts) > _SHOWN else ""
    noun = "place was" if len(conflicts) == 1 else "places were"
    return MergeConflictError(
        f"{len(conflicts)} {noun} changed differently on both sides ({shown}{more}); nothing was "
        "saved. Pass on_conflict= to decide them",
        tuple(conflicts),
    )
