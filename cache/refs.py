"""Names for versions, as rows of the catalog: heads that move, tags that don't, the reflog.

    pstructs_head      a row a head: the version that it is at, and how often it has moved
    pstructs_tag       a row a tag: the version that it names
    pstructs_reflog    a row a move of a head, or a making or deleting of a tag; never changed

The reflog outlives the names: when one is deleted, its last row has no new version. So a head
or tag whose row is lost is told from one that was deleted, and is never begun anew. A head that
is made again goes on counting its moves. Tags are in the reflog as `tag:<name>`, which no head
can be called.

The times of a head's moves only ever increase, whatever the clock does: `as_of` looks them up by
halving.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

from pstructs.errors import NameTakenError, StoreDamagedError

__all__ = ["SCHEMA", "TAG", "Head", "Move", "Refs", "Tag", "seal", "snapshot"]

SCHEMA = (
    "CREATE TABLE pstructs_head"
    " (name TEXT PRIMARY KEY, number INTEGER NOT NULL, id BLOB NOT NULL, moves INTEGER NOT NULL,"
    " time INTEGER NOT NULL, sum BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE pstructs_tag"
    " (name TEXT PRIMARY KEY, number INTEGER NOT NULL, id BLOB NOT NULL, time INTEGER NOT NULL,"
    " message TEXT, sum BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE pstructs_reflog"
    " (name TEXT NOT NULL, move INTEGER NOT NULL, old BLOB, new BLOB,"
    " time INTEGER NOT NULL, action TEXT NOT NULL, sum BLOB NOT NULL,"
    " PRIMARY KEY (name, move)) WITHOUT ROWID",
)

TAG = "tag:"  # how the reflog tells tags from heads
_HEAD = "SELECT name, number, id, moves, time, sum FROM pstructs_head"
_TAG = "SELECT name, number, id, time, message, sum FROM pstructs_tag"
_REFLOG = "SELECT name, move, old, new, time, action, sum FROM pstructs_reflog WHERE name = ?"
# jumps from name to name through the index: one step a name, not one a move
_NAMES = (
    "WITH RECURSIVE names(name) AS (SELECT min(name) FROM pstructs_reflog UNION ALL"
    " SELECT (SELECT min(name) FROM pstructs_reflog WHERE name > names.name) FROM names"
    " WHERE names.name IS NOT NULL) SELECT name, (SELECT new FROM pstructs_reflog AS last"
    " WHERE last.name = names.name ORDER BY move DESC LIMIT 1) FROM names WHERE name IS NOT NULL"
)


def seal(store: bytes, *columns: Any) -> bytes:
    """Return the 8-byte checksum of a row: of its table's name and all its columns."""
    return hashlib.blake2b(repr(columns).encode(), digest_size=8, key=store).digest()


@contextlib.contextmanager
def snapshot(con: sqlite3.Connection) -> Iterator[None]:
    """See one state of the store in all that is read in here, whoever writes meanwhile.

    Many reads are faster, too: each alone would take and give back SQLite's lock for readers.
    """
    own = not con.in_transaction
    if own:
        con.execute("BEGIN")
    try:
        yield
    finally:
        if own and con.in_transaction:
            con.execute("COMMIT")


class Head(NamedTuple):
    """Where a head is: the version's number and id, how often it has moved, and when last."""

    name: str
    number: int
    id: bytes
    moves: int
    time: int


class Tag(NamedTuple):
    """What a tag names, since when (ns since 1970, UTC), and what is said of it."""

    name: str
    number: int
    id: bytes
    time: int
    message: str | None


class Move(NamedTuple):
    """One move in the reflog; the ids are None where there was, or is, no version."""

    name: str
    move: int
    old: bytes | None
    new: bytes | None
    time: int
    action: str


class Refs:
    """Reads and writes the rows of heads, tags and the reflog.

    Parameters
    ----------
    path : str
        The store, for messages.
    store : bytes
        The store's id: the key of the checksums.
    """

    def __init__(self, path: str, store: bytes) -> None:
        self.path, self.store = path, store

    def damaged(self, what: str) -> NoReturn:
        """Raise the error that says what is damaged and what to do."""
        raise StoreDamagedError(
            f"{self.path}: {what}. Keep the folder as it is, run verify() to see how far the "
            "damage goes, and restore the store from a copy"
        )

    # ---- heads
    def _head(self, row: tuple[Any, ...]) -> Head:
        if row[-1] != seal(self.store, "head", *row[:-1]):
            self.damaged(f"the catalog's row of head {row[0]!r:.220} is damaged")
        return Head(*row[:-1])

    def head(self, con: sqlite3.Connection, name: str) -> Head | None:
        """Return where the head is, or None if there is none of that name."""
        row = con.execute(_HEAD + " WHERE name = ?", (name,)).fetchone()
        if row is not None:
            head = self._head(row)
            if head.name != name:
                self.damaged(f"looking for head {name!r} found {head.name!r}")
            return head
        last = self.last_move(con, name)
        if last is not None and last.new is not None:
            self.damaged(f"the head {name!r} is missing, though the reflog knows it")
        return None

    def heads(self, con: sqlite3.Connection) -> list[Head]:
        """Return all heads, by name."""
        rows, known = self._rows_and_reflog(con, _HEAD)
        heads = [self._head(row) for row in rows]
        expected = {name: new for name, new in known.items() if not name.startswith(TAG)}
        if {head.name: head.id for head in heads} != expected:
            self.damaged("the heads are not those that the reflog knows")
        return heads

    def move(
        self,
        con: sqlite3.Connection,
        name: str,
        at: Head | None,
        number: int,
        vid: bytes,
        now: int,
        action: str,
    ) -> None:
        """Move a head, or make it, and write that down in the reflog."""
        if at is None:
            self._check_free(con, name)
        old, moves, now = self._next(con, name, at, now)
        head = (name, number, vid, moves, now)
        con.execute(
            "INSERT OR REPLACE INTO pstructs_head VALUES (?, ?, ?, ?, ?, ?)",
            (*head, seal(self.store, "head", *head)),
        )
        self._write_down(con, (name, moves, old, vid, now, action))

    def drop_head(self, con: sqlite3.Connection, at: Head, action: str) -> None:
        """Delete a head; the reflog keeps its moves."""
        old, moves, now = self._next(con, at.name, at, time.time_ns())
        con.execute("DELETE FROM pstructs_head WHERE name = ?", (at.name,))
        self._write_down(con, (at.name, moves, old, None, now, action))

    # ---- tags
    def _tag(self, row: tuple[Any, ...]) -> Tag:
        if row[-1] != seal(self.store, "tag", *row[:-1]):
            self.damaged(f"the catalog's row of tag {row[0]!r:.220} is damaged")
        return Tag(*row[:-1])

    def tag(self, con: sqlite3.Connection, name: str) -> Tag | None:
        """Return the tag, or None if there is none of that name."""
        row = con.execute(_TAG + " WHERE name = ?", (name,)).fetchone()
        if row is not None:
            tag = self._tag(row)
            if tag.name != name:
                self.damaged(f"looking for tag {name!r} found {tag.name!r}")
            return tag
        last = self.last_move(con, TAG + name)
        if last is not None and last.new is not None:
            self.damaged(f"the tag {name!r} is missing, though the reflog knows it")
        return None

    def tags(self, con: sqlite3.Connection) -> list[Tag]:
        """Return all tags, by name."""
        rows, known = self._rows_and_reflog(con, _TAG)
        tags = [self._tag(row) for row in rows]
        if {TAG + tag.name: tag.id for tag in tags} != {
            name: new for name, new in known.items() if name.startswith(TAG)
        }:
            self.damaged("the tags are not those that the reflog knows")
        return tags

    def add_tag(
        self, con: sqlite3.Connection, name: str, number: int, vid: bytes, message: str | None
    ) -> None:
        """Make a tag."""
        self._check_free(con, name)
        _, moves, now = self._next(con, TAG + name, None, time.time_ns())
        tag = (name, number, vid, now, message)
        con.execute(
            "INSERT INTO pstructs_tag VALUES (?, ?, ?, ?, ?, ?)",
            (*tag, seal(self.store, "tag", *tag)),
        )
        self._write_down(con, (TAG + name, moves, None, vid, now, "tag"))

    def drop_tag(self, con: sqlite3.Connection, tag: Tag) -> None:
        """Delete a tag; the reflog keeps what it named."""
        _, moves, now = self._next(con, TAG + tag.name, None, time.time_ns())
        con.execute("DELETE FROM pstructs_tag WHERE name = ?", (tag.name,))
        self._write_down(con, (TAG + tag.name, moves, tag.id, None, now, "delete"))

    def _check_free(self, con: sqlite3.Connection, name: str) -> None:
        """Raise unless a new head or tag may be called `name`."""
        taken: tuple[tuple[str, Head | Tag | None], ...] = (
            ("head", self.head(con, name)),
            ("tag", self.tag(con, name)),
        )
        for what, found in taken:
            if found is not None:
                raise NameTakenError(
                    f"{self.path}: there is a {what} {name!r} already, at version {found.number}; "
                    f"choose another name, or delete the {what} first (delete_{what})"
                )

    # ---- the reflog
    def _move(self, row: tuple[Any, ...]) -> Move:
        if row[-1] != seal(self.store, "reflog", *row[:-1]):
            self.damaged(f"row {row[1]!r:.40} of the reflog of {row[0]!r:.220} is damaged")
        return Move(*row[:-1])

    def last_move(self, con: sqlite3.Connection, name: str) -> Move | None:
        """Return the last row of a name in the reflog; None when it never was."""
        row = con.execute(_REFLOG + " ORDER BY move DESC LIMIT 1", (name,)).fetchone()
        if row is None:
            return None
        last = self._move(row)
        if last.name != name:
            self.damaged(f"looking for {name!r} in the reflog found {last.name!r}")
        return last

    def moves(
        self, con: sqlite3.Connection, name: str, start: int = 0, stop: int = -1
    ) -> list[Move]:
        """Return the moves of a name, the first one first, from place `start` on till `stop`."""
        limit = -1 if stop < 0 else max(0, stop - start)
        moves: list[Move] = []
        for row in con.execute(
            _REFLOG + " AND move > ? ORDER BY move LIMIT ?", (name, start, limit)
        ).fetchall():
            move = self._move(row)
            if move.name != name or move.move != start + len(moves) + 1:
                self.damaged(f"row {start + len(moves) + 1} of the reflog of {name!r} is missing")
            moves.append(move)
        return moves

    def names_in_reflog(self, con: sqlite3.Connection) -> dict[str, bytes | None]:
        """Return all names that ever were, and what each is at by the reflog."""
        found = dict(con.execute(_NAMES).fetchall())
        for name in found:
            if not isinstance(name, str):
                self.damaged(f"the reflog has the name {name!r:.220}")
        return found

    def _rows_and_reflog(
        self, con: sqlite3.Connection, select: str
    ) -> tuple[list[tuple[Any, ...]], dict[str, bytes | None]]:
        """Return all rows of names and what the reflog says is there, as of one moment."""
        with snapshot(con):
            rows = con.execute(select + " ORDER BY name").fetchall()
            known = self.names_in_reflog(con)
        return rows, {name: new for name, new in known.items() if new is not None}

    def _next(
        self, con: sqlite3.Connection, name: str, at: Head | None, now: int
    ) -> tuple[bytes | None, int, int]:
        """Return what the next row of a name says: where from, its count, and the time."""
        if at is not None:
            return at.id, at.moves + 1, max(now, at.time + 1)
        last = self.last_move(con, name)
        return (None, 1, now) if last is None else (None, last.move + 1, max(now, last.time + 1))

    def _write_down(self, con: sqlite3.Connection, entry: tuple[Any, ...]) -> None:
        con.execute(
            "INSERT INTO pstructs_reflog VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*entry, seal(self.store, "reflog", *entry)),
        )
