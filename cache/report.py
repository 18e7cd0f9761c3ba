"""`SnapshotStore.report`: where the bytes of a store are, and which version needs which.

What a version reaches is a set of packs, as the bits of one number: a pack's set is its own bit
and the sets of all that it imports. So the sets of a history of a thousand packs are a thousand
numbers of a thousand bits, made in one pass.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pstructs.cache import retired
from pstructs.cache.collecting import SHORT_BYTES, Graph, kept_versions
from pstructs.cache.layout import DATABASE

if TYPE_CHECKING:
    import sqlite3

    from pstructs.cache.folder import Folder

__all__ = ["Space", "StoreReport", "make_report"]

_K = TypeVar("_K")


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes in packs that a version, or all versions that were saved to a head, stand on.

    Attributes
    ----------
    unique : int
        In packs that nothing else needs: what `gc` would give back without it.
    shared : int
        In packs that others need, too.
    """

    unique: int
    shared: int


@dataclass(frozen=True, slots=True)
class StoreReport:
    """Where the bytes of a store are.

    Attributes
    ----------
    live : int
        Bytes in packs that versions need.
    dead : int
        Bytes in packs that no version needs; `gc` retires them.
    retired : int
        Bytes in packs that `gc` retired and has not removed yet.
    catalog : int
        Bytes of the database with the catalog, which holds small packs as well.
    live_packs, dead_packs, retired_packs : int
        How many packs these are.
    versions : mapping of int to Space
        By number; versions that expired are not in it.
    heads : mapping of str to Space
        By the head that the versions were saved to.
    """

    live: int
    dead: int
    retired: int
    catalog: int
    live_packs: int
    dead_packs: int
    retired_packs: int
    versions: Mapping[int, Space]
    heads: Mapping[str, Space]


class _Sets:
    """Sets of packs as numbers: which packs a pack needs, and how many bytes a set has."""

    def __init__(self, graph: Graph, occupied: Mapping[bytes, int]) -> None:
        self._graph, self._occupied = graph, occupied
        self._sizes: list[int] = []
        self._sets: dict[bytes, int] = {}

    def needed(self, short: bytes) -> int:
        """Return the set of a pack and all that it needs."""
        todo = [short]
        while todo:
            top = todo[-1]
            node = self._graph.node(top)
            if missing := [each for each in node.imports if each not in self._sets]:
                todo.extend(missing)
                continue
            todo.pop()
            if top not in self._sets:
                found = 1 << len(self._sizes)
                for each in node.imports:
                    found |= self._sets[each]
                self._sizes.append(self._occupied[node.uuid])
                self._sets[top] = found
        return self._sets[short]

    def scale(self) -> list[list[int]]:
        """Return the bytes of every set of packs 8i ... 8i + 7, as a table a value of i."""
        tables = []
        for start in range(0, len(self._sizes), 8):
            table = [0]
            for size in self._sizes[start : start + 8]:
                table += [size + other for other in table]
            tables.append(table)
        return tables


def _spaces(sets: Mapping[_K, int], tables: list[list[int]]) -> dict[_K, Space]:
    once = several = 0
    for found in sets.values():
        several |= once & found
        once |= found

    def weigh(found: int) -> int:
        parts = found.to_bytes(len(tables), "little")
        return sum(table[part] for table, part in zip(tables, parts, strict=True))

    return {
        name: Space(weigh(found & ~several), weigh(found & several))
        for name, found in sets.items()
    }


def _total(sizes: Mapping[bytes, int], packs: Iterable[bytes]) -> int:
    return sum(sizes[pack] for pack in packs)


def make_report(folder: Folder, con: sqlite3.Connection) -> StoreReport:
    """Compute the report, in a transaction of the caller's; see `SnapshotStore.report`."""
    graph = Graph(folder)
    versions = kept_versions(folder, con)
    live = graph.reach(bytes.fromhex(version.pack) for version in versions)
    rows = con.execute("SELECT key, size, filename, length(value) FROM Cache").fetchall()
    sizes = {row[0]: folder.disk.occupied(*row) for row in rows}
    journal = {
        row.pack for row in retired.retired(folder.catalog, con) if row.state == retired.RETIRED
    }
    sets = _Sets(graph, sizes)
    by_version: dict[int, int] = {}
    by_head: dict[str, int] = {}
    for version in versions:
        found = sets.needed(bytes.fromhex(version.pack)[:SHORT_BYTES])
        by_version[version.number] = found
        by_head[version.head] = by_head.get(version.head, 0) | found
    tables = sets.scale()
    dead = sizes.keys() - live - journal
    database = os.path.join(folder.path, DATABASE)
    files = [name for name in (database, database + "-wal") if os.path.exists(name)]
    return StoreReport(
        live=_total(sizes, live),
        dead=_total(sizes, dead),
        retired=_total(sizes, journal),
        catalog=sum(os.path.getsize(name) for name in files),
        live_packs=len(live),
        dead_packs=len(dead),
        retired_packs=len(journal),
        versions=_spaces(by_version, tables),
        heads=_spaces(by_head, tables),
    )
