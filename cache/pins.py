"""What is said of versions beside their rows: that they expired, are pinned, or are held.

pstructs_expired   a row a version whose value was given up: its row stays, so that histories
                   stay whole, numbers are not used twice, and errors can say what happened
pstructs_pin       a row a pin or a legal hold: the version is not to expire
"""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from pstructs.cache.catalog import seal
from pstructs.errors import ExpiredVersionError

if TYPE_CHECKING:
    from pstructs.cache.catalog import Catalog
    from pstructs.cache.version import Version

__all__ = [
    "SCHEMA",
    "Kind",
    "Mark",
    "add_mark",
    "check_value",
    "drop_mark",
    "expire",
    "expired",
    "marks",
]

SCHEMA = (
    "CREATE TABLE pstructs_expired"
    " (number INTEGER PRIMARY KEY, time INTEGER NOT NULL, reason TEXT NOT NULL,"
    " sum BLOB NOT NULL)",
    "CREATE TABLE pstructs_pin"
    " (number INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, time INTEGER NOT NULL,"
    " sum BLOB NOT NULL, PRIMARY KEY (number, kind, name)) WITHOUT ROWID",
)

#: A pin keeps a version from expiring; a hold keeps it from being erased, too.
Kind: TypeAlias = Literal["pin", "hold"]


class Mark(NamedTuple):
    """A pin or a hold: which version, which of the two, its name, and when it was set."""

    number: int
    kind: Kind
    name: str
    time: int

    def __str__(self) -> str:
        return f"{'held by' if self.kind == 'hold' else 'pinned as'} {self.name!r}"


# ---- expired
def _expired_row(catalog: Catalog, row: tuple[int, int, str, bytes]) -> tuple[int, str]:
    number, when, reason, found = row
    if found != seal(catalog.store, "expired", number, when, reason):
        catalog.damaged(f"the row that says that version {number} expired is damaged")
    return when, reason


def expire(catalog: Catalog, con: sqlite3.Connection, number: int, reason: str) -> None:
    """Give up the value of a version, in the caller's transaction."""
    row = (number, time.time_ns(), reason)
    con.execute(
        "INSERT INTO pstructs_expired VALUES (?, ?, ?, ?)",
        (*row, seal(catalog.store, "expired", *row)),
    )


def expired(catalog: Catalog, con: sqlite3.Connection) -> dict[int, tuple[int, str]]:
    """Return when and why versions expired, by number."""
    rows = con.execute("SELECT number, time, reason, sum FROM pstructs_expired").fetchall()
    return {row[0]: _expired_row(catalog, row) for row in rows}


def check_value(catalog: Catalog, con: sqlite3.Connection, version: Version) -> None:
    """Raise ExpiredVersionError when the value of `version` was given up."""
    row = con.execute(
        "SELECT number, time, reason, sum FROM pstructs_expired WHERE number = ?",
        (version.number,),
    ).fetchone()
    if row is not None:
        when, reason = _expired_row(catalog, row)
        day = datetime.fromtimestamp(when / 1e9, UTC).isoformat(" ", "seconds")
        raise ExpiredVersionError(
            f"{catalog.path}: {version} expired at {day} ({reason}); only its place in the "
            "history is left. Versions that are to stay can be pinned (`pin`)"
        )


# ---- pins and holds
def add_mark(
    catalog: Catalog, con: sqlite3.Connection, number: int, kind: Kind, name: str
) -> None:
    """Set a pin or a hold, in the caller's transaction; one that is there stays as it is."""
    row = (number, kind, name, time.time_ns())
    con.execute(
        "INSERT OR IGNORE INTO pstructs_pin VALUES (?, ?, ?, ?, ?)",
        (*row, seal(catalog.store, "pin", *row)),
    )


def drop_mark(con: sqlite3.Connection, number: int, kind: Kind, name: str) -> bool:
    """Take a pin or a hold away; False when there is none."""
    done = con.execute(
        "DELETE FROM pstructs_pin WHERE number = ? AND kind = ? AND name = ?", (number, kind, name)
    )
    return done.rowcount == 1


def marks(catalog: Catalog, con: sqlite3.Connection) -> list[Mark]:
    """Return all pins and holds, by version."""
    found = []
    for row in con.execute(
        "SELECT number, kind, name, time, sum FROM pstructs_pin ORDER BY number, kind, name"
    ).fetchall():
        if row[-1] != seal(catalog.store, "pin", *row[:-1]):
            catalog.damaged(f"the row of a pin or hold of version {row[0]!r:.40} is damaged")
        found.append(Mark(*row[:-1]))
    return found
