"""Connections to SQLite that a fork does not catch in the middle of something.

A child gets SQLite's locks as they were. One that a thread held which the child does not have is
held for ever, and the first use of SQLite in the child hangs: often before `os.fork` returns,
since Python closes the connections of the threads that are gone.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import Any

from pstructs.cache.forks import INSIDE

__all__ = ["QuietConnection", "connect"]


class _QuietCursor(sqlite3.Cursor):
    """A cursor whose steps are within the gate, each of its own: it may live on between them."""

    def execute(self, *args: Any) -> _QuietCursor:
        with INSIDE:
            return super().execute(*args)

    def fetchone(self) -> Any:
        with INSIDE:
            return super().fetchone()

    def fetchall(self) -> list[Any]:
        with INSIDE:
            return super().fetchall()

    def __next__(self) -> Any:
        with INSIDE:
            return super().__next__()

    def __del__(self) -> None:  # a statement that has more rows is taken back here
        with INSIDE, contextlib.suppress(sqlite3.ProgrammingError):  # of another thread
            super().close()


class QuietConnection(sqlite3.Connection):
    """A connection that is within the gate whenever it works."""

    def cursor(self, *args: Any) -> Any:
        """Return a cursor that is within the gate whenever it works."""
        return super().cursor(_QuietCursor)

    def execute(self, *args: Any) -> Any:
        """Run a statement: what a thread begins within the gate, it uses up there."""
        if INSIDE.has_me():
            return super().execute(*args)
        return self.cursor().execute(*args)  # Python's own method may go past the cursor's

    def close(self) -> None:
        """Close the connection, within the gate."""
        with INSIDE:
            super().close()


def connect(database: str | os.PathLike[str], timeout: float) -> sqlite3.Connection:
    """Return a connection in autocommit."""
    with INSIDE:
        return sqlite3.connect(database, timeout, isolation_level=None, factory=QuietConnection)
