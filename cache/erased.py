"""Ids that versions had before something was erased from them, and the ids that they have now.

    pstructs_erased    a row an id that is gone: the id that the same version got

A version's id is a digest over what it holds and over its parents' ids, so erasing changes the
ids of all versions from there on. Numbers stay, and the old ids lead to the same versions.
"""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

from pstructs.cache.refs import seal

if TYPE_CHECKING:
    from pstructs.cache.refs import Refs

__all__ = ["SCHEMA", "beginning_with", "count", "note", "successor"]

SCHEMA = (
    "CREATE TABLE pstructs_erased"
    " (old BLOB PRIMARY KEY, new BLOB NOT NULL, time INTEGER NOT NULL, sum BLOB NOT NULL)"
    " WITHOUT ROWID",
)


def note(catalog: Refs, con: sqlite3.Connection, old: bytes, new: bytes) -> None:
    """Write down that a version has another id now, in the caller's transaction."""
    row = (old, new, time.time_ns())
    con.execute(
        "INSERT INTO pstructs_erased VALUES (?, ?, ?, ?)",
        (*row, seal(catalog.store, "erased", *row)),
    )


def count(con: sqlite3.Connection) -> int:
    """Return how many versions got another id by now."""
    ((rows,),) = con.execute("SELECT count(*) FROM pstructs_erased")
    return int(rows)


def successor(catalog: Refs, con: sqlite3.Connection, old: bytes) -> bytes | None:
    """Return the id that the version with the id `old` got; None if there was none."""
    row = con.execute(
        "SELECT old, new, time, sum FROM pstructs_erased WHERE old = ?", (old,)
    ).fetchone()
    if row is None:
        return None
    if row[-1] != seal(catalog.store, "erased", *row[:-1]):
        catalog.damaged(f"the row that says what became of version {old.hex()} is damaged")
    return bytes(row[1])


def beginning_with(con: sqlite3.Connection, low: bytes, high: bytes) -> list[bytes]:
    """Return up to two of the old ids from `low` to `high`."""
    rows = con.execute(
        "SELECT old FROM pstructs_erased WHERE old BETWEEN ? AND ? LIMIT 2", (low, high)
    )
    return [old for (old,) in rows.fetchall()]
