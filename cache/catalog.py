"""The catalog: which versions exist and where the heads are, as rows of the store's SQLite.

    pstructs_store     one row: format and id of the store
    pstructs_version   a row a version; never changed
    pstructs_head      heads, tags and the reflog of both: refs.py
    pstructs_tag
    pstructs_reflog
    pstructs_pending   a row a pack that is being written (pending.py)

Every row but the pending ones ends in a checksum of all its columns, keyed by the store's id,
which is checked whenever the row is read: SQLite itself checks nothing, and a flipped bit would
else be believed. A version's id is a digest over its contents and its parents' ids, so histories
are hash chains like git's. A row that is missing is found out by the others: parents, heads and
tags name versions, and the reflog names every head and tag that ever was.

A write id is what the caller calls a commit, so that one whose answer got lost can be tried again.
It is no part of the version's id. A commit to several heads makes a version of each, all with
one write id.

All functions take the connection to use. Writers hold the transaction (`Folder.transaction`);
that is what makes moving a head a compare-and-swap between processes.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

from pstructs.cache import erased, refs
from pstructs.cache.meta import pack_meta, unpack_meta
from pstructs.cache.refs import Head, Refs, seal
from pstructs.cache.version import Version, VersionName, check_head_name, split_steps
from pstructs.errors import MissingVersionError

__all__ = ["SCHEMA", "Catalog", "Draft", "Head", "seal"]

SCHEMA = (
    "CREATE TABLE pstructs_store"
    " (format INTEGER NOT NULL, uuid BLOB NOT NULL, created INTEGER NOT NULL, sum BLOB NOT NULL)",
    "CREATE TABLE pstructs_version"
    " (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, parents BLOB NOT NULL,"
    " time INTEGER NOT NULL, message TEXT, head TEXT NOT NULL, pack BLOB NOT NULL,"
    " root BLOB NOT NULL, nbytes INTEGER NOT NULL, entries INTEGER, restores BLOB,"
    " meta BLOB, write_id TEXT, sum BLOB NOT NULL)",
    "CREATE UNIQUE INDEX pstructs_write_id ON pstructs_version (write_id, head)"
    " WHERE write_id IS NOT NULL",
    *refs.SCHEMA,
    "CREATE TABLE pstructs_pending"
    " (pack BLOB PRIMARY KEY, owner TEXT NOT NULL, lease INTEGER NOT NULL,"
    " state INTEGER NOT NULL) WITHOUT ROWID",
)

ID_BYTES = 16
_COLUMNS = (
    "number, id, parents, time, message, head, pack, root, nbytes, entries, restores, meta,"
    " write_id, sum"
)
_VERSION = f"SELECT {_COLUMNS} FROM pstructs_version WHERE "
_ID_AND_TIME = "SELECT id, time FROM pstructs_version WHERE number = ?"
_INSERT = f"INSERT INTO pstructs_version ({_COLUMNS}) VALUES ({', '.join('?' * 14)})"
_RETIRED = "SELECT 1 FROM pstructs_retired WHERE pack = ?"


class Draft(NamedTuple):
    """What a new version will say, before it has a number, a parent, a time and an id."""

    message: str | None
    head: str
    pack: bytes
    root: bytes
    nbytes: int
    entries: int | None
    restores: bytes | None = None
    meta: bytes | None = None
    write_id: str | None = None


class Catalog(Refs):
    """Reads and writes the catalog's rows."""

    # ---- versions
    def _version(self, row: tuple[Any, ...]) -> Version:
        if row[-1] != seal(self.store, "version", *row[:-1]):
            self.damaged(f"the catalog's row of version {row[0]!r:.40} is damaged")
        return self._as_version(row)

    def _as_version(self, row: tuple[Any, ...]) -> Version:
        number, vid, parents, time_ns, message, head, pack, root, nbytes, entries = row[:10]
        back, meta, write_id, _ = row[10:]
        try:
            said = unpack_meta(meta)
        except ValueError as error:
            self.damaged(f"the metadata of version {number} are damaged: {error}")
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
            meta=said,
            write_id=write_id,
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
            later = erased.successor(self, con, vid)
            return None if later is None else self.by_id(con, later)
        version = self._version(row)
        if version.id != vid.hex():
            self.damaged(f"looking for version {vid.hex()} found {version.id}")
        return version

    def by_write_id(self, con: sqlite3.Connection, write_id: str) -> list[Version]:
        """Return the versions of the commit that was called `write_id`; none before it."""
        rows = con.execute(_VERSION + "write_id = ? ORDER BY number", (write_id,)).fetchall()
        versions = [self._version(row) for row in rows]
        for version in versions:
            if version.write_id != write_id:
                self.damaged(f"looking for write id {write_id!r} found {version.write_id!r}")
        return versions

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
        if not isinstance(found, int | None):
            self.damaged(f"the catalog has a version with the number {found!r:.60}")
        return found or 0

    def version_id(self, draft: Draft, parents: bytes, time_ns: int) -> bytes:
        """Return the id of a version: a digest of its value's digest and of its parents' ids.

        Where the bytes are (pack, nbytes) is left out: moving them does not change history. So is
        the write id: it tells commits apart, not what they say.
        """
        message, head, _, root, _, entries, back, meta, _ = draft
        said = ("version", parents, time_ns, message, head, root, entries, back, meta)
        text = repr(said).encode()
        return hashlib.blake2b(text, digest_size=ID_BYTES, person=b"pstructs").digest()

    def check_id(self, version: Version) -> None:
        """Raise unless the id of `version` is the digest of what it says."""
        draft = Draft(
            version.message,
            version.head,
            bytes.fromhex(version.pack),
            bytes.fromhex(version.root),
            version.nbytes,
            version.entries,
            None if version.restores is None else bytes.fromhex(version.restores),
            pack_meta(version.meta),
        )
        parents = bytes.fromhex("".join(version.parents))
        if self.version_id(draft, parents, version.time).hex() != version.id:
            self.damaged(f"the id of {version} is not the digest of what it says")

    def append(
        self,
        con: sqlite3.Connection,
        draft: Draft,
        at: Head | None,
        action: str,
        others: Sequence[Version] = (),
    ) -> Version:
        """Add a version on top of `at` and move its head there, in the caller's transaction.

        `others` are further parents, of a merge.
        """
        number = self.last_number(con) + 1
        parents, now = b"", time.time_ns()
        if at is not None:
            before = con.execute(_ID_AND_TIME, (at.number,)).fetchone()
            if before is None or before[0] != at.id:
                self.damaged(f"head {at.name!r} is at version {at.number}, which is missing")
            parents, now = at.id, max(now, at.time + 1, before[1] + 1)
        for other in others:
            parents, now = parents + bytes.fromhex(other.id), max(now, other.time + 1)
        if con.execute(_RETIRED, (draft.pack,)).fetchone():
            raise MissingVersionError(
                f"{self.path}: the value that was to be brought back was given up meanwhile; "
                "nothing was saved"
            )
        vid = self.version_id(draft, parents, now)
        message, head, pack, root, nbytes, entries, back, meta, write_id = draft
        row = (
            *(number, vid, parents, now, message, head, pack, root, nbytes, entries, back),
            *(meta, write_id),
        )
        sealed = (*row, seal(self.store, "version", *row))
        con.execute(_INSERT, sealed)
        self.move(con, head, at, number, vid, now, action)
        return self._as_version(sealed)

    def rewrite(self, con: sqlite3.Connection, number: int, **columns: Any) -> None:
        """Change columns of a version's row, in the caller's transaction, and seal it anew."""
        (old,) = con.execute(_VERSION + "number = ?", (number,)).fetchall()
        self._version(old)
        row = {**dict(zip(_COLUMNS.split(", "), old, strict=True)), **columns}
        del row["sum"]
        sealed = (*row.values(), seal(self.store, "version", *row.values()))
        marks = ", ".join("?" * len(sealed))
        con.execute(f"REPLACE INTO pstructs_version ({_COLUMNS}) VALUES ({marks})", sealed)

    def receive(
        self, con: sqlite3.Connection, version: Version, number: int | None = None
    ) -> None:
        """Add a version that was made in another store, under a number of this one."""
        write_id = version.write_id
        if write_id is not None and any(
            known.head == version.head for known in self.by_write_id(con, write_id)
        ):
            write_id = None  # that of another commit here: a retry has to find the one made here
        row = (
            number or self.last_number(con) + 1,
            bytes.fromhex(version.id),
            bytes.fromhex("".join(version.parents)),
            version.time,
            version.message,
            version.head,
            bytes.fromhex(version.pack),
            bytes.fromhex(version.root),
            version.nbytes,
            version.entries,
            None if version.restores is None else bytes.fromhex(version.restores),
            pack_meta(version.meta),
            write_id,
        )
        con.execute(_INSERT, (*row, seal(self.store, "version", *row)))

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
            return found or self.missing(con, f"{name} is not in this store")
        if isinstance(name, bool) or not isinstance(name, int | str):
            kind = type(name).__name__
            raise TypeError(f"a version is named by a Version, an int or a str, got {kind}")
        if isinstance(name, int):
            found = self.by_number(con, int(name))
            return found or self.missing(con, f"there is no version {name}")
        base, steps = split_steps(name)
        version = self._find_base(con, base)
        for done in range(steps):
            if not version.parents:
                self.missing(con, f"{name!r} is before the first version: {base!r} is {done} up")
            version = self.parent(con, version)
        return version

    def _find_base(self, con: sqlite3.Connection, base: str) -> Version:
        head = self.head(con, base)
        if head is not None:
            version = self.by_number(con, head.number)
            if version is None or version.id != head.id.hex():
                self.damaged(f"head {base!r} is at version {head.number}, which is missing")
            return version
        tag = self.tag(con, base)
        if tag is not None:
            version = self.by_number(con, tag.number)
            if version is None or version.id != tag.id.hex():
                self.damaged(f"tag {base!r} names version {tag.number}, which is missing")
            return version
        if base.isdecimal() and base.isascii() and len(base) < 8:
            found = self.by_number(con, int(base))
            return found or self.missing(con, f"there is no version {base}")
        if not re.fullmatch(r"[0-9a-f]{4,32}", base):
            self.missing(con, f"there is no head or tag {base!r}")
        low = bytes.fromhex(base.ljust(2 * ID_BYTES, "0"))
        high = bytes.fromhex(base.ljust(2 * ID_BYTES, "f"))
        rows = con.execute(_VERSION + "id BETWEEN ? AND ? LIMIT 2", (low, high)).fetchall()
        old = [] if rows else erased.beginning_with(con, low, high)
        if len(old) == 1 and (found := self.by_id(con, old[0])) is not None:
            return found
        if not rows:
            self.missing(con, f"there is no head, tag or version {base!r}")
        if len(rows) > 1:
            both = " and ".join(self._version(row).id for row in rows)
            self.missing(con, f"{base!r} could be {both}: give more digits")
        return self._version(rows[0])

    def existing_head(self, con: sqlite3.Connection, name: str) -> Head:
        """Return where a head is.

        Raises
        ------
        MissingVersionError
            When there is none of that name.
        """
        found = self.head(con, check_head_name(name))
        if found is None:
            self.missing(con, f"there is no head {name!r}")
        return found

    def missing(self, con: sqlite3.Connection, problem: str) -> NoReturn:
        """Raise the error that says what was not found, and what there is."""
        last = self.last_number(con)
        heads = ", ".join(repr(head.name) for head in self.heads(con)[:10])
        has = (
            f"versions up to {last} and the heads {heads}" if last else "no versions yet: save one"
        )
        raise MissingVersionError(f"{problem}; the store {self.path} has {has}")
