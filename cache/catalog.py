"""The catalog: which versions exist and where the heads are, as rows of the store's SQLite.

    pstructs_store     one row: format and id of the store
    pstructs_version   a row a version; never changed
    pstructs_head      a row a head: the version that it is at, and how often it has moved
    pstructs_reflog    a row a move of a head; never changed
    pstructs_pending   a row a pack that is being written (pending.py)

Every row but the pending ones ends in a checksum of all its columns, keyed by the store's id,
which is checked whenever the row is read: SQLite itself checks nothing, and a flipped bit would
else be believed. A version's id is a digest over its contents and its parents' ids, so histories
are hash chains like git's. A row that is missing is found out by the others: parents and heads
name versions, and the reflog names every head that ever was.

All functions take the connection to use. Writers hold the transaction (`Folder.transaction`);
that is what makes moving a head a compare-and-swap between processes.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

from pstructs.cache.version import Version, VersionName, split_steps
from pstructs.errors import MissingVersionError, StoreDamagedError

__all__ = ["SCHEMA", "Catalog", "Draft", "Head", "seal"]

SCHEMA = (
    "CREATE TABLE pstructs_store"
    " (format INTEGER NOT NULL, uuid BLOB NOT NULL, created INTEGER NOT NULL, sum BLOB NOT NULL)",
    "CREATE TABLE pstructs_version"
    " (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, parents BLOB NOT NULL,"
    " time INTEGER NOT NULL, message TEXT, head TEXT NOT NULL, pack BLOB NOT NULL,"
    " root BLOB NOT NULL, nbytes INTEGER NOT NULL, entries INTEGER, restores BLOB,"
    " extra BLOB, sum BLOB NOT NULL)",
    "CREATE TABLE pstructs_head"
    " (name TEXT PRIMARY KEY, number INTEGER NOT NULL, id BLOB NOT NULL, moves INTEGER NOT NULL,"
    " sum BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE pstructs_reflog"
    " (name TEXT NOT NULL, move INTEGER NOT NULL, old BLOB, new BLOB NOT NULL,"
    " time INTEGER NOT NULL, action TEXT NOT NULL, sum BLOB NOT NULL,"
    " PRIMARY KEY (name, move)) WITHOUT ROWID",
    "CREATE TABLE pstructs_pending"
    " (pack BLOB PRIMARY KEY, owner TEXT NOT NULL, lease INTEGER NOT NULL,"
    " state INTEGER NOT NULL) WITHOUT ROWID",
)

ID_BYTES = 16
_COLUMNS = (
    "number, id, parents, time, message, head, pack, root, nbytes, entries, restores, extra, sum"
)
_VERSION = f"SELECT {_COLUMNS} FROM pstructs_version WHERE "
_HEAD = "SELECT name, number, id, moves, sum FROM pstructs_head"
# jumps from name to name through the index: one step a head, not one a move
_NAMES = (
    "WITH RECURSIVE names(name) AS (SELECT min(name) FROM pstructs_reflog UNION ALL"
    " SELECT (SELECT min(name) FROM pstructs_reflog WHERE name > names.name) FROM names"
    " WHERE names.name IS NOT NULL) SELECT name FROM names WHERE name IS NOT NULL"
)


def seal(store: bytes, *columns: Any) -> bytes:
    """Return the 8-byte checksum of a row: of its table's name and all its columns."""
    return hashlib.blake2b(repr(columns).encode(), digest_size=8, key=store).digest()


class Head(NamedTuple):
    """Where a head is: the version's number and id, and how often it has moved."""

    name: str
    number: int
    id: bytes
    moves: int


class Draft(NamedTuple):
    """What a new version will say, before it has a number, a parent, a time and an id."""

    message: str | None
    head: str
    pack: bytes
    root: bytes
    nbytes: int
    entries: int | None
    restores: bytes | None = None


class Catalog:
    """Reads and writes the catalog's rows.

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

    # ---- versions
    def _version(self, row: tuple[Any, ...]) -> Version:
        if row[-1] != seal(self.store, "version", *row[:-1]):
            self.damaged(f"the catalog's row of version {row[0]!r:.40} is damaged")
        number, vid, parents, time_ns, message, head, pack, root, nbytes, entries, back, _, _ = row
        joined = parents.hex()
        digits = 2 * ID_BYTES
        return Version(
            number=number,
            id=vid.hex(),
            parents=tuple(joined[i : i + digits] for i in range(0, len(joined), digits)),
            time=time_ns,
            message=message,
            head=head,
            pack=pack.hex(),
            root=root.hex(),
            nbytes=nbytes,
            entries=entries,
            restores=None if back is None else back.hex(),
        )

    def by_number(self, con: sqlite3.Connection, number: int) -> Version | None:
        """Return the version of that number, or None."""
        if not -(2**63) <= number < 2**63:
            return None
        row = con.execute(_VERSION + "number = ?", (number,)).fetchone()
        if row is None:
            return None
        version = self._version(row)
        if version.number != number:
            self.damaged(f"looking for version {number} found version {version.number}")
        return version

    def by_id(self, con: sqlite3.Connection, vid: bytes) -> Version | None:
        """Return the version with that id, or None."""
        row = con.execute(_VERSION + "id = ?", (vid,)).fetchone()
        if row is None:
            return None
        version = self._version(row)
        if version.id != vid.hex():
            self.damaged(f"looking for version {vid.hex()} found {version.id}")
        return version

    def parent(self, con: sqlite3.Connection, version: Version, which: int = 0) -> Version:
        """Return a parent of `version`, which has one."""
        found = self.by_id(con, bytes.fromhex(version.parents[which]))
        if found is None:
            self.damaged(f"{version} has the parent {version.parents[which]}, which is missing")
        return found

    def versions(self, con: sqlite3.Connection, after: int = 0) -> Iterator[Version]:
        """Iterate over all versions with a number above `after`, the oldest first."""
        while True:
            rows = con.execute(
                _VERSION + "number > ? ORDER BY number LIMIT 500", (after,)
            ).fetchall()
            for row in rows:
                version = self._version(row)
                if version.number <= after:
                    self.damaged(f"version {version.number} comes after version {after}")
                after = version.number
                yield version
            if len(rows) < 500:
                return

    def last_number(self, con: sqlite3.Connection) -> int:
        """Return the highest number of a version; 0 in a new store."""
        found = con.execute("SELECT max(number) FROM pstructs_version").fetchone()[0]
        return 0 if found is None else int(found)

    def version_id(self, draft: Draft, parents: bytes, time_ns: int) -> bytes:
        """Return the id of a version: a digest of its value's digest and of its parents' ids.

        Where the bytes are (pack, nbytes) is left out: moving them does not change history.
        """
        message, head, _, root, _, entries, back = draft
        said = repr(("version", parents, time_ns, message, head, root, entries, back)).encode()
        return hashlib.blake2b(said, digest_size=ID_BYTES, person=b"pstructs").digest()

    def check_id(self, version: Version) -> None:
        """Raise unless the id of `version` is the digest of what it says."""
        back = None if version.restores is None else bytes.fromhex(version.restores)
        draft = Draft(
            version.message,
            version.head,
            bytes.fromhex(version.pack),
            bytes.fromhex(version.root),
            version.nbytes,
            version.entries,
            back,
        )
        parents = bytes.fromhex("".join(version.parents))
        if self.version_id(draft, parents, version.time).hex() != version.id:
            self.damaged(f"the id of {version} is not the digest of what it says")

    def append(
        self, con: sqlite3.Connection, draft: Draft, at: Head | None, action: str
    ) -> Version:
        """Add a version on top of `at` and move its head there, in the caller's transaction."""
        number = self.last_number(con) + 1
        parents, now = b"", time.time_ns()
        if at is not None:
            before = self.by_number(con, at.number)
            if before is None or before.id != at.id.hex():
                self.damaged(f"head {at.name!r} is at version {at.number}, which is missing")
            parents, now = at.id, max(now, before.time + 1)
        vid = self.version_id(draft, parents, now)
        message, head, pack, root, nbytes, entries, back = draft
        row = (
            *(number, vid, parents, now, message, head, pack, root, nbytes, entries, back),
            None,
        )
        sealed = (*row, seal(self.store, "version", *row))
        con.execute(
            f"INSERT INTO pstructs_version ({_COLUMNS})"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            sealed,
        )
        self.move(con, head, at, number, vid, now, action)
        return self._version(sealed)

    def receive(self, con: sqlite3.Connection, version: Version) -> Version:
        """Add a version that was made in another store, under a number of this one."""
        back = None if version.restores is None else bytes.fromhex(version.restores)
        row = (
            self.last_number(con) + 1,
            bytes.fromhex(version.id),
            bytes.fromhex("".join(version.parents)),
            version.time,
            version.message,
            version.head,
            bytes.fromhex(version.pack),
            bytes.fromhex(version.root),
            version.nbytes,
            version.entries,
            back,
            None,
        )
        sealed = (*row, seal(self.store, "version", *row))
        con.execute(
            f"INSERT INTO pstructs_version ({_COLUMNS})"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            sealed,
        )
        return self._version(sealed)

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
        if con.execute("SELECT 1 FROM pstructs_reflog WHERE name = ? LIMIT 1", (name,)).fetchone():
            self.damaged(f"the head {name!r} is missing, though the reflog knows it")
        return None

    def heads(self, con: sqlite3.Connection) -> list[Head]:
        """Return all heads, by name."""
        own = not con.in_transaction
        if own:  # one state of the store for both statements
            con.execute("BEGIN")
        try:
            rows = con.execute(_HEAD + " ORDER BY name").fetchall()
            known = self.names_in_reflog(con)
        finally:
            if own and con.in_transaction:
                con.execute("COMMIT")
        heads = [self._head(row) for row in rows]
        if [head.name for head in heads] != known:
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
        """Move a head, and write down in the reflog that it moved."""
        moves = 1 if at is None else at.moves + 1
        head = (name, number, vid, moves)
        con.execute(
            "INSERT OR REPLACE INTO pstructs_head VALUES (?, ?, ?, ?, ?)",
            (*head, seal(self.store, "head", *head)),
        )
        entry = (name, moves, None if at is None else at.id, vid, now, action)
        con.execute(
            "INSERT INTO pstructs_reflog VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*entry, seal(self.store, "reflog", *entry)),
        )

    def moves(self, con: sqlite3.Connection, name: str) -> list[tuple[bytes | None, bytes]]:
        """Return all moves of a head as (old id, new id), the first one first."""
        moves: list[tuple[bytes | None, bytes]] = []
        for row in con.execute(
            "SELECT * FROM pstructs_reflog WHERE name = ? ORDER BY move", (name,)
        ).fetchall():
            if row[-1] != seal(self.store, "reflog", *row[:-1]) or row[1] != len(moves) + 1:
                self.damaged(f"row {len(moves) + 1} of the reflog of head {name!r} is damaged")
            moves.append((row[2], row[3]))
        return moves

    def names_in_reflog(self, con: sqlite3.Connection) -> list[str]:
        """Return the names of all heads that ever were."""
        return [name for (name,) in con.execute(_NAMES).fetchall()]

    # ---- names of versions
    def find(self, con: sqlite3.Connection, name: VersionName) -> Version:
        """Return the version that `name` means.

        Raises
        ------
        MissingVersionError
            When there is none; the message lists what there is.
        """
        if isinstance(name, Version):
            found = self.by_id(con, bytes.fromhex(name.id))
            return found or self._missing(con, f"{name} is not in this store")
        if isinstance(name, bool) or not isinstance(name, int | str):
            kind = type(name).__name__
            raise TypeError(f"a version is named by a Version, an int or a str, got {kind}")
        if isinstance(name, int):
            found = self.by_number(con, int(name))
            return found or self._missing(con, f"there is no version {name}")
        base, steps = split_steps(name)
        version = self._find_base(con, base)
        for done in range(steps):
            if not version.parents:
                self._missing(con, f"{name!r} is before the first version: {base!r} is {done} up")
            version = self.parent(con, version)
        return version

    def _find_base(self, con: sqlite3.Connection, base: str) -> Version:
        head = self.head(con, base)
        if head is not None:
            version = self.by_number(con, head.number)
            if version is None or version.id != head.id.hex():
                self.damaged(f"head {base!r} is at version {head.number}, which is missing")
            return version
        if base.isdecimal() and base.isascii() and len(base) < 8:
            found = self.by_number(con, int(base))
            return found or self._missing(con, f"there is no version {base}")
        if not re.fullmatch(r"[0-9a-f]{4,32}", base):
            self._missing(con, f"there is no head {base!r}")
        low = bytes.fromhex(base.ljust(2 * ID_BYTES, "0"))
        high = bytes.fromhex(base.ljust(2 * ID_BYTES, "f"))
        rows = con.execute(_VERSION + "id BETWEEN ? AND ? LIMIT 2", (low, high)).fetchall()
        if not rows:
            self._missing(con, f"there is no head or version {base!r}")
        if len(rows) > 1:
            both = " and ".join(self._version(row).id for row in rows)
            self._missing(con, f"{base!r} could be {both}: give more digits")
        return self._version(rows[0])

    def _missing(self, con: sqlite3.Connection, problem: str) -> NoReturn:
        last = self.last_number(con)
        heads = ", ".join(repr(head.name) for head in self.heads(con)[:10])
        has = (
            f"versions up to {last} and the heads {heads}" if last else "no versions yet: save one"
        )
        raise MissingVersionError(f"{problem}; the store {self.path} has {has}")
