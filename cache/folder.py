"""A store's folder as this process sees it: connections, transactions, and the packs it has open.

All handles (`SnapshotStore`) of a process on the same store share one `Folder`, and so they share
open packs: a version that two of them load is mapped once, and what one saves, the other can
save increments of. Packs outlive handles, since collections lie in them: a pack that needs another
one asks its folder for it (`resolve`), also after the last handle was closed.

SQLite is reached through diskcache's connections: one a thread, made anew after a fork.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import closing
from weakref import WeakValueDictionary

import diskcache

from pstructs.cache import pending, recoding, retired
from pstructs.cache.catalog import Catalog
from pstructs.cache.collecting import finish
from pstructs.cache.disk import PACK_FOLDER, ROW_LIMIT, Columns, RawDisk, sync_folder
from pstructs.cache.forks import INSIDE
from pstructs.cache.layout import BUSY_SECONDS, DATABASE, Identity, prepare
from pstructs.cache.leases import Lease
from pstructs.cache.quiet import connect
from pstructs.cache.squeezed import SUFFIX, Squeezed, unsqueeze
from pstructs.cache.syncing import LogFile, SharedSync
from pstructs.cache.trouble import Explained
from pstructs.errors import MissingPackError, StoreDamagedError, StoreError, StorePathError
from pstructs.packs import Pack

__all__ = ["SHORT_BYTES", "Folder", "open_folder"]

SHORT_BYTES = 8
_SETTINGS = {
    "eviction_policy": "none",  # versions are never thrown away to make room
    "cull_limit": 0,
    "size_limit": 2**62,
    "statistics": 0,
    "tag_index": 0,
    "sqlite_auto_vacuum": 2,
    "sqlite_cache_size": 2**13,
    "sqlite_journal_mode": "wal",
    "sqlite_mmap_size": 0,  # a damaged or cut file has to be an error, not a SIGBUS
    "sqlite_synchronous": 1,  # what a connection starts with; transaction() sets its own
    "disk_min_file_size": ROW_LIMIT,
    "disk_pickle_protocol": 0,
}
# 16 MiB: copying the log into the database syncs both, which is most of an unsynced save. Mean of
# 4000 saves with 1000 (SQLite's default) / 4000 / 8000 pages: 420 / 350 / 270 µs, median 110.
_CHECKPOINT_PAGES = 4000
_BY_KEY = (
    "SELECT key, raw, mode, filename, value, size FROM Cache WHERE key BETWEEN ? AND ? LIMIT 2"
)
_LISTED = "SELECT 1 FROM Cache WHERE key = ? AND filename = ?"
_INSERT = (
    "INSERT INTO Cache (key, raw, store_time, expire_time, access_time, access_count, tag, size,"
    " mode, filename, value) VALUES (?, 1, 0, NULL, 0, 0, 'pack', ?, ?, ?, ?)"
)

_LAST_MADE = "Settings_size_delete"  # by diskcache, in a new database

_folders: WeakValueDictionary[tuple[str, Identity], Folder] = WeakValueDictionary()


class _MadeCache(diskcache.Cache):  # type: ignore[misc]
    """A diskcache whose tables and settings are there already: opening it writes nothing.

    diskcache itself writes all settings anew at each opening, which waits for writers, needs free
    space on the disk, and changes the file of a store that may be damaged.
    """

    def __init__(self, path: str) -> None:
        self._directory = path
        self._timeout = BUSY_SECONDS
        self._local = threading.local()
        self._txn_id = None
        self._disk = RawDisk(path)
        for key, value in _SETTINGS.items():
            if not key.startswith("disk_"):
                setattr(self, key, value)
        ((self._page_size,),) = self._con.execute("PRAGMA page_size")

    @property
    def _con(self) -> sqlite3.Connection:
        """The connection of this thread and process; diskcache's would hang in forks."""
        local, pid = self._local, os.getpid()
        if getattr(local, "pid", None) != pid:
            self.close()  # what was the parent's
            local.pid = pid
        con: sqlite3.Connection | None = getattr(local, "con", None)
        if con is None:
            con = local.con = connect(os.path.join(self._directory, DATABASE), BUSY_SECONDS)
            for key, value in _SETTINGS.items():
                # to set what is set already can take the write lock
                if key.startswith("sqlite_"):
                    pragma = f"PRAGMA {key[7:]}"
                    if con.execute(pragma).fetchone() != (value,):
                        con.execute(f"{pragma} = {value}").fetchall()
        return con

    @staticmethod
    def fits(path: str) -> bool:
        """Whether the database at `path` has the tables and the settings that stores use.

        Raises
        ------
        ValueError
            When there is a setting that no store writes.
        """
        with closing(connect(os.path.join(path, DATABASE), BUSY_SECONDS)) as con:
            names = {name for (name,) in con.execute("SELECT name FROM sqlite_master")}
            if "Settings" not in names:
                return False
            settings = dict(con.execute("SELECT key, value FROM Settings").fetchall())
        # diskcache makes each setting an attribute of its own, `_directory` as well
        if strange := settings.keys() - _SETTINGS.keys() - diskcache.core.METADATA.keys():
            raise ValueError(f"a setting {min(map(repr, strange))}")
        if not names >= {"Cache", "Cache_key_raw", _LAST_MADE}:
            return False
        return all(settings.get(key) == value for key, value in _SETTINGS.items())


def _open_cache(path: str) -> diskcache.Cache:
    try:
        if not _MadeCache.fits(path):
            with INSIDE:
                diskcache.Cache(path, BUSY_SECONDS, RawDisk, **_SETTINGS).close()
        return _MadeCache(path)
    except (TypeError, AttributeError, ValueError, KeyError) as error:
        # diskcache takes its settings from a table, unchecked
        raise StoreDamagedError(
            f"{path}: the table of settings in the catalog is damaged ({error}); restore the "
            "store from a copy"
        ) from error


def open_folder(given: str | os.PathLike[str]) -> tuple[Folder, int]:
    """Return the folder of the store at `given`, made if need be, and how many orphans it lost."""
    path, identity = prepare(given)
    folder = _folders.get((path, identity))
    if folder is None:
        folder = Folder(path, identity)
        _folders[path, identity] = folder
    folder.heal()
    folder.renew()
    return folder, folder.sweep()


class Folder:
    """One store, seen from one process.

    Parameters
    ----------
    path : str
        The folder of the store, which `layout.prepare` has made.
    identity : Identity
    """

    def __init__(self, path: str, identity: Identity) -> None:
        self.path, self.identity = path, identity
        self.catalog = Catalog(path, identity.uuid)
        self.errors = Explained(path)
        self.handles = 0
        self.failures = self._healed = 0  # of syncs
        self.failure: str | None = None
        self._group, self._group_of = self._new_group(), os.getpid()
        self._local = threading.local()
        self._packs: WeakValueDictionary[bytes, Pack] = WeakValueDictionary()
        self.retired = retired.Watch(self.catalog)
        self.lease = Lease(path)
        self.archives: dict[bytes, Pack] = {}
        weakref.finalize(self, self.lease.drop)
        with self.errors:
            self._cache = _open_cache(path)
        self.disk: RawDisk = self._cache.disk

    # ---- SQLite
    @property
    def con(self) -> sqlite3.Connection:
        """The connection of this thread, in autocommit: for reading."""
        con: sqlite3.Connection = self._cache._con
        return con

    @contextlib.contextmanager
    def transaction(self, *, sync: bool) -> Iterator[sqlite3.Connection]:
        """Hold the store's write lock; commit at the end, or roll back when an error passes.

        With `sync` the commit is on the disk when this returns.
        """
        with self.errors, INSIDE:
            con = self.con
            local = self._local
            if getattr(local, "con", None) is not con:
                con.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
                local.con, local.sync, local.named = con, None, False
            if local.sync is not sync:
                con.execute(f"PRAGMA synchronous = {2 if sync else 1}")
                local.sync = sync
            con.execute("BEGIN IMMEDIATE")
            try:
                self._check_place()
                if not local.named:  # SQLite does this only where it made the log itself
                    sync_folder(self.path)
                    local.named = True
                yield con
                con.execute("COMMIT")
            except BaseException:
                if con.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        con.execute("ROLLBACK")
                raise

    @property
    def group(self) -> SharedSync:
        """The sync of the log that the threads of this process share."""
        if self._group_of != os.getpid():  # a fork leaves its threads behind
            self._group, self._group_of = self._new_group(), os.getpid()
        return self._group

    def _new_group(self) -> SharedSync:
        return SharedSync(LogFile(os.path.join(self.path, DATABASE + "-wal")).sync)

    def failed(self, problem: str) -> None:
        """Take no more writes from the handles that are open now: a sync failed.

        The system may have dropped what it could not write, and may tell nobody else: a later
        sync that succeeds promises nothing about what was written before.
        """
        self.failure = problem
        self.failures += 1

    def heal(self) -> None:
        """After a failed sync, write all that SQLite's log holds once more, and sync it."""
        failures = self.failures
        if self._healed == failures:
            return
        with self.errors:
            ((busy, _, _),) = self.con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if busy:
            raise StoreError(
                f"{self.path}: a sync failed earlier, and what the log holds can't be written "
                "anew while others read the store without end; close them and try again"
            )
        self._group = self._new_group()
        self._healed = failures

    def _check_place(self) -> None:
        """Raise unless the catalog that is open is still the one in the folder.

        SQLite goes on writing into a file that was removed, and what it commits there is lost.
        """
        try:
            status = os.stat(os.path.join(self.path, DATABASE))
        except FileNotFoundError:
            found = None
        else:
            found = status.st_dev, status.st_ino
        if found != self.identity[1:]:
            what = "removed" if found is None else "replaced by another one"
            raise StorePathError(
                errno.ENOENT,
                f"the store was {what} while it was open; nothing was written. Put it back, or "
                "open the one that is there now",
                self.path,
            )

    def release(self) -> None:
        """Close this thread's connection; the next use of it makes a new one."""
        self._local.con = None
        if self.handles <= 0 and not self._packs:
            self.lease.drop()
        self._cache.close()

    # ---- leases
    def epoch(self) -> int:
        """Return how often packs were retired in this store."""
        return retired.epoch(self.catalog, self.con)

    def first_retired(self) -> int | None:
        """Return at which epoch the first pack that this process has open was retired."""
        gone = self.retired.short(self.con)
        return min((gone[short] for short in self.loaded() if short in gone), default=None)

    def loaded(self) -> list[bytes]:
        """Return the first 8 bytes of the uuids of all packs that this process has open."""
        return [pack.uuid[:SHORT_BYTES] for pack in list(self._packs.values())]

    @contextlib.contextmanager
    def using(self) -> Iterator[None]:
        """Keep what the catalog leads to from now on, whatever is collected, until the end."""
        with self.errors, self.lease.using(self):
            yield

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """Do the same for code of the user's, whose errors are its own."""
        with contextlib.ExitStack() as stack:
            with self.errors:
                stack.enter_context(self.lease.using(self))
            yield

    def renew(self) -> None:
        """Hold a lease, and let go of what is not needed here any more."""
        with self.errors:
            self.lease.renew(self)

    # ---- packs
    def insert(self, con: sqlite3.Connection, key: bytes, columns: Columns) -> None:
        """Add the row of a pack, in the caller's transaction."""
        con.execute(_INSERT, (key, *columns))

    def where(
        self, key: bytes, con: sqlite3.Connection | None = None
    ) -> tuple[bytes, str | bytes | Squeezed] | None:
        """Return the uuid of the pack that `key` is, or begins, and its bytes or file's path."""
        with self.errors:
            low, high = key.ljust(16, b"\0"), key.ljust(16, b"\xff")
            rows = (con or self.con).execute(_BY_KEY, (low, high)).fetchall()
            if not rows:
                return None
            if len(rows) > 1:
                raise StoreError(f"{self.path}: two packs begin with {key.hex()}; run verify()")
            found, raw, mode, filename, value, size = rows[0]
            uuid = self.disk.get(found, raw)
            if not uuid.startswith(key):
                raise StoreDamagedError(
                    f"{self.path}: looking for pack {key.hex()} found {uuid.hex()}: the index is "
                    "damaged; run verify() and restore the store from a copy"
                )
            return uuid, self.disk.locate(uuid, mode, filename, value, size)

    def open_pack(self, key: bytes) -> Pack:
        """Return the pack whose uuid is, or begins with, `key`.

        Raises
        ------
        MissingPackError
            When the store does not have it.
        PackError
            When its bytes are damaged.
        """
        pack = self._packs.get(key[:SHORT_BYTES])
        if pack is not None and pack.uuid.startswith(key):
            return pack
        try:
            found = self.fetch(key)
        finally:
            if self.handles <= 0:
                self.release()
        if found is None:
            raise MissingPackError(
                f"{self.path}: pack {key.hex()} is missing; run verify() and restore the store "
                "from a copy"
            )
        uuid, pack = found
        if pack.uuid != uuid:
            raise StoreDamagedError(
                f"{self.path}: what is stored as pack {uuid.hex()} is {pack.uuid.hex()}; run "
                "verify() and restore the store from a copy"
            )
        # of two threads that open it, one's stays: a lease counts on knowing all that are open
        return self._packs.setdefault(uuid[:SHORT_BYTES], pack)

    def fetch(self, key: bytes) -> tuple[bytes, Pack] | None:
        """Return the uuid of the pack that `key` is, or begins, and what is stored as that.

        The file can have been replaced by a compressed one, or back, since its row was read.
        Then the row is read anew, past a transaction that this thread may be reading in.
        """
        found = self.where(key)
        if found is None:
            return None
        try:
            return found[0], self.attach(found[1])
        except MissingPackError:
            with (
                self.errors,
                closing(connect(os.path.join(self.path, DATABASE), BUSY_SECONDS)) as con,
            ):
                again = self.where(key, con)
            if again is None or again == found:
                raise
            return again[0], self.attach(again[1])

    def attach(self, where: str | bytes | Squeezed) -> Pack:
        """Return the pack in a file or in bytes, as one of this store."""
        if isinstance(where, bytes):
            return Pack.from_buffer(where, trusted=True, resolve=self.open_pack, owner=self)
        with self.errors:
            try:
                if isinstance(where, Squeezed):
                    return self.attach(unsqueeze(where))
                return Pack.from_file(where, trusted=True, resolve=self.open_pack, owner=self)
            except FileNotFoundError as error:
                path = where if isinstance(where, str) else where.path
                raise MissingPackError(
                    f"{path}: the file of a pack is missing; run verify() and restore the store "
                    "from a copy"
                ) from error

    def adopt(self, uuid: bytes, where: str | bytes) -> Pack:
        """Return the pack that was just committed, and keep it for the next one who asks."""
        pack = self.attach(where)
        self._packs[uuid[:SHORT_BYTES]] = pack
        return pack

    def forget(self) -> None:
        """Open all packs anew when they are next asked for: some have other bytes now."""
        self._packs.clear()

    def owns(self, pack: Pack) -> bool:
        """Whether new packs of this store may point into `pack`."""
        return pack.owner is self

    def keeps(self, pack: Pack) -> bool:
        """Whether new packs may point into `pack`, as far as the catalog knows now."""
        return self.owns(pack) and pack.uuid[:SHORT_BYTES] not in self.retired.short(self.con)

    # ---- leftovers of crashes
    def sweep(self) -> int:
        """Remove the files that dead processes left behind; return how many packs that were."""
        finish(self, sync=True)
        recoding.settle(self)
        with self.errors:
            if not self.con.execute("SELECT 1 FROM pstructs_pending LIMIT 1").fetchone():
                return 0
        # under the write lock: a transfer may bring a pack back under its old name
        with self.transaction(sync=True) as con:
            orphans = pending.stale(con, self.catalog.damaged)
            for pack in orphans:
                name, path = self.disk.filename(pack)
                # a row with a flipped bit may name a pack that was committed
                if not con.execute(_LISTED, (pack, name)).fetchone():
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(path)
                pending.drop(con, pack, pending.SWEEPING)
            if orphans:
                sync_folder(os.path.join(self.path, PACK_FOLDER))
        return len(orphans)

    def squeezed(self) -> list[bytes]:
        """Return the uuids of the compressed packs."""
        with self.errors:
            rows = self.con.execute(
                "SELECT key, raw FROM Cache WHERE filename LIKE ? ORDER BY key", (f"%{SUFFIX}",)
            ).fetchall()
        return [self.disk.get(key, raw) for key, raw in rows]

    def files(self) -> set[str]:
        """Return the names of the files in the folder of packs."""
        with self.errors:
            return set(os.listdir(os.path.join(self.path, PACK_FOLDER)))
