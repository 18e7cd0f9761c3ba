"""Taking versions in: nothing is believed, and nothing is there before all of it is.

    rows: form and id ─► packs, imported ones first: into incoming/, verified whole as untrusted ─►
    large ones: pending row ─► into packs/ ─► one transaction: pack rows + versions + heads

A pack is verified against packs that were verified before it, so what comes in is as sound as what
was saved here. Until the transaction nothing of it can be seen. A refused transfer leaves nothing;
one that was interrupted may leave verified packs in incoming/, where the next one finds them.

One transfer at a time goes into a store (a lock on a file of incoming/, which ends with its
process); saves and reads go on meanwhile.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from pstructs.cache import erased, pending, pins, retired
from pstructs.cache.disk import PACK_FOLDER, ROW_LIMIT, SyncError, sync_file, sync_folder
from pstructs.cache.folder import SHORT_BYTES, Folder
from pstructs.cache.portable import check_id
from pstructs.cache.sources import PackInfo, Source, TagText, comes_before, plan
from pstructs.cache.squeezed import Squeezed, unsqueeze
from pstructs.cache.version import Version, check_head_name
from pstructs.errors import (
    DamagedExportError,
    HeadMovedError,
    MissingBaseError,
    MissingPackError,
    PackError,
    StoreClosedError,
    StoreDamagedError,
    StoreError,
    TagMovedError,
)
from pstructs.packs import Pack

if TYPE_CHECKING:
    from pstructs.cache.commit import Committer

__all__ = ["Incoming", "Transfer", "receive"]

INCOMING = "incoming"
STALE_SECONDS = 7 * 24 * 3600

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Transfer:
    """What came into a store.

    Attributes
    ----------
    versions, packs : int
        How many of each were new.
    nbytes : int
        Bytes of these packs, and of the rows of these versions where they were sent.
    heads : dict of str to Version
        The heads that moved, and where they are now.
    """

    versions: int
    packs: int
    nbytes: int
    heads: dict[str, Version]


class Incoming:
    """The folder where packs wait until they are part of the store; one holder at a time.

    Parameters
    ----------
    folder : Folder
        The store that receives.
    name : str
        The source, for messages.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        self.folder, self.name = folder, name
        self.path = os.path.join(folder.path, INCOMING)
        self.staged: dict[bytes, PackInfo] = {}  # by short id: verified ones
        self.moved: list[bytes] = []  # those that are in the folder of packs by now
        self._roots: dict[bytes, bytes] = {}
        self._open: WeakValueDictionary[bytes, Pack] = WeakValueDictionary()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock; leave only packs that were verified in an interrupted transfer."""
        os.makedirs(self.path, exist_ok=True)
        lock = os.open(os.path.join(self.path, "lock"), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._sweep()
            yield
        finally:
            os.close(lock)

    def _sweep(self) -> None:
        """Remove what nobody has come back for, and what is part of the store by now."""
        for entry in os.scandir(self.path):
            stem, _, kind = entry.name.rpartition(".")
            gone = kind == "part"
            if kind == "pack":
                gone = entry.stat().st_mtime < time.time() - STALE_SECONDS
                with contextlib.suppress(ValueError, StoreDamagedError):
                    gone = gone or self.folder.where(bytes.fromhex(stem)) is not None
            if gone:
                os.unlink(entry.path)

    def file(self, uuid: bytes) -> str:
        """Return the path that a pack waits at."""
        return os.path.join(self.path, f"{uuid.hex()}.pack")

    def place(self, uuid: bytes, *, sync: bool) -> None:
        """Move a pack to where it is going to stay."""
        path = self.file(uuid)
        if sync:
            sync_file(path)
        os.rename(path, self.folder.disk.filename(uuid)[1])
        self.moved.append(uuid)

    def take_back(self) -> None:
        """Undo all `place`."""
        while self.moved:
            uuid = self.moved[-1]
            os.rename(self.folder.disk.filename(uuid)[1], self.file(uuid))
            self.moved.pop()

    def drop(self) -> None:
        """Remove everything that was staged."""
        for short in list(self.staged):
            self.discard(short)

    def discard(self, short: bytes) -> None:
        """Remove one pack, if it was staged."""
        info = self.staged.pop(short, None)
        if info is not None:
            self._roots.pop(info.uuid, None)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.file(info.uuid))

    # ---- packs
    def add(self, source: Source, info: PackInfo) -> int:
        """Stage a pack, and verify it; return the bytes that the source had to send."""
        path, sent = self.file(info.uuid), 0
        if not os.path.exists(path):
            part = f"{path}.{secrets.token_hex(4)}.part"
            try:
                with open(part, "xb") as out:
                    for chunk in source.chunks(info.uuid):
                        sent += len(chunk)
                        if sent > info.nbytes:
                            raise DamagedExportError(
                                f"{self.name}: pack {info.uuid.hex()} has more bytes than it says"
                            )
                        out.write(chunk)
                self._verify(part, info)
                os.rename(part, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(part)
                raise
        else:
            try:
                self._verify(path, info)
            except DamagedExportError:  # left by a transfer that a power cut ended
                os.unlink(path)
                return self.add(source, info)
        self.staged[info.uuid[:SHORT_BYTES]] = info
        return sent

    def _verify(self, path: str, info: PackInfo) -> None:
        try:
            pack = self._attach(path)
            pack.verify()
        except PackError as error:
            raise DamagedExportError(
                f"{self.name}: pack {info.uuid.hex()} is damaged ({error}); nothing was taken in"
            ) from error
        if (pack.uuid, pack.nbytes, pack.imports) != info:
            raise DamagedExportError(
                f"{self.name}: what came as pack {info.uuid.hex()} is another one; nothing was "
                "taken in"
            )
        self._roots[info.uuid] = pack.root_digest

    def root_of(self, uuid: bytes) -> bytes:
        """Return the digest of the value of a pack that was verified here or is in the store."""
        root = self._roots.get(uuid)
        return self.folder.open_pack(uuid).root_digest if root is None else root

    def _attach(self, path: str) -> Pack:
        if os.path.getsize(path) >= ROW_LIMIT:
            return self.attach(path)
        with open(path, "rb") as source:  # there may be more small ones than maps
            return self.attach(source.read())

    def attach(self, where: str | bytes | Squeezed) -> Pack:
        """Return the pack in a file or in bytes; what it imports is looked for here first."""
        if isinstance(where, Squeezed):
            where = unsqueeze(where)
        if isinstance(where, bytes):
            return Pack.from_buffer(where, trusted=True, resolve=self.resolve)
        return Pack.from_file(where, trusted=True, resolve=self.resolve)

    def resolve(self, key: bytes) -> Pack:
        """Return a pack that was verified here, or one of the store."""
        info = self.staged.get(key[:SHORT_BYTES])
        if info is None:
            return self.folder.open_pack(key)
        pack = self._open.get(info.uuid)
        if pack is None:
            pack = self._open[info.uuid] = self._attach(self.file(info.uuid))
        return pack

    def has(self, key: bytes) -> bool:
        """Whether the store has a pack.

        Raises
        ------
        DamagedExportError
            When it has another one of the same short id.
        """
        found = self.folder.where(key[:SHORT_BYTES])
        if found is not None and not found[0].startswith(key):
            raise DamagedExportError(
                f"{self.name}: pack {key.hex()} begins like pack {found[0].hex()} of the store"
            )
        return found is not None


def receive(
    committer: Committer,
    source: Source,
    heads: Mapping[str, str],
    action: str,
    *,
    force: bool = False,
    keep: bool = False,
) -> Transfer:
    """Take the versions of `source` in, and move `heads` to the ids that it gives.

    Parameters
    ----------
    committer : Committer
        That of the store that receives.
    source : Source
    heads : mapping
        The heads to move here, and the ids of versions to move them to.
    action : str
        What the reflog says.
    force : bool
        Whether a head may leave the versions that it is at now.
    keep : bool
        Whether packs stay in incoming/ when the transfer is interrupted (not: refused).

    Raises
    ------
    DamagedExportError, MissingBaseError, HeadMovedError
        When it is refused; the store is as it was.
    """
    for name in heads:
        check_head_name(name)
    committer.check()
    incoming = Incoming(committer.folder, source.name)
    with committer.guard(), committer.folder.using(), incoming.held():
        try:
            return _Receiver(committer, source, incoming).run(heads, action, force)
        except StoreError as error:
            if not keep or isinstance(error, DamagedExportError | MissingBaseError):
                incoming.drop()
            raise
        except BaseException:
            if not keep:
                incoming.drop()
            raise


class _Receiver:
    """One transfer into a store."""

    def __init__(self, committer: Committer, source: Source, incoming: Incoming) -> None:
        self.committer, self.source, self.incoming = committer, source, incoming
        self.folder, self.catalog = committer.folder, committer.catalog
        self.nbytes = 0
        self.wanted: list[bytes] = []

    def run(self, heads: Mapping[str, str], action: str, force: bool) -> Transfer:
        self.wanted = self._wanted()
        for info in plan(self.source, self.wanted, self.incoming.has):
            self.nbytes += self.incoming.add(self.source, info)
        try:
            small = self._place()
            done = self._commit(small, heads, action, force)
        except (StoreClosedError, SyncError):
            raise  # it can't be known what is on the disk: a sweep will see
        except BaseException:
            self._take_back()
            raise
        self.incoming.drop()
        return done

    def _wanted(self) -> list[bytes]:
        """Check all rows; return the packs of those that are new."""
        con, wanted, said = self.folder.con, dict[str, bytes](), set[str]()
        for version in self.source.rows():
            check_id(self.catalog, version, self.source.name)
            if self.catalog.by_id(con, bytes.fromhex(version.id)) is None:
                self._check_before(con, version, said)
                wanted[version.id] = bytes.fromhex(version.pack)
            said.add(version.id)
        alive = (pack for vid, pack in wanted.items() if vid not in self.source.expired)
        return list(dict.fromkeys(alive))

    def _check_before(self, con: sqlite3.Connection, version: Version, said: set[str]) -> None:
        """Raise unless all that a version names is in the store, or came before it."""
        before = (*version.parents, *([version.restores] if version.restores else ()))
        lost = [
            vid
            for vid in before
            if vid not in said and self.catalog.by_id(con, bytes.fromhex(vid)) is None
        ]
        if lost:
            raise MissingBaseError(
                f"{self.source.name}: version {version.id} builds on version {lost[0]}, which "
                f"{self.folder.path} does not have. Send from an earlier version on",
                tuple(lost),
            )
        for vid in before:
            if erased.successor(self.catalog, con, bytes.fromhex(vid)) is not None:
                raise StoreError(
                    f"{self.source.name}: version {version.id} builds on {vid}, which holds what "
                    f"was erased from {self.folder.path}; nothing was taken in. Make the change "
                    "anew on top of the version that is here"
                )

    def _place(self) -> list[PackInfo]:
        """Move large packs to where they are going to stay; return the small ones."""
        large = [i for i in self.incoming.staged.values() if i.nbytes >= ROW_LIMIT]
        if large:
            with self.folder.transaction(sync=False) as con:
                for info in large:
                    pending.add(con, info.uuid)
                    retired.forget(con, info.uuid)  # else a file of before is yet to be removed
        for info in large:
            self.incoming.place(info.uuid, sync=self.committer.sync)
        if large and self.committer.sync:
            sync_folder(os.path.join(self.folder.path, PACK_FOLDER))
        return [i for i in self.incoming.staged.values() if i.nbytes < ROW_LIMIT]

    def _take_back(self) -> None:
        """Move large packs back to incoming/; leave them to a sweep if that fails."""
        with contextlib.suppress(StoreError, OSError):
            self.incoming.take_back()
            with self.folder.transaction(sync=False) as con:
                for info in self.incoming.staged.values():
                    pending.drop(con, info.uuid)

    def _commit(
        self, small: list[PackInfo], heads: Mapping[str, str], action: str, force: bool
    ) -> Transfer:
        disk = self.folder.disk
        with self.committer.transaction() as con:
            for info in small:
                with open(self.incoming.file(info.uuid), "rb") as file:
                    columns = disk.write(info.uuid, file.read(), sync=False)
                self.folder.insert(con, info.uuid, columns)
            for uuid in self.incoming.moved:
                if not pending.drop(con, uuid):
                    raise StoreError(
                        f"{self.folder.path}: the transfer took so long that another process "
                        "took its owner for dead; nothing was taken in. Start it again"
                    )
                info = self.incoming.staged[uuid[:SHORT_BYTES]]
                self.folder.insert(con, uuid, disk.columns_of_file(uuid, info.nbytes))
            self._revive(con)
            new = 0
            for version in self.source.rows():
                new += self._add(con, version)
            moved = {
                name: at
                for name, vid in heads.items()
                if (at := self._move(con, name, vid, action, force)) is not None
            }
            for name, said in self.source.tags.items():
                self._tag(con, name, said)
        return Transfer(new, len(self.incoming.staged), self.nbytes, moved)

    def _revive(self, con: sqlite3.Connection) -> None:
        """Take packs that are needed again out of the journal of those that are not.

        Raises
        ------
        StoreError
            When one has been removed since it was looked for.
        """
        gone = {
            row.pack[:SHORT_BYTES]: row.pack
            for row in retired.retired(self.catalog, con)
            if row.state == retired.RETIRED
        }
        todo = [short for info in self.incoming.staged.values() for short in info.imports]
        todo.extend(pack[:SHORT_BYTES] for pack in self.wanted)
        seen = set[bytes]()
        while todo:
            short = todo.pop()
            if short in seen or short in self.incoming.staged:
                continue
            seen.add(short)
            if self.folder.where(short) is None:
                raise StoreError(
                    f"{self.folder.path}: pack {short.hex()} was collected while others came in; "
                    "nothing was taken in. Start again"
                )
            if short in gone:
                retired.forget(con, gone[short])
                todo.extend(self.folder.open_pack(short).imports)

    def _add(self, con: sqlite3.Connection, version: Version) -> bool:
        """Give a version a number here; False when it has one."""
        check_id(self.catalog, version, self.source.name)
        if self.catalog.by_id(con, bytes.fromhex(version.id)) is not None:
            return False
        self._check_before(con, version, set())
        for vid in version.parents:
            before = self.catalog.by_id(con, bytes.fromhex(vid))
            if before is not None and before.time >= version.time:
                raise DamagedExportError(
                    f"{self.source.name}: version {version.id} is older than its parent"
                )
        reason = self.source.expired.get(version.id)
        if reason is not None:
            self.catalog.receive(con, version)
            pins.expire(self.catalog, con, self.catalog.last_number(con), reason)
            return True
        try:
            root = self.incoming.root_of(bytes.fromhex(version.pack)).hex()
        except MissingPackError as error:
            raise DamagedExportError(
                f"{self.source.name}: version {version.id} has no pack ({error})"
            ) from error
        if root != version.root:
            raise DamagedExportError(
                f"{self.source.name}: version {version.id} names the root {version.root}, and "
                f"its pack {version.pack} has {root}"
            )
        self.catalog.receive(con, version)
        return True

    def _tag(self, con: sqlite3.Connection, name: str, said: TagText) -> None:
        """Make a tag, if its version is here and it is not."""
        version = self.catalog.by_id(con, bytes.fromhex(said.id))
        if version is None:
            return
        there = self.catalog.tag(con, name)
        if there is None:
            vid = bytes.fromhex(version.id)
            self.catalog.add_tag(con, name, version.number, vid, said.message)
        elif there.id.hex() != version.id:
            raise TagMovedError(
                f"{self.folder.path}: the tag {name!r} names version {there.number} here and "
                f"{version} in {self.source.name}; nothing was taken in. Delete one of the two"
            )

    def _move(
        self, con: sqlite3.Connection, name: str, vid: str, action: str, force: bool
    ) -> Version | None:
        """Move a head forwards; None when it is there, or further on, already."""
        to = self.catalog.by_id(con, bytes.fromhex(vid))
        if to is None:
            raise DamagedExportError(
                f"{self.source.name}: the head {name!r} is at version {vid}, which is not there"
            )
        at = self.catalog.head(con, name)
        if at is not None and at.id.hex() == to.id:
            return None
        if at is not None:
            now = self.catalog.by_id(con, at.id)
            assert now is not None  # heads name versions
            if not force and comes_before(self.catalog, con, to, now):
                return None
            if not force and not comes_before(self.catalog, con, now, to):
                raise HeadMovedError(
                    f"{self.folder.path}: the head {name!r} is at {now}, and {self.source.name} "
                    f"has it at {to}, which does not follow from it; nothing was taken in. Take "
                    "it in under another name and merge the two, or say force=True to move it",
                    to,
                    now,
                )
        self.catalog.move(con, name, at, to.number, bytes.fromhex(to.id), time.time_ns(), action)
        return to
