"""Retired packs: the journal between "no version needs it" and "its bytes are gone".

    pstructs_epoch     one row: how often packs were retired (leases.py compares with it)
    pstructs_retired   a row a pack that no version reaches

    in use -> RETIRED at epoch R, when the last version had number N
           -> (all leases have moved on to R, the grace is over) the row of the pack goes
           -> UNLINKING when it had a file: file removed, then this row

A save may be under way while a pack is retired, with a new pack that points into it. Its commit
looks here, in its own transaction, and is refused (`check_imports`); the save then writes what it
needs from there into its own pack. A build can't be done twice: it holds a lease, so that nothing
goes meanwhile, and its commit takes what it needs out of the journal (`collecting.revive`), as the
commit of a transfer does. So what is in this journal is never pointed into, and what is not in
it is whole: a pack that is in use imports only packs that are.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from pstructs.cache.catalog import seal
from pstructs.errors import StoreError

if TYPE_CHECKING:
    from pstructs.cache.catalog import Catalog

__all__ = [
    "RETIRED",
    "SCHEMA",
    "UNLINKING",
    "Retired",
    "RetiredPackError",
    "Watch",
    "epoch",
    "forget",
    "retire",
    "retired",
    "unlinking",
]

SCHEMA = (
    "CREATE TABLE pstructs_epoch"
    " (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, sum BLOB NOT NULL)",
    "CREATE TABLE pstructs_retired"
    " (pack BLOB PRIMARY KEY, epoch INTEGER NOT NULL, number INTEGER NOT NULL,"
    " time INTEGER NOT NULL, state INTEGER NOT NULL, sum BLOB NOT NULL) WITHOUT ROWID",
)

RETIRED, UNLINKING = 0, 1
SHORT_BYTES = 8
_ALL = "SELECT pack, epoch, number, time, state, sum FROM pstructs_retired"


class RetiredPackError(StoreError):
    """A new pack points into one that was retired meanwhile: it has to be written anew."""


class Retired(NamedTuple):
    """A retired pack: since which epoch and which version, and what has become of it."""

    pack: bytes
    epoch: int
    number: int
    time: int
    state: int


def epoch(catalog: Catalog, con: sqlite3.Connection) -> int:
    """Return how often packs were retired in this store."""
    row = con.execute("SELECT epoch, sum FROM pstructs_epoch WHERE id = 0").fetchone()
    if row is None:
        return 0
    if row[1] != seal(catalog.store, "epoch", row[0]):
        catalog.damaged("the row with the epoch of the store is damaged")
    return int(row[0])


def _put(catalog: Catalog, con: sqlite3.Connection, row: Retired) -> None:
    con.execute(
        "INSERT OR REPLACE INTO pstructs_retired VALUES (?, ?, ?, ?, ?, ?)",
        (*row, seal(catalog.store, "retired", *row)),
    )


def retire(catalog: Catalog, con: sqlite3.Connection, packs: Iterable[bytes]) -> int:
    """Retire packs that no version reaches, in the caller's transaction; return how many."""
    now, number, count = epoch(catalog, con) + 1, catalog.last_number(con), 0
    for pack in packs:
        _put(catalog, con, Retired(pack, now, number, time.time_ns(), RETIRED))
        count += 1
    if count:
        con.execute(
            "INSERT OR REPLACE INTO pstructs_epoch VALUES (0, ?, ?)",
            (now, seal(catalog.store, "epoch", now)),
        )
    return count


def retired(catalog: Catalog, con: sqlite3.Connection) -> list[Retired]:
    """Return the whole journal."""
    found = []
    for row in con.execute(_ALL).fetchall():
        if row[-1] != seal(catalog.store, "retired", *row[:-1]):
            catalog.damaged("a row of the journal of retired packs is damaged")
        found.append(Retired(*row[:-1]))
    return found


def unlinking(catalog: Catalog, con: sqlite3.Connection, row: Retired) -> None:
    """Say that the file of a pack is about to go, in the caller's transaction."""
    _put(catalog, con, row._replace(state=UNLINKING))


def forget(con: sqlite3.Connection, pack: bytes) -> None:
    """Take a pack out of the journal, in the caller's transaction."""
    con.execute("DELETE FROM pstructs_retired WHERE pack = ?", (pack,))


class Watch:
    """What this process knows of the journal: read anew when the epoch has changed.

    Rows are added with a new epoch only, so a copy of the same epoch lacks nothing. It may still
    have packs that are gone or needed again: they are copied once more than they have to be.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: tuple[int, dict[bytes, int]] = 0, {}

    def short(self, con: sqlite3.Connection) -> dict[bytes, int]:
        """Return the epochs of retired packs, by the first 8 bytes of their uuid."""
        now = epoch(self._catalog, con)
        known = self._known
        if known[0] != now:
            rows = retired(self._catalog, con)
            known = self._known = now, {row.pack[:SHORT_BYTES]: row.epoch for row in rows}
        return known[1]

    def check_imports(self, con: sqlite3.Connection, imports: Iterable[bytes]) -> None:
        """Raise RetiredPackError when a new pack points into a retired one.

        In the transaction that makes the new pack part of the store.
        """
        gone = self.short(con)
        for short in imports if gone else ():
            if short in gone:
                raise RetiredPackError(
                    f"{self._catalog.path}: pack {short.hex()} was retired while a save pointed "
                    "into it; nothing was committed. Save again"
                )
