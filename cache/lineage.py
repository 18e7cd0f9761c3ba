"""Walks over the graph of versions, from children to parents.

A version is later than its parents, in every store that has it, so walking from the latest to the
earliest meets every version after all of its descendants. (Numbers would do within one store;
times and ids give the same answer in all of them.)
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator

from pstructs.cache.catalog import Catalog
from pstructs.cache.version import Version

__all__ = ["later_than", "merge_base", "only_in", "walk"]

_OURS, _THEIRS, _BOTH = 1, 2, 3


class _Queue:
    """Versions to visit, the latest first, each once, with marks that go on to its parents."""

    def __init__(self, catalog: Catalog, con: sqlite3.Connection) -> None:
        self.catalog, self.con = catalog, con
        self.heap: list[tuple[int, str, Version]] = []
        self.marks: dict[str, int] = {}

    def add(self, version: Version, mark: int) -> None:
        seen = self.marks.get(version.id)
        self.marks[version.id] = mark if seen is None else seen | mark
        if seen is None:
            heapq.heappush(self.heap, (-version.time, version.id, version))

    def pop(self) -> tuple[Version, int]:
        version = heapq.heappop(self.heap)[2]
        return version, self.marks[version.id]

    def add_parents(self, version: Version, mark: int) -> None:
        for which, parent in enumerate(version.parents):
            if parent in self.marks:
                self.marks[parent] |= mark
            else:
                self.add(self.catalog.parent(self.con, version, which), mark)


def walk(catalog: Catalog, con: sqlite3.Connection, start: Version) -> Iterator[Version]:
    """Iterate over `start` and all that it was made from, the latest first."""
    queue = _Queue(catalog, con)
    queue.add(start, _OURS)
    while queue.heap:
        version, mark = queue.pop()
        yield version
        queue.add_parents(version, mark)


def merge_base(
    catalog: Catalog, con: sqlite3.Connection, ours: Version, theirs: Version
) -> Version | None:
    """Return the latest version that both were made from; None when there is none.

    No other version that both were made from was itself made from it. Where there are several
    such (each side has merged the other), the latest of them is as good as any, and is the same
    one in every store.
    """
    queue = _Queue(catalog, con)
    queue.add(ours, _OURS)
    queue.add(theirs, _THEIRS)
    while queue.heap:
        version, mark = queue.pop()
        if mark == _BOTH:
            return version
        queue.add_parents(version, mark)
    return None


def only_in(
    catalog: Catalog, con: sqlite3.Connection, ours: Version, without: Version
) -> list[Version]:
    """Return what `ours` was made from and `without` was not, the earliest first."""
    queue = _Queue(catalog, con)
    queue.add(ours, _OURS)
    queue.add(without, _THEIRS)
    found = []
    while any(queue.marks[vid] == _OURS for _, vid, _ in queue.heap):
        version, mark = queue.pop()
        if mark == _OURS:
            found.append(version)
        queue.add_parents(version, mark)
    return found[::-1]


def later_than(
    catalog: Catalog, con: sqlite3.Connection, start: Version, time_ns: int
) -> list[Version]:
    """Return what `start` was made from after a time, the earliest first."""
    found = []
    for version in walk(catalog, con, start):
        if version.time <= time_ns:
            break  # all that follow are earlier
        found.append(version)
    return found[::-1]
