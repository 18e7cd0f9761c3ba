"""Connections to SQLite that a fork does not catch in the middle of something.

A child gets SQLite's locks as they were. One that a thread held which the child does not have is
held for ever, and the first use of SQLite in the child hangs: often before `os.fork` returns,
since Python closes the connections of the threads that are gone.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from typing import Any

from pstructs.cache.forks import INSIDE

__all__ = ["QuietConnection", "connect"]


class _Result:
    """What a statement gave: the part of a cursor that stores use."""

    __slots__ = ("_rows", "rowcount")

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows, self.rowcount = iter(rows), rowcount

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return self._rows


class QuietConnection(sqlite3.Connection):
    """A connection that is within the gate whenever it works."""

    def execute(self, *args: Any) -> Any:
        """Run a statement to its end, so that no cursor lives on outside the gate."""
        if INSIDE.has_me():  # and uses up there what it begins
            return super().execute(*args)
        with INSIDE:
            cursor = super().execute(*args)
            return _Result(cursor.fetchall(), cursor.rowcount)

    def close(self) -> None:
        """Close the connection, within the gate."""
        with INSIDE:
            super().close()


def connect(database: str | os.PathLike[str], timeout: float) -> sqlite3.Connection:
    """Return a connection in autocommit."""
    with INSIDE:
        return sqlite3.connect(database, timeout, isolation_level=None, factory=QuietConnection)
