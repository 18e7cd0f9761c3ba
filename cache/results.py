"""The folder in which a `DiskTier` keeps results.

    <folder>/cache.db          SQLite: diskcache's tables, tags and marks
    <folder>/results/*.pack    results of 32 KiB and more
    <folder>/claims            locks (claims.py); also held while the folder is made
    <folder>/epoch             8 bytes: how many invalidations there were

As in a store, values are raw bytes and nothing is ever unpickled. Everything else is different:
what is here can be computed again, so it may be evicted, files are not synced, and a database that
is damaged beyond reading is thrown away.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import diskcache

from pstructs.cache.marks import ALL
from pstructs.cache.quiet import connect
from pstructs.cache.trouble import Explained
from pstructs.errors import StorePathError

__all__ = ["CLAIMS", "EPOCH", "ResultDisk", "open_results", "write_epoch"]

_log = logging.getLogger(__name__)

FILE_LIMIT = 32 * 1024
RESULTS, DATABASE, CLAIMS, EPOCH = "results", "cache.db", "claims", "epoch"
APPLICATION_ID = 0x70737463  # "pstc" in the header of the SQLite file
BUSY_SECONDS = 60
_ORPHAN_SECONDS = 3600
_MODE_RAW, _MODE_BINARY = 1, 2  # diskcache's numbers; 3 is text and 4 is a pickle
_SETTINGS = {
    "eviction_policy": "least-recently-used",
    "cull_limit": 0,  # DiskTier does it, and counts
    "size_limit": 2**62,
    "statistics": 0,
    "tag_index": 0,
    "sqlite_auto_vacuum": 1,
    "sqlite_cache_size": 2**11,
    "sqlite_journal_mode": "wal",
    "sqlite_mmap_size": 0,  # a cut file has to be an error, not a SIGBUS
    "sqlite_synchronous": 1,  # a power cut may take the last results
    "disk_min_file_size": FILE_LIMIT,
    "disk_pickle_protocol": 0,
}
_FILE_NAME = re.compile(rf"{RESULTS}/[0-9a-f]{{32}}\.pack")
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS pstructs_tagged "
    "(tag TEXT, row INTEGER, PRIMARY KEY (tag, row)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS pstructs_tagged_row ON pstructs_tagged (row)",
    "CREATE INDEX IF NOT EXISTS pstructs_used ON Cache (access_time)",
    "CREATE TABLE IF NOT EXISTS pstructs_mark (mark BLOB PRIMARY KEY, epoch INTEGER UNIQUE)",
    "CREATE TRIGGER IF NOT EXISTS pstructs_untag AFTER DELETE ON Cache FOR EACH ROW BEGIN"
    " DELETE FROM pstructs_tagged WHERE row = OLD.rowid; END",
    f"PRAGMA application_id = {APPLICATION_ID}",
)


class ResultDisk(diskcache.Disk):  # type: ignore[misc]
    """A diskcache `Disk` for results: raw bytes under 16-byte keys, and no pickle.

    A value of 32 KiB and more is a file with a random name, so that one that is replaced or
    evicted stays readable for those who have it mapped.
    """

    def put(self, key: object) -> tuple[bytes, bool]:
        """Return `key` as the columns `key` and `raw`."""
        if not isinstance(key, bytes) or len(key) != 16:
            raise TypeError(f"keys are digests of 16 bytes, got {key!r:.60}")
        return bytes(key), True

    def get(self, key: object, raw: object) -> bytes:
        """Return the key of a row."""
        if type(key) is not bytes or not raw:
            raise ValueError(f"the key of a row is not raw bytes ({key!r:.60}, raw={raw!r})")
        return key

    def filename(self, key: object = None, value: object = None) -> tuple[str, str]:
        """Return a new name for a file, from the folder and in full."""
        name = f"{RESULTS}/{os.urandom(16).hex()}.pack"
        return name, os.path.join(self._directory, name)

    def store(
        self, value: Any, read: bool, key: object = None
    ) -> tuple[int, int, str | None, memoryview | None]:
        """Store bytes and return the columns size, mode, filename and value."""
        if read:
            raise TypeError("results are bytes, not open files")
        view = memoryview(value).cast("B")
        if len(view) < self.min_file_size:
            return 0, _MODE_RAW, None, view
        name, path = self.filename()
        try:
            with open(path, "xb", buffering=0) as out:
                done = 0
                while done < len(view):
                    done += out.write(view[done:])
        except BaseException:
            self.remove(name)
            raise
        return len(view), _MODE_BINARY, name, None

    def fetch(self, mode: object, filename: object, value: object, read: object) -> bytes | str:
        """Return the bytes of a row, or the path of its file.

        Raises
        ------
        ValueError
            When the row is of a kind that is never written here.
        """
        if mode == _MODE_RAW and filename is None and type(value) is bytes:
            return value
        is_file = mode == _MODE_BINARY and value is None and type(filename) is str
        if is_file and _FILE_NAME.fullmatch(str(filename)):
            return os.path.join(self._directory, str(filename))
        raise ValueError(f"a row of a strange kind (mode {mode!r}, file {filename!r:.80})")

    def remove(self, file_path: str) -> None:
        """Remove the file of a result; the folder of results stays."""
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self._directory, file_path))


def open_results(given: str | os.PathLike[str]) -> diskcache.Cache:
    """Open the results in a folder, made if need be.

    Raises
    ------
    StorePathError
        When the path can't be such a folder, or holds something else.
    """
    path = os.path.abspath(os.fsdecode(given))
    if os.path.expandvars(path) != path:
        raise StorePathError(errno.EINVAL, "the path of a cache can't hold $ names", path)
    with Explained(path):
        try:
            os.makedirs(path, exist_ok=True)
        except FileExistsError as error:
            raise StorePathError(errno.ENOTDIR, "the path of a cache is a file", path) from error
        _check_free(path)
        with _alone(path):
            try:
                return _open(path)
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorname", "") not in _BEYOND_READING:
                    raise
                _log.warning(
                    "%s: the database of a cache is damaged (%s); the results in it are "
                    "thrown away",
                    path,
                    error,
                )
                _throw_away(path)
                return _open(path)


_BEYOND_READING = ("SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_CORRUPT_INDEX")


def _check_free(path: str) -> None:
    """Raise when the folder belongs to something else. The claims file comes first of all."""
    found = set(os.listdir(path))
    if found and CLAIMS not in found:
        raise StorePathError(
            errno.EEXIST,
            f"the folder holds something else ({min(found)!r}); choose a new or empty folder, or "
            "one that a DiskTier made",
            path,
        )


@contextlib.contextmanager
def _alone(path: str) -> Iterator[None]:
    file = os.open(os.path.join(path, CLAIMS), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _open(path: str) -> diskcache.Cache:
    database = os.path.join(path, DATABASE)
    os.makedirs(os.path.join(path, RESULTS), exist_ok=True)
    if os.path.exists(database):
        with closing(connect(database, BUSY_SECONDS)) as con:
            ((found,),) = con.execute("PRAGMA application_id")
            ((tables,),) = con.execute("SELECT count(*) FROM sqlite_master")
        if tables and found != APPLICATION_ID:
            raise StorePathError(
                errno.EEXIST, f"the {DATABASE} in it belongs to another program", path
            )
    cache = diskcache.Cache(path, BUSY_SECONDS, ResultDisk, **_SETTINGS)
    with cache.transact():
        con = cache._con
        for statement in SCHEMA:
            con.execute(statement)
        ((epoch,),) = con.execute("SELECT max(epoch) FROM pstructs_mark")
        if epoch is None:
            # those who had an earlier database open, and hold copies, find that all is gone
            epoch = time.time_ns() // 1000
            con.execute("INSERT INTO pstructs_mark VALUES (?, ?)", (ALL, epoch))
        write_epoch(path, epoch)
    _sweep(path, con)
    return cache


def write_epoch(path: str, epoch: int) -> None:
    """Say how many invalidations there were; in a transaction, so that these follow in order."""
    file = os.open(os.path.join(path, EPOCH), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        os.pwrite(file, epoch.to_bytes(8, "little"), 0)
    finally:
        os.close(file)


def _sweep(path: str, con: sqlite3.Connection) -> None:
    """Remove files without a row: their writer was killed before it made one."""
    known = {
        os.path.basename(name)
        for (name,) in con.execute("SELECT filename FROM Cache WHERE filename IS NOT NULL")
    }
    with os.scandir(os.path.join(path, RESULTS)) as files:
        for file in files:
            if file.name not in known:
                with contextlib.suppress(FileNotFoundError):
                    if file.stat().st_mtime < time.time() - _ORPHAN_SECONDS:
                        os.unlink(file.path)


def _throw_away(path: str) -> None:
    for name in os.listdir(path):
        if name.startswith(DATABASE):
            os.unlink(os.path.join(path, name))
