"""What a store's folder holds, how one is made, and how another thing is told from one.

    <store>/cache.db        SQLite: diskcache's tables, and the catalog's (catalog.py)
    <store>/packs/*.pack    packs of 32 KiB and more
    <store>/leases/*.lease  who has it open (leases.py)

Making a store is one SQLite transaction, so that several processes may open the same new folder
at once: one of them makes it, the others find it made. The folder's own name is on the disk before
that; the folder of packs is made by whoever finds that it is not there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import time
from contextlib import closing
from typing import NamedTuple

from pstructs.cache import archive, catalog, erased, pins, recoding, retired
from pstructs.cache.disk import PACK_FOLDER, sync_folder
from pstructs.cache.leases import LEASE_FOLDER
from pstructs.cache.quiet import connect
from pstructs.cache.trouble import Explained
from pstructs.errors import FutureStoreError, StoreDamagedError, StorePathError

__all__ = ["BUSY_SECONDS", "DATABASE", "FORMAT", "Identity", "prepare"]

DATABASE = "cache.db"  # diskcache's name for it
FORMAT = 1
APPLICATION_ID = 0x70737472  # "pstr" in the header of the SQLite file
BUSY_SECONDS = 60
SCHEMA = (
    *catalog.SCHEMA,
    *pins.SCHEMA,
    *retired.SCHEMA,
    *archive.SCHEMA,
    *erased.SCHEMA,
    *recoding.SCHEMA,
)
_ADVICE = "choose a new or empty folder, or one that a SnapshotStore made"


class Identity(NamedTuple):
    """Which store this is: its id, and the file, since a copied folder has the same id."""

    uuid: bytes
    device: int
    inode: int


def _refuse(number: int, problem: str, path: str) -> StorePathError:
    return StorePathError(number, f"{problem}; {_ADVICE}", path)


def prepare(given: str | os.PathLike[str]) -> tuple[str, Identity]:
    """Make the store at `given` if there is none yet; return its full path and identity.

    Raises
    ------
    StorePathError
        When the path can't be a store.
    FutureStoreError
        When a later version of this library wrote it.
    StoreDamagedError
        When it was one and can't be read any more.
    """
    path = os.path.abspath(os.fsdecode(given))
    if os.path.expandvars(path) != path:
        raise _refuse(errno.EINVAL, "a store's path can't hold $ names", path)
    if os.path.lexists(path) and not os.path.isdir(path):
        raise _refuse(errno.ENOTDIR, "the path of a store is a file", path)
    with Explained(path):
        try:
            _make_folder(path)
        except NotADirectoryError as error:
            raise _refuse(errno.ENOTDIR, "a parent of the store's path is a file", path) from error
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        found = set(os.listdir(path))
        database = os.path.join(path, DATABASE)
        if DATABASE in found and not os.path.isfile(database):
            raise _refuse(errno.EISDIR, f"{DATABASE} in it is no file", path)
        if DATABASE not in found:
            _check_free(path, found)
        with closing(connect(database, BUSY_SECONDS)) as con:
            uuid = _read_or_make(con, path)
        if PACK_FOLDER not in found:
            _make_folder(os.path.join(path, PACK_FOLDER))
        status = os.stat(database)
    return path, Identity(uuid, status.st_dev, status.st_ino)


def _make_folder(path: str) -> None:
    """Make a folder and those that it lies in, as far as they are missing, and sync their names.

    Raises
    ------
    NotADirectoryError
    """
    parent = os.path.dirname(path)
    if os.path.isdir(path):
        return
    if not os.path.isdir(parent):
        _make_folder(parent)
    with contextlib.suppress(FileExistsError):  # another process was faster
        os.mkdir(path)
    if not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    sync_folder(parent)


def _check_free(path: str, found: set[str]) -> None:
    """Raise unless a folder without a catalog may become a store."""
    packs = os.path.join(path, PACK_FOLDER)
    strange = {name for name in found if not name.startswith(DATABASE)} - {
        PACK_FOLDER,
        LEASE_FOLDER,
    }
    if strange:
        raise _refuse(errno.EEXIST, f"the folder holds something else ({min(strange)!r})", path)
    if PACK_FOLDER in found and not os.path.isdir(packs):
        raise _refuse(errno.EEXIST, f"the folder holds a file named {PACK_FOLDER!r}", path)
    if PACK_FOLDER in found and os.listdir(packs):
        raise StoreDamagedError(
            f"{path}: the folder has packs but no catalog ({DATABASE}); restore it from a copy"
        )


def _read_or_make(con: sqlite3.Connection, path: str) -> bytes:
    """Return the store's id, made now when the database is empty."""
    try:
        tables = {name for (name,) in con.execute("SELECT name FROM sqlite_master")}
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorname", "") != "SQLITE_NOTADB":
            raise
        raise StoreDamagedError(
            f"{path}: {DATABASE} is not a SQLite database: it is damaged, or belongs to another "
            "program. Restore the store from a copy, or choose another folder"
        ) from None
    if not tables:
        _make(con, path)
    elif "pstructs_store" not in tables:
        raise _refuse(errno.EEXIST, f"the {DATABASE} in it belongs to another program", path)
    ((found,),) = con.execute("PRAGMA application_id")
    if found != APPLICATION_ID:
        raise StoreDamagedError(
            f"{path}: the header of {DATABASE} is damaged (application id {found:#x}); restore "
            "the store from a copy"
        )
    rows = con.execute("SELECT format, uuid, created, sum FROM pstructs_store").fetchall()
    if len(rows) != 1 or rows[0][3] != catalog.seal(b"", "store", *rows[0][:3]):
        raise StoreDamagedError(
            f"{path}: the row that tells the store's format is damaged; restore it from a copy"
        )
    number, uuid, _, _ = rows[0]
    if number > FORMAT:
        raise FutureStoreError(
            f"{path}: the store has format {number} and this version of pstructs reads up to "
            f"{FORMAT}; update pstructs"
        )
    return bytes(uuid)


def _make(con: sqlite3.Connection, path: str) -> None:
    sync_folder(os.path.dirname(path))  # again: who made the folder may have died before
    con.execute("PRAGMA auto_vacuum = 2")
    con.execute("BEGIN IMMEDIATE")
    try:
        if not con.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            _check_free(path, set(os.listdir(path)))  # a catalog cut to nothing is empty, too
            for statement in SCHEMA:
                con.execute(statement)
            con.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            row = (FORMAT, os.urandom(16), time.time_ns())
            con.execute(
                "INSERT INTO pstructs_store VALUES (?, ?, ?, ?)",
                (*row, catalog.seal(b"", "store", *row)),
            )
        con.execute("COMMIT")
    except BaseException:
        if con.in_transaction:
            con.execute("ROLLBACK")
        raise
