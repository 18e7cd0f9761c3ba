"""`SnapshotStore.repair`: damaged and missing packs and version rows, taken from elsewhere.

    find what is broken ─► fetch it, into incoming/, verified ─► verify again what imports it ─►
    the damaged bytes are put aside in damaged/ ─► the sound ones take their place ─►
    what is still broken gets its value from an archive, in a new pack ─►
    verify all ─► damaged/ goes, if nothing is left to repair

A pack is known by its uuid and by the digests of the versions that name it, a version by its id,
which is the digest of what it says: so it does not matter who gives them. What a pack's importers
say of it is checked against the new bytes before these take any place. A crash in between leaves
each pack damaged or sound, and the next repair goes on: files that no row names are pending until
then (pending.py), and so is one of two forms of a pack (recoding.py).

An archive has no packs, only values by their digests. A version's value may lie in any pack, as
after a compaction, so what an archive has is written anew, and the version pointed at that.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pstructs.cache import pending, pins, recoding, retired
from pstructs.cache.adding import add
from pstructs.cache.cold import ArchiveSource
from pstructs.cache.collecting import finish
from pstructs.cache.disk import PACK_FOLDER, ROW_LIMIT, SyncError, sync_file, sync_folder
from pstructs.cache.folder import SHORT_BYTES
from pstructs.cache.portable import check_id
from pstructs.cache.receiving import Incoming
from pstructs.cache.rewriting import written
from pstructs.cache.sources import PackInfo, Source, plan
from pstructs.cache.verify import verify_store
from pstructs.cache.version import Version
from pstructs.errors import PackError, StoreClosedError, StoreDamagedError, StoreError

if TYPE_CHECKING:
    from pstructs.cache.catalog import Catalog
    from pstructs.cache.commit import Committer

__all__ = ["RepairReport", "repair", "sound_numbers"]

ASIDE = "damaged"


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What `repair` did, and what it could not do.

    Attributes
    ----------
    packs : tuple of str
        Uuids of the packs that are sound again.
    versions : tuple of str
        Ids of the versions whose rows are sound again.
    moved : tuple of str
        Ids of the versions whose values were written anew, as an archive has them.
    problems : tuple of str
        What is still damaged, as `verify` tells it; empty when the store is whole.
    aside : str or None
        The folder that the damaged originals are in; None when the store is whole.
    """

    packs: tuple[str, ...]
    versions: tuple[str, ...]
    moved: tuple[str, ...]
    problems: tuple[str, ...]
    aside: str | None


def repair(committer: Committer, source: Source) -> RepairReport:
    """Repair a store from `source`; see `SnapshotStore.repair`."""
    committer.check()
    incoming = Incoming(committer.folder, source.name)
    with committer.guard(), committer.folder.using(), incoming.held():
        try:
            return _Repair(committer, source, incoming).run()
        finally:
            incoming.drop()


def sound_numbers(catalog: Catalog, con: sqlite3.Connection) -> list[int]:
    """Return the numbers of the versions whose rows are sound, ascending."""
    found = []
    for (number,) in con.execute("SELECT number FROM pstructs_version ORDER BY number").fetchall():
        with contextlib.suppress(StoreDamagedError):
            version = catalog.by_number(con, number)
            if version is not None:
                catalog.check_id(version)
                found.append(number)
    return found


class _Repair:
    """One repair."""

    def __init__(self, committer: Committer, source: Source, incoming: Incoming) -> None:
        self.committer, self.source, self.incoming = committer, source, incoming
        self.folder, self.catalog = committer.folder, committer.catalog
        self.aside = os.path.join(self.folder.path, ASIDE)
        self.imports: dict[bytes, tuple[bytes, ...]] = {}  # by short id, also of broken packs
        self.sound: set[bytes] = set()  # short ids
        self.broken: dict[bytes, None] = {}

    def run(self) -> RepairReport:
        rows = self._rows()
        gone = pins.expired(self.catalog, self.folder.con)
        known = [*self._sound_versions(), *rows]
        versions = [version for version in known if version.number not in gone]
        self._check(versions)
        packs = self._fetch(versions)
        if packs or rows or self.broken:
            os.makedirs(self.aside, exist_ok=True)
        if packs or rows:
            self._put(packs, rows)
        moved = self._move(versions)
        self._drop_strays(versions)
        self.folder.forget()
        return self._report(packs, rows, moved)

    # ---- versions
    def _sound_versions(self) -> list[Version]:
        con = self.folder.con
        found = (self.catalog.by_number(con, n) for n in sound_numbers(self.catalog, con))
        return [version for version in found if version is not None]

    def _rows(self) -> list[Version]:
        """Return the versions whose rows have to be written anew."""
        con, damaged = self.folder.con, []
        sound = {version.id: version for version in self._sound_versions()}
        taken = {version.number for version in sound.values()}
        named = self._named(list(sound.values())) - sound.keys()
        for (number,) in con.execute("SELECT number FROM pstructs_version").fetchall():
            if isinstance(number, int) and number not in taken:
                damaged.append(number)
        last = max(taken | self._head_numbers(), default=0)
        gaps = [number for number in range(1, last + 1) if number not in taken]
        if not damaged and not gaps:
            return []
        told: dict[str, Version] = {}
        for version in self.source.rows():
            if version.id not in sound:
                check_id(self.catalog, version, self.source.name)
                told[version.id] = version
        found: list[Version] = []
        numbers = {version.id: version.number for version in sound.values()}
        for number in sorted({*damaged, *gaps}):
            fits = [
                version
                for version in told.values()
                if self._fits(number, version, numbers, sound)
                and (self._likeness(con, number, version) or version.id in named)
            ]
            if fits:
                best = max(fits, key=lambda v: (self._likeness(con, number, v), -v.time))
                found.append(replace(told.pop(best.id), number=number))
                numbers[best.id] = number
        return found

    def _named(self, versions: list[Version]) -> set[str]:
        """Return the ids that sound rows name."""
        named = {vid for version in versions for vid in version.parents}
        named |= {version.restores for version in versions if version.restores}
        with contextlib.suppress(StoreDamagedError):
            named |= {head.id.hex() for head in self.catalog.heads(self.folder.con)}
        return named

    def _head_numbers(self) -> set[int]:
        with contextlib.suppress(StoreDamagedError):
            return {head.number for head in self.catalog.heads(self.folder.con)}
        return set()

    def _fits(
        self, number: int, version: Version, numbers: dict[str, int], sound: dict[str, Version]
    ) -> bool:
        """Whether a version can have that number: between what it builds on and what on it."""
        before = (*version.parents, *([version.restores] if version.restores else ()))
        return all(numbers.get(vid, number) < number for vid in before) and all(
            other.number > number
            for other in sound.values()
            if version.id in other.parents or version.id == other.restores
        )

    def _likeness(self, con: sqlite3.Connection, number: int, version: Version) -> int:
        """Return how many columns of the damaged row are those of `version`."""
        row = con.execute(
            "SELECT id, parents, time, message, pack, root FROM pstructs_version WHERE number = ?",
            (number,),
        ).fetchone()
        said = (
            bytes.fromhex(version.id),
            bytes.fromhex("".join(version.parents)),
            version.time,
            version.message,
            bytes.fromhex(version.pack),
            bytes.fromhex(version.root),
        )
        return 0 if row is None else sum(a == b for a, b in zip(row, said, strict=True))

    # ---- packs
    def _check(self, versions: list[Version]) -> None:
        """Find out which packs are sound, of all that are here and that versions lead to."""
        keys = [bytes.fromhex(version.pack) for version in versions]
        for (key,) in self.folder.con.execute("SELECT key FROM Cache").fetchall():
            if isinstance(key, bytes):
                keys.append(key)
        todo, known = [key[:SHORT_BYTES] for key in dict.fromkeys(keys)], set[bytes]()
        roots = {bytes.fromhex(v.pack)[:SHORT_BYTES]: bytes.fromhex(v.root) for v in versions}
        while todo:
            short = todo.pop()
            if short in known:
                continue
            known.add(short)
            try:
                found = self.folder.fetch(short)
                if found is None:
                    raise StoreDamagedError("its row is missing")
                uuid, pack = found
                if pack.uuid != uuid or roots.get(short, pack.root_digest) != pack.root_digest:
                    raise StoreDamagedError("it is another pack")
                self.imports[short] = pack.imports
                todo.extend(pack.imports)
                pack.verify()
                self.sound.add(short)
            except (PackError, StoreError, OSError):
                self.broken[short] = None

    def _fetch(self, versions: list[Version]) -> list[PackInfo]:
        """Stage sound packs for the broken ones, as far as the source has them."""
        roots = {bytes.fromhex(v.pack): bytes.fromhex(v.root) for v in versions}
        for short in self.broken:
            with contextlib.suppress(PackError, StoreError):
                for info in plan(self.source, [short], self._has):
                    self.incoming.add(self.source, info)
                    root = self.incoming.root_of(info.uuid)
                    if roots.get(info.uuid, root) != root:
                        self.incoming.discard(info.uuid[:SHORT_BYTES])
        self._check_importers()
        return list(self.incoming.staged.values())

    def _has(self, key: bytes) -> bool:
        short = key[:SHORT_BYTES]
        return short in self.sound or short in self.incoming.staged

    def _check_importers(self) -> None:
        """Unstage packs that do not hold what packs of the store say of them.

        A pack that only looked broken since it points into a broken one turns out to be sound.
        """
        for short, imports in self.imports.items():
            if short in self.incoming.staged or not self.incoming.staged.keys() & set(imports):
                continue
            found = self.folder.where(short)
            assert found is not None  # it was there a moment ago
            try:
                self.incoming.attach(found[1]).verify()
                self.broken.pop(short, None)
            except PackError:
                for one in imports if short in self.sound else ():
                    self.incoming.discard(one)

    def _reach(self, packs: Iterable[str]) -> set[bytes]:
        """Return the short ids of what these packs need, themselves included, as far as known."""
        todo, seen = [bytes.fromhex(pack)[:SHORT_BYTES] for pack in packs], set[bytes]()
        while todo:
            short = todo.pop()
            if short not in seen:
                seen.add(short)
                todo.extend(self.imports.get(short, ()))
        return seen

    # ---- putting in place
    def _put(self, packs: list[PackInfo], rows: list[Version]) -> None:
        """Put sound packs and rows in place of damaged ones, all or none."""
        files = [info.uuid for info in packs if info.nbytes >= ROW_LIMIT]
        absent = self._announce(packs)
        try:
            with self.committer.transaction() as con:
                for info in packs:
                    self._put_aside(info.uuid)
                    there = con.execute("DELETE FROM Cache WHERE key = ?", (info.uuid,)).rowcount
                    if there or info.uuid in absent:  # else it was collected meanwhile
                        self._insert(con, info)
                for uuid in files:
                    pending.drop(con, uuid)
                for version in rows:
                    con.execute("DELETE FROM pstructs_version WHERE number = ?", (version.number,))
                    self.catalog.receive(con, version, version.number)
        except (StoreClosedError, SyncError):
            raise  # it can't be known what is on the disk: a sweep will see
        except BaseException:
            for uuid in files:
                self.committer.take_back(uuid)
                with contextlib.suppress(StoreError, OSError):
                    recoding.settle(self.folder, uuid)
            raise
        for uuid in files:
            recoding.settle(self.folder, uuid)

    def _announce(self, packs: list[PackInfo]) -> set[bytes]:
        """Say which files are about to come; return the packs that have no row to name them."""
        absent = set[bytes]()
        with self.folder.transaction(sync=False) as con:
            for info in packs:
                row = con.execute("SELECT filename FROM Cache WHERE key = ?", (info.uuid,))
                found = row.fetchone()
                if found is None:
                    absent.add(info.uuid)
                    retired.forget(con, info.uuid)  # else a file of before is yet to be removed
                if info.nbytes < ROW_LIMIT:
                    continue
                if found is None or found[0] not in self.folder.disk.forms(info.uuid):
                    pending.add(con, info.uuid)
                else:
                    recoding.claim(con, info.uuid)
        return absent

    def _put_aside(self, uuid: bytes) -> None:
        place = os.path.join(self.aside, f"{uuid.hex()}.{secrets.token_hex(4)}")
        for path in self.folder.disk.forms(uuid).values():
            with contextlib.suppress(FileNotFoundError):
                os.link(path, place + os.path.splitext(path)[1])
        for (value,) in self.folder.con.execute(
            "SELECT value FROM Cache WHERE key = ? AND value IS NOT NULL", (uuid,)
        ).fetchall():
            with open(f"{place}.row", "wb") as out:
                out.write(value if isinstance(value, bytes) else str(value).encode())

    def _insert(self, con: sqlite3.Connection, info: PackInfo) -> None:
        disk, staged = self.folder.disk, self.incoming.file(info.uuid)
        if info.nbytes < ROW_LIMIT:
            with open(staged, "rb") as file:
                self.folder.insert(con, info.uuid, disk.write(info.uuid, file.read(), sync=False))
            return
        if self.committer.sync:
            sync_file(staged)
        os.replace(staged, disk.filename(info.uuid)[1])
        if self.committer.sync:
            sync_folder(os.path.join(self.folder.path, PACK_FOLDER))
        self.folder.insert(con, info.uuid, disk.columns_of_file(info.uuid, info.nbytes))

    # ---- values of an archive
    def _move(self, versions: list[Version]) -> list[Version]:
        """Write values of an archive anew for versions that can't be read; return these."""
        if not isinstance(self.source, ArchiveSource):
            return []
        left = self.broken.keys() - self.incoming.staged.keys()
        lost = [v for v in versions if left & self._reach([v.pack])]
        values = {v.pack: value for v in lost if (value := self.source.value(v.root)) is not None}
        lost = [version for version in lost if version.pack in values]
        if not lost:
            return []
        made = written(self.folder, lost, values)
        fit = [moved for moved in made.moved if moved.root.hex() == moved.version.root]
        needed = {moved.image.uuid for moved in fit} | {made.images[0].uuid}

        def commit(con: sqlite3.Connection) -> None:
            for moved in fit:
                pack, nbytes = moved.image.uuid, len(moved.image.data)
                self.catalog.rewrite(con, moved.version.number, pack=pack, nbytes=nbytes)

        add(self.committer, [image for image in made.images if image.uuid in needed], commit)
        for moved in fit:
            place = versions.index(moved.version)
            versions[place] = replace(moved.version, pack=moved.image.uuid.hex())
        return [moved.version for moved in fit]

    def _drop_strays(self, versions: list[Version]) -> None:
        """Take away packs that are broken, or stand on such, and that no version needs."""
        left = self.broken.keys() - self.incoming.staged.keys()
        strays = (self.imports.keys() | left) - self._reach(version.pack for version in versions)
        strays = {short for short in strays if left & self._reach([short.hex()])}
        if not strays:
            return
        with self.committer.transaction() as con:
            now, last = retired.epoch(self.catalog, con), self.catalog.last_number(con)
            for (key,) in con.execute("SELECT key FROM Cache").fetchall():
                if isinstance(key, bytes) and len(key) == 16 and key[:SHORT_BYTES] in strays:
                    self._put_aside(key)
                    con.execute("DELETE FROM Cache WHERE key = ?", (key,))
                    row = retired.Retired(key, now, last, time.time_ns(), retired.RETIRED)
                    retired.unlinking(self.catalog, con, row)
        finish(self.folder, sync=self.committer.sync)

    # ---- the end
    def _report(
        self, packs: list[PackInfo], rows: list[Version], moved: list[Version]
    ) -> RepairReport:
        problems: tuple[str, ...] = ()
        try:
            verify_store(self.folder, self.folder.con, None, None, 0)
        except StoreDamagedError as error:
            problems = error.problems or (str(error),)
        if not problems:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self.aside)
        return RepairReport(
            tuple(info.uuid.hex() for info in packs),
            tuple(version.id for version in rows),
            tuple(version.id for version in moved),
            problems,
            self.aside if problems and os.path.isdir(self.aside) else None,
        )
