"""`DiskTier`: results in a folder, for all processes of a machine.

A result is one row of diskcache's table: key, packed image (or the file that holds it), and a
*note* with what else an entry has. The note carries checksums over all of it, so a row or file
that rotted is a miss and never a wrong answer.

    note    failure u8 | expires f64 | crc of the image u32 | crc of all the rest u32 | tags JSON
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import sqlite3
import struct
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

import diskcache

from pstructs.cache.claims import Claims
from pstructs.cache.digests import Digest
from pstructs.cache.entry import Entry
from pstructs.cache.forks import after_fork
from pstructs.cache.marks import ALL, KEPT, marks_of
from pstructs.cache.results import CLAIMS, EPOCH, open_results, write_epoch
from pstructs.cache.tiers import Tier, TierInfo
from pstructs.cache.trouble import Explained
from pstructs.errors import StoreClosedError
from pstructs.packs import Pack

__all__ = ["DiskTier"]

_log = logging.getLogger(__name__)

_NOTE = struct.Struct("<BdII")
_CHUNK = 2**20
_TOUCH_SECONDS = 1.0  # the resolution of "used longest ago": most hits then write nothing
_LEAST = 2**20
_WHAT_FAILS = (sqlite3.Error, diskcache.Timeout, OSError)

_SELECT = (
    "SELECT rowid, access_time, tag, mode, filename, value FROM Cache WHERE key = ? AND raw = 1"
)
_GOOD = (
    "SELECT rowid, access_time FROM Cache WHERE key = ? AND raw = 1"
    " AND (expire_time IS NULL OR expire_time > ?)"
)
_INSERT = (
    "INSERT INTO Cache (key, raw, store_time, expire_time, access_time, access_count, tag, size,"
    " mode, filename, value) VALUES (?, 1, ?, ?, ?, 0, ?, ?, ?, ?, ?)"
)
_EXPIRED = "SELECT rowid, filename FROM Cache WHERE expire_time IS NOT NULL AND expire_time <= ?"
_OLDEST = "SELECT rowid, filename FROM Cache ORDER BY access_time, rowid LIMIT 16"


class DiskTier(Tier):
    """Results in a folder on a local disk, shared by threads and processes.

    Parameters
    ----------
    path : str or os.PathLike
        The folder; made if it does not exist. Not that of a `SnapshotStore`.
    limit : int
        Bytes that the results may take, at least 1 MiB: those of the files and of the used pages
        of the database. To stay below, the results used longest ago are removed.
    verify : bool
        Whether every byte of a result is checked when it is opened. False: large results are
        checked record by record when these are first read, and damage found then is a
        `DamagedPackError`. Saves the O(bytes) of opening a result of which little is read.
    clock : callable
        Gives the time in seconds; `time.time`.

    Raises
    ------
    StorePathError
        When the path is a file, can't be written, or holds something else.

    Notes
    -----
    Files are not synced: a power cut may take results, and what it damages is a miss. Of each key
    one process holds the claim; it ends with the process, so a computation that was killed is
    taken over by one that waits.

    *Cost*: a lookup about 15 µs and the check of the bytes, 0.3 ns a byte.

    Examples
    --------
    >>> import tempfile
    >>> from pstructs.cache import Entry, digest
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tier = DiskTier(folder)
    ...     _ = tier.put(digest("a"), Entry.of([1, 2]))
    ...     tier.get(digest("a")).value()
    ...     tier.close()
    [1, 2]
    """

    name = "disk"

    def __init__(
        self,
        path: str | os.PathLike[str],
        limit: int = 2**30,
        *,
        verify: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if limit < _LEAST:
            raise ValueError(f"limit is a number of bytes from {_LEAST} up, got {limit!r}")
        self.limit, self.verify, self._clock = limit, verify, clock
        self._cache = open_results(path)
        self.path: str = self._cache.directory
        self._disk = self._cache.disk
        self._errors_of = Explained(self.path)
        self._claims = Claims(os.path.join(self.path, CLAIMS))
        self._epoch_file: int | None = os.open(
            os.path.join(self.path, EPOCH), os.O_RDONLY | os.O_CLOEXEC
        )
        self._count_lock = threading.Lock()
        self._counts = {"hits": 0, "misses": 0, "evictions": 0, "errors": 0}
        # around all use of SQLite, so that a fork can wait for its end
        self._reading, self._writing = threading.RLock(), threading.RLock()
        after_fork(self, self._reading, self._writing)

    # ---- lookups
    def get(self, key: Digest) -> Entry | None:
        """Return the entry of `key`, if there is one that is sound and has not expired."""
        self._check_open()
        try:
            entry = self._read(key)
        except FileNotFoundError:
            entry = None  # evicted or replaced since its row was read
        except (ValueError, struct.error) as error:  # PackError is one
            self._trouble("the result %s is damaged (%s) and counts as missing", key.hex(), error)
            self._discard(key)
            entry = None
        except _WHAT_FAILS as error:
            self._trouble("reading the result %s failed: %r", key.hex(), error)
            entry = None
        self._count("misses" if entry is None else "hits")
        return entry

    def _read(self, key: Digest) -> Entry | None:
        with self._reading:
            rows = self._cache._con.execute(_SELECT, (bytes(key),)).fetchall()
        if not rows:
            return None
        row, used, note, mode, filename, value = rows[0]
        now = self._clock()
        failure, expires, image_crc, tags = _read_note(key, note)
        if expires is not None and expires <= now:
            return None
        where = self._disk.fetch(mode, filename, value, False)
        if type(where) is bytes:
            if zlib.crc32(where) != image_crc:
                raise ValueError("its checksum does not match")
            pack = Pack.from_buffer(where, trusted=True)
        else:
            # read, not mapped: a file that someone cut short has to be an error
            if self.verify and _file_crc(where) != image_crc:
                raise ValueError("the checksum of its file does not match")
            pack = Pack.from_file(where)
        self._touch(row, used, now)
        return Entry.packed(pack, expires, tags, failure)

    def _touch(self, row: int, used: object, now: float) -> None:
        if type(used) is float and used >= now - _TOUCH_SECONDS:
            return
        # a touch that fails only lets it count as used less lately
        with contextlib.suppress(*_WHAT_FAILS), self._writing:
            self._cache._con.execute(
                "UPDATE Cache SET access_time = ? WHERE rowid = ?", (now, row)
            )

    def contains(self, key: Digest) -> bool:
        """Whether there is an entry that has not expired; it then counts as used now."""
        self._check_open()
        now = self._clock()
        try:
            with self._reading:
                found = self._cache._con.execute(_GOOD, (bytes(key), now)).fetchone()
        except _WHAT_FAILS as error:
            self._trouble("looking for the result %s failed: %r", key.hex(), error)
            return False
        if found is not None:
            row, used = found
            self._touch(row, used, now)
        return found is not None

    # ---- changes
    def put(self, key: Digest, entry: Entry, since: int | None = None) -> bool:
        """Write an entry, unless it is larger than the whole tier or was invalidated."""
        self._check_open()
        image = memoryview(entry.pack)
        if len(image) > self.limit - _LEAST // 2:
            return False
        try:
            return self._write(key, entry, image, since)
        except _WHAT_FAILS as error:
            self._trouble("writing the result %s failed: %r", key.hex(), error)
            return False

    def _write(self, key: Digest, entry: Entry, image: memoryview, since: int | None) -> bool:
        note = _make_note(key, entry, zlib.crc32(image))
        size, mode, filename, value = self._disk.store(image, False)
        gone: list[str | None] = [filename]
        now = self._clock()
        try:
            with self._writing, self._cache.transact():
                con = self._cache._con
                if since is not None and self._marked(con, since, marks_of(key, entry.tags)):
                    return False
                replaced = self._remove(
                    con,
                    con.execute(
                        "SELECT rowid, filename FROM Cache WHERE key = ? AND raw = 1",
                        (bytes(key),),
                    ).fetchall(),
                )
                row = con.execute(
                    _INSERT,
                    (bytes(key), now, entry.expires, now, note, size, mode, filename, value),
                ).lastrowid
                con.executemany(
                    "INSERT INTO pstructs_tagged VALUES (?, ?)",
                    [(tag, row) for tag in set(entry.tags)],
                )
                evicted = self._make_room(con, now)
            gone = replaced + evicted
        finally:
            for name in gone:
                if name is not None:
                    self._disk.remove(name)
        return True

    def _make_room(self, con: sqlite3.Connection, now: float) -> list[str | None]:
        """Evict until the volume is within the limit; return the files to remove."""
        gone: list[str | None] = []
        if self._volume(con) <= self.limit:
            return gone
        gone += self._remove(con, con.execute(_EXPIRED, (now,)).fetchall())
        while self._volume(con) > self.limit:
            oldest = con.execute(_OLDEST).fetchall()
            if not oldest:
                break
            for row in oldest:
                gone += self._remove(con, [row])
                self._count("evictions")
                if self._volume(con) <= self.limit:
                    break
        return gone

    @staticmethod
    def _remove(con: sqlite3.Connection, rows: list[Any]) -> list[str | None]:
        con.executemany("DELETE FROM Cache WHERE rowid = ?", [(row,) for row, _ in rows])
        return [filename for _, filename in rows]

    def _volume(self, con: sqlite3.Connection) -> int:
        ((pages,),) = con.execute("PRAGMA page_count")
        ((free,),) = con.execute("PRAGMA freelist_count")
        ((files,),) = con.execute("SELECT value FROM Settings WHERE key = 'size'")
        return int((pages - free) * self._cache._page_size + files)

    def _discard(self, key: Digest) -> None:
        """Remove a damaged entry; not an invalidation, since its result was right."""
        with contextlib.suppress(*_WHAT_FAILS):
            with self._writing, self._cache.transact():
                con = self._cache._con
                rows = con.execute(
                    "SELECT rowid, filename FROM Cache WHERE key = ? AND raw = 1", (bytes(key),)
                ).fetchall()
                gone = self._remove(con, rows)
            for name in gone:
                if type(name) is str:
                    self._disk.remove(name)

    # ---- invalidation
    @property
    def epoch(self) -> int:
        """How many invalidations there were, by all processes."""
        file = self._epoch_file
        if file is None:
            raise self._closed()
        return int.from_bytes(os.pread(file, 8, 0), "little")

    def marks_since(self, epoch: int) -> tuple[int, list[bytes]]:
        """Return the present epoch and what was marked after `epoch`."""
        self._check_open()
        with self._errors_of, self._reading:
            rows = self._cache._con.execute(
                "SELECT mark, epoch FROM pstructs_mark WHERE epoch > ? ORDER BY epoch", (epoch,)
            ).fetchall()
        if not rows:
            return epoch, []
        last = rows[-1][1]
        return last, [ALL] if epoch < last - KEPT else [mark for mark, _ in rows]

    @staticmethod
    def _marked(con: sqlite3.Connection, since: int, marks: list[bytes]) -> bool:
        ((last,),) = con.execute("SELECT ifnull(max(epoch), 0) FROM pstructs_mark")
        if since < last - KEPT:
            return True
        if since >= last:
            return False
        holes = ",".join("?" * len(marks))
        found = con.execute(
            f"SELECT 1 FROM pstructs_mark WHERE epoch > ? AND mark IN ({holes}) LIMIT 1",
            (since, *marks),
        )
        return found.fetchone() is not None

    def forget(self, mark: bytes) -> int:
        """Remove what a mark means, for all processes; return how many entries that were.

        Raises
        ------
        StoreError
            When the folder can't be written; nothing was removed.
        """
        self._check_open()
        values: tuple[bytes | str, ...]
        if mark == ALL:
            which, values = "1", ()
        elif mark[:1] == b"k":
            which, values = "key = ? AND raw = 1", (mark[1:],)
        else:
            which = "rowid IN (SELECT row FROM pstructs_tagged WHERE tag = ?)"
            values = (mark[1:].decode(),)
        with self._errors_of:
            try:
                with self._writing, self._cache.transact():
                    con = self._cache._con
                    rows = con.execute(
                        f"SELECT rowid, filename FROM Cache WHERE {which}", values
                    ).fetchall()
                    gone = self._remove(con, rows)
                    self._mark(con, mark)
            except diskcache.Timeout as error:
                raise sqlite3.OperationalError("database is locked") from error
        for name in gone:
            if name is not None:
                self._disk.remove(name)
        return len(rows)

    def _mark(self, con: sqlite3.Connection, mark: bytes) -> None:
        ((last,),) = con.execute("SELECT ifnull(max(epoch), 0) FROM pstructs_mark")
        con.execute("INSERT OR REPLACE INTO pstructs_mark VALUES (?, ?)", (mark, last + 1))
        con.execute("DELETE FROM pstructs_mark WHERE epoch <= ?", (last + 1 - KEPT,))
        # Before the commit, so that under the lock these follow in order. Who looks at once finds
        # no new mark yet, and looks again.
        write_epoch(self.path, last + 1)

    # ---- claims
    def claim(self, key: Digest) -> bool:
        """Try to become the one process of this machine that computes `key`."""
        self._check_open()
        try:
            return self._claims.claim(key)
        except OSError as error:
            self._trouble("claiming the result %s failed: %r", key.hex(), error)
            return True

    def release(self, key: Digest) -> None:
        """End a claim."""
        self._claims.release(key)

    # ---- life
    def info(self) -> TierInfo:
        """Return the figures of this handle, and how much the folder holds."""
        self._check_open()
        with self._errors_of, self._reading:
            con = self._cache._con
            ((entries,),) = con.execute("SELECT count(*) FROM Cache")
            volume = self._volume(con)
        with self._count_lock:
            return TierInfo(**self._counts, entries=entries, bytes=volume, limit=self.limit)

    def close(self) -> None:
        """Close this handle. Results that were read stay valid."""
        if self._epoch_file is not None:
            os.close(self._epoch_file)
            self._epoch_file = None
            self._claims.close()
            self._cache.close()

    def _check_open(self) -> None:
        if self._epoch_file is None:
            raise self._closed()

    def _closed(self) -> StoreClosedError:
        return StoreClosedError(f"{self.path}: this tier was closed; make a new one")

    def _after_fork(self) -> None:
        self._count_lock = threading.Lock()
        self._cache._txn_id = None  # of a thread that the child does not have

    def _count(self, what: str) -> None:
        with self._count_lock:
            self._counts[what] += 1

    def _trouble(self, text: str, *values: object) -> None:
        self._count("errors")
        _log.warning("%s: " + text, self.path, *values)


# ---- notes


def _make_note(key: Digest, entry: Entry, image_crc: int) -> bytes:
    expires = math.inf if entry.expires is None else entry.expires
    tags = json.dumps(entry.tags).encode()
    head = struct.pack("<BdI", entry.failure, expires, image_crc)
    return head + struct.pack("<I", zlib.crc32(key + head + tags)) + tags


def _read_note(key: Digest, note: object) -> tuple[bool, float | None, int, tuple[str, ...]]:
    if type(note) is not bytes:
        raise ValueError(f"its note is no bytes: {note!r:.60}")
    failure, expires, image_crc, crc = _NOTE.unpack_from(note)
    tags = note[_NOTE.size :]
    if crc != zlib.crc32(key + note[: _NOTE.size - 4] + tags):
        raise ValueError("the checksum of its row does not match")
    return (
        failure == 1,
        None if expires == math.inf else expires,
        image_crc,
        tuple(json.loads(tags)),
    )


def _file_crc(path: str) -> int:
    crc = 0
    with open(path, "rb", buffering=0) as source:
        while part := source.read(_CHUNK):
            crc = zlib.crc32(part, crc)
    return crc
