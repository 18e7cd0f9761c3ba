"""How one place in a value came to be: which versions changed what lies at a path.

Versions are compared at the path only: each costs one lookup, which reads the few nodes on the
way, whatever the size of the value. A version whose value at the path is that of one of its
parents is no change, and the walk goes on to that parent alone; so a branch that did not touch the
path is not walked at all. Versions whose values have expired are passed over: what they changed is
found in the next version that is there.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from pstructs import ABSENT, PMap, PSet, PSortedMap, PSortedSet, diff, pmap
from pstructs._core import Record
from pstructs.cache.catalog import Catalog
from pstructs.cache.merges import same
from pstructs.cache.version import Version
from pstructs.errors import ExpiredVersionError

__all__ = ["ValueChange", "as_path", "blame_keys", "changes_at", "look_up"]

_KEYED: tuple[type[Any], ...] = (PMap, PSet, PSortedMap, PSortedSet)


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A version that changed the value at a path.

    Attributes
    ----------
    version : Version
    old, new : object
        The value before, in the version's first parent, and in it; `pstructs.ABSENT` where
        there was none.
    """

    version: Version
    old: Any
    new: Any


def as_path(path: object) -> tuple[Any, ...]:
    """Return a path as a tuple of keys: a tuple or list is one, anything else is one key."""
    return tuple(path) if isinstance(path, tuple | list) else (path,)


def look_up(value: Any, path: Sequence[Any]) -> Any:
    """Return what lies at a path, `ABSENT` when it leads to nothing.

    In sets an element leads to itself.
    """
    for key in path:
        if isinstance(value, Set):
            value = key if key in value else ABSENT
        elif isinstance(value, Record) and not isinstance(value, Mapping):
            value = value._to_dict().get(key, ABSENT)
        elif isinstance(value, Mapping):
            value = value.get(key, ABSENT)
        elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
            try:
                value = value[key]
            except (IndexError, TypeError):
                return ABSENT
        else:
            return ABSENT
        if value is ABSENT:
            return ABSENT
    return value


def _kept_parents(
    catalog: Catalog, con: sqlite3.Connection, load: Callable[[Version], Any], version: Version
) -> Iterator[tuple[Version, Any]]:
    """Iterate over the nearest ancestors whose values have not expired, with these values."""
    todo, seen = [version], {version.id}
    while todo:
        below = todo.pop(0)
        if below is not version:
            try:
                whole = load(below)
            except ExpiredVersionError:
                pass
            else:
                yield below, whole
                continue
        for which in range(len(below.parents)):
            parent = catalog.parent(con, below, which)
            if parent.id not in seen:
                seen.add(parent.id)
                todo.append(parent)


class _Walk:
    """A walk from a version back, the latest first, with the values at the path."""

    def __init__(
        self,
        catalog: Catalog,
        con: sqlite3.Connection,
        load: Callable[[Version], Any],
        path: Sequence[Any],
    ) -> None:
        self.catalog, self.con, self.load, self.path = catalog, con, load, path
        self.seen: set[str] = set()
        self.last: Any = None  # as long as it is there, so are the packs that it has opened
        self.heap: list[tuple[int, str, Version, Any]] = []

    def add(self, version: Version, value: Any) -> None:
        if version.id not in self.seen:
            self.seen.add(version.id)
            heapq.heappush(self.heap, (-version.time, version.id, version, value))

    def value(self, whole: Any) -> Any:
        found = look_up(whole, self.path)
        self.last = whole
        return found

    def changes(self, start: Version) -> Iterator[ValueChange]:
        self.add(start, self.value(self.load(start)))
        while self.heap:
            _, _, version, value = heapq.heappop(self.heap)
            parents = []
            for parent, whole in _kept_parents(self.catalog, self.con, self.load, version):
                before = self.value(whole)
                if same(before, value):
                    self.add(parent, before)
                    break
                parents.append((parent, before))
            else:
                old = parents[0][1] if parents else ABSENT
                for parent, before in parents:
                    self.add(parent, before)
                if old is not ABSENT or value is not ABSENT:
                    yield ValueChange(version, old, value)


def changes_at(
    catalog: Catalog,
    con: sqlite3.Connection,
    load: Callable[[Version], Any],
    start: Version,
    path: Sequence[Any],
) -> Iterator[ValueChange]:
    """Iterate over the versions that changed what lies at `path`, the latest first."""
    return _Walk(catalog, con, load, path).changes(start)


def blame_keys(
    catalog: Catalog,
    con: sqlite3.Connection,
    load: Callable[[Version], Any],
    start: Version,
    path: Sequence[Any],
) -> PMap[Any, Version]:
    """Return for each key of the map, or element of the set, at `path` who gave it its value.

    Raises
    ------
    TypeError
        When something else lies there.
    """
    whole = look_up(load(start), path)
    if not isinstance(whole, _KEYED):
        raise TypeError(
            f"{start} has a {type(whole).__name__} at {list(path)!r:.200}; only maps and sets "
            "have keys to blame: use blame(path)"
        )
    run = _Blame(catalog, con, load, path, whole)
    run.add(start, set(), rest=True)
    while run.heap:
        run.step()
    return pmap(run.found)


class _Blame:
    """A walk back that hands keys on to the parents that have the same value for them.

    Most keys of a large map are never looked at: the first parent of a version inherits "all
    the rest". Keys that come from another parent are handed on by name.
    """

    def __init__(
        self,
        catalog: Catalog,
        con: sqlite3.Connection,
        load: Callable[[Version], Any],
        path: Sequence[Any],
        whole: Any,
    ) -> None:
        self.catalog, self.con, self.load, self.path = catalog, con, load, path
        self.whole = whole  # the keys to blame
        self.found: dict[Any, Version] = {}
        self.named: set[Any] = set()  # keys that are found, or handed on by name
        self.todo: dict[str, tuple[Version, set[Any], bool]] = {}
        self.heap: list[tuple[int, str]] = []

    def add(self, version: Version, keys: set[Any], *, rest: bool) -> None:
        _, more, other = self.todo.get(version.id, (version, set(), False))
        if version.id not in self.todo:
            heapq.heappush(self.heap, (-version.time, version.id))
        self.todo[version.id] = (version, keys | more, rest or other)

    def step(self) -> None:
        version, keys, rest = self.todo.pop(heapq.heappop(self.heap)[1])
        whole = self.load(version)
        value = look_up(whole, self.path)
        own: set[Any] | None = None  # what all parents so far have otherwise; None: everything
        for parent, before in _kept_parents(self.catalog, self.con, self.load, version):
            new = _new_keys(look_up(before, self.path), value)
            if new is None:
                continue
            if own is None:
                own = keys & new | (self.unnamed(new) if rest else set())
                self.add(parent, keys - new, rest=rest)
            else:
                self.add(parent, own - new, rest=False)
                self.named |= own - new
                own &= new
        if own is None:
            own = keys | (self.unnamed(value) if rest else set())
        self.named |= own
        self.found.update(dict.fromkeys(own, version))

    def unnamed(self, keys: Iterable[Any]) -> set[Any]:
        return {key for key in keys if key in self.whole and key not in self.named}


def _new_keys(old: Any, new: Any) -> set[Any] | None:
    """Return the keys of `new` that `old` lacks or has another value for; None: all of them."""
    for kind in _KEYED:
        if isinstance(old, kind) and isinstance(new, kind):
            found = diff(old, new)
            return {*found.added, *found.changed}
    return None
