"""`SnapshotStore.gc`: finds the packs that no version needs, and gives back their space.

A pack is needed when a version whose value has not expired names it, or when a needed pack
imports it. What is left over is retired in one transaction, which looks at everything again, since
versions may have been saved since; its bytes go in a later one (retired.py says how). When
anything that would have to be looked at is damaged or missing, nothing is collected.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pstructs.cache import leases, pins, retired
from pstructs.cache.disk import PACK_FOLDER, sync_folder
from pstructs.errors import PackError, StoreDamagedError

if TYPE_CHECKING:
    from pstructs.cache.commit import Committer
    from pstructs.cache.folder import Folder
    from pstructs.cache.version import Version

__all__ = [
    "CollectReport",
    "Graph",
    "collect",
    "finish",
    "kept_packs",
    "kept_versions",
    "remove_retired",
    "retire_unreached",
    "revive",
]

SHORT_BYTES = 8
_UNLINKING = "SELECT pack FROM pstructs_retired WHERE state = ?"


class Node(NamedTuple):
    """What the collector knows of a pack: its uuid, what it imports, and its size in bytes."""

    uuid: bytes
    imports: tuple[bytes, ...]
    nbytes: int


class Graph:
    """The packs of a store and what they import: each is looked at once, since packs don't change.

    Parameters
    ----------
    folder : Folder
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self._nodes: dict[bytes, Node] = {}

    def node(self, short: bytes) -> Node:
        """Return what there is to know of the pack whose uuid begins with `short`."""
        found = self._nodes.get(short)
        if found is None:
            fetched = self.folder.fetch(short)
            if fetched is None:
                raise StoreDamagedError(f"{self.folder.path}: pack {short.hex()} is missing")
            uuid, pack = fetched
            found = self._nodes[short] = Node(uuid, pack.imports, pack.nbytes)
        return found

    def reach(self, packs: Iterable[bytes]) -> set[bytes]:
        """Return the uuids of all packs that these need, themselves included.

        Raises
        ------
        StoreDamagedError
            When one of them can't be read.
        """
        todo = {pack[:SHORT_BYTES] for pack in packs}
        seen = set(todo)
        found = set()
        try:
            while todo:
                node = self.node(todo.pop())
                found.add(node.uuid)
                fresh = set(node.imports) - seen
                seen |= fresh
                todo |= fresh
        except (PackError, StoreDamagedError) as error:
            raise StoreDamagedError(
                f"{self.folder.path}: a pack that versions need can't be read ({error}), so it "
                "can't be told what else they need; nothing was collected. Run verify() and "
                "restore the store from a copy"
            ) from error
        return found


@dataclass(frozen=True, slots=True)
class CollectReport:
    """What `gc` did.

    Attributes
    ----------
    retired : int
        Packs that were found to be unneeded, now.
    removed : int
        Retired packs, of now or before, whose bytes are gone.
    nbytes : int
        How many bytes that were.
    waiting : int
        Retired packs that are still there.
    readers : tuple of str
        Who has the store open since before some of these were retired, so that they stay.
    """

    retired: int
    removed: int
    nbytes: int
    waiting: int
    readers: tuple[str, ...]


def kept_versions(folder: Folder, con: sqlite3.Connection) -> list[Version]:
    """Return the versions whose values have not expired, the oldest first."""
    gone = pins.expired(folder.catalog, con)
    return [v for v in folder.catalog.versions(con) if v.number not in gone]


def kept_packs(folder: Folder, con: sqlite3.Connection) -> set[bytes]:
    """Return the uuids of the packs that versions name whose values have not expired."""
    return {bytes.fromhex(version.pack) for version in kept_versions(folder, con)}


def retire_unreached(graph: Graph, con: sqlite3.Connection) -> int:
    """Retire what no version reaches, in the caller's transaction; return how many packs."""
    folder = graph.folder
    needed = graph.reach(kept_packs(folder, con))
    known = {row.pack for row in retired.retired(folder.catalog, con)}
    if wrong := needed & known:
        raise StoreDamagedError(
            f"{folder.path}: pack {min(wrong).hex()} is in the journal of retired packs, and "
            "versions need it; nothing was collected. Run verify()"
        )
    packs = {folder.disk.get(key, raw) for key, raw in con.execute("SELECT key, raw FROM Cache")}
    return retired.retire(folder.catalog, con, sorted(packs - needed - known))


def remove_retired(
    graph: Graph, con: sqlite3.Connection, grace: int
) -> tuple[int, int, tuple[str, ...]]:
    """Take the rows of packs whose time has come; return packs, bytes, and who needs others."""
    folder, catalog = graph.folder, graph.folder.catalog
    last = catalog.last_number(con)
    held = leases.held(folder.path)
    first = min((lease.epoch for lease in held), default=None)
    rows = [row for row in retired.retired(catalog, con) if row.state == retired.RETIRED]
    count = nbytes = blocked = 0
    needed = graph.reach(kept_packs(folder, con)) if rows else set()
    for row in rows:
        if row.pack in needed:
            catalog.damaged(f"pack {row.pack.hex()} was retired, and versions need it")
        if first is not None and first < row.epoch:
            blocked = max(blocked, row.epoch)
            continue
        if last - row.number < grace:
            continue
        found = con.execute(
            "SELECT size, filename, length(value) FROM Cache WHERE key = ?", (row.pack,)
        ).fetchone()
        if found is None:  # a repair has put it aside
            retired.forget(con, row.pack)
            continue
        size, filename, length = found
        con.execute("DELETE FROM Cache WHERE key = ?", (row.pack,))
        if filename is None:
            retired.forget(con, row.pack)
        else:
            retired.unlinking(catalog, con, row)
        count += 1
        nbytes += folder.disk.occupied(row.pack, size, filename, length)
    who = tuple(dict.fromkeys(lease.owner for lease in held if lease.epoch < blocked))
    return count, nbytes, who


def finish(folder: Folder, *, sync: bool) -> None:
    """Remove the files of packs that are not part of the store any more.

    Done by the collector, and again by whoever opens the store after it died in the middle. Under
    the write lock, since a transfer from another store can bring a pack back under its old name.
    """
    with folder.errors:
        if not folder.con.execute(_UNLINKING + " LIMIT 1", (retired.UNLINKING,)).fetchone():
            return
    with folder.transaction(sync=sync) as con:
        packs = [pack for (pack,) in con.execute(_UNLINKING, (retired.UNLINKING,)).fetchall()]
        for pack in packs:
            for path in folder.disk.forms(pack).values():
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
        if sync:
            sync_folder(os.path.join(folder.path, PACK_FOLDER))
        for pack in packs:
            retired.forget(con, pack)


def revive(folder: Folder, con: sqlite3.Connection, packs: Iterable[bytes]) -> None:
    """Take what these packs need out of the journal again, in the caller's transaction.

    For a build, which holds a lease since before it pointed into them: so they are all there.

    Parameters
    ----------
    packs : iterable of bytes
        Uuids, or their first 8 bytes.
    """
    gone = {row.pack[:SHORT_BYTES]: row.pack for row in retired.retired(folder.catalog, con)}
    again = [short for pack in packs if (short := pack[:SHORT_BYTES]) in gone]
    # what is not in the journal imports nothing that is
    for pack in Graph(folder).reach(again):
        if pack[:SHORT_BYTES] in gone:
            retired.forget(con, pack)


def collect(folder: Folder, committer: Committer, grace: int) -> CollectReport:
    """Retire and remove what no version needs; see `SnapshotStore.gc`."""
    graph = Graph(folder)
    with folder.using():
        # most of the reading is done here, where nobody waits for it
        graph.reach(kept_packs(folder, folder.con))
        with committer.transaction() as con:
            count = retire_unreached(graph, con)
    folder.renew()
    with committer.transaction() as con:
        removed, nbytes, readers = remove_retired(graph, con, grace)
        rows = retired.retired(folder.catalog, con)
        waiting = sum(row.state == retired.RETIRED for row in rows)
    finish(folder, sync=committer.sync)
    with committer.guard():
        folder.con.execute("PRAGMA incremental_vacuum").fetchall()
    return CollectReport(count, removed, nbytes, waiting, readers)
