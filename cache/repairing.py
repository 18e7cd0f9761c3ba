"""`SnapshotStore.repair`: damaged and missing packs and version rows, taken from elsewhere.

    find what is broken ─► fetch it, into incoming/, verified ─► verify again what imports it ─►
    the damaged bytes are put aside in damaged/ ─► the sound ones take their place ─►
    verify all ─► damaged/ goes, if nothing is left to repair

A pack is known by its uuid and by the digests of the versions that name it, a version by its id,
which is the digest of what it says: so it does not matter who gives them. What a pack's importers
say of it is checked against the new bytes before these take any place. A crash in between leaves
each pack damaged or sound, and the next repair goes on.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pstructs.cache import pins, recoding
from pstructs.cache.disk import PACK_FOLDER, ROW_LIMIT, sync_file, sync_folder
from pstructs.cache.folder import SHORT_BYTES
from pstructs.cache.portable import check_id
from pstructs.cache.receiving import Incoming
from pstructs.cache.sources import PackInfo, Source, plan
from pstructs.cache.verify import verify_store
from pstructs.cache.version import Version
from pstructs.errors import PackError, StoreDamagedError, StoreError

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
    problems : tuple of str
        What is still damaged, as `verify` tells it; empty when the store is whole.
    aside : str or None
        The folder that the damaged originals are in; None when the store is whole.
    """

    packs: tuple[str, ...]
    versions: tuple[str, ...]
    problems: tuple[str, ...]
    aside: str | None


def repair(committer: Committer, source: Source) -> RepairReport:
    """Repair a store from `source`; see `SnapshotStore.repair`."""
    committer.check()
    incoming = Incoming(committer.folder, source.name)
    with committer.guard(), incoming.held():
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
        numbered = [(version.number, version) for version in self._sound_versions()] + rows
        versions = [version for number, version in numbered if number not in gone]
        self._check(versions)
        packs = self._fetch(versions)
        strays = self._strays(versions)
        if packs or rows or strays:
            os.makedirs(self.aside, exist_ok=True)
        for info in packs:
            self._replace(info)
        with self.committer.transaction() as con:
            for info in packs:
                con.execute("DELETE FROM Cache WHERE key = ?", (info.uuid,))
                self._insert(con, info)
                if info.nbytes >= ROW_LIMIT:  # a compressed one is to go
                    recoding.claim(con, info.uuid)
            for key in strays:
                self._put_aside(key)
                con.execute("DELETE FROM Cache WHERE key = ?", (key,))
            for number, version in rows:
                con.execute("DELETE FROM pstructs_version WHERE number = ?", (number,))
                self.catalog.receive(con, version, number)
        for info in packs:
            recoding.settle(self.folder, info.uuid)
        self.folder.forget()
        return self._report(packs, [version for _, version in rows])

    # ---- versions
    def _sound_versions(self) -> list[Version]:
        con = self.folder.con
        found = (self.catalog.by_number(con, n) for n in sound_numbers(self.catalog, con))
        return [version for version in found if version is not None]

    def _rows(self) -> list[tuple[int, Version]]:
        """Return the versions that have to be written anew, with their numbers."""
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
        found: list[tuple[int, Version]] = []
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
                found.append((number, told.pop(best.id)))
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

    def _strays(self, versions: list[Version]) -> list[bytes]:
        """Return the keys of broken packs that nothing leads to: the key is what is damaged."""
        needed = {bytes.fromhex(version.pack)[:SHORT_BYTES] for version in versions}
        needed.update(one for imports in self.imports.values() for one in imports)
        keys = self.folder.con.execute("SELECT key FROM Cache").fetchall()
        strays = self.broken.keys() - needed - self.incoming.staged.keys()
        return [key for (key,) in keys if isinstance(key, bytes) and key[:SHORT_BYTES] in strays]

    def _replace(self, info: PackInfo) -> None:
        """Put the damaged bytes aside, and a file in the place of a damaged file."""
        self._put_aside(info.uuid)
        if info.nbytes < ROW_LIMIT:
            return
        staged = self.incoming.file(info.uuid)
        if self.committer.sync:
            sync_file(staged)
        os.replace(staged, self.folder.disk.filename(info.uuid)[1])
        if self.committer.sync:
            sync_folder(os.path.join(self.folder.path, PACK_FOLDER))

    def _put_aside(self, uuid: bytes) -> None:
        place = os.path.join(self.aside, f"{uuid.hex()}.{secrets.token_hex(4)}")
        for path in self.folder.disk.forms(uuid).values():
            if os.path.exists(path):
                os.link(path, place + os.path.splitext(path)[1])
        for (value,) in self.folder.con.execute(
            "SELECT value FROM Cache WHERE key = ? AND value IS NOT NULL", (uuid,)
        ).fetchall():
            with open(f"{place}.row", "wb") as out:
                out.write(value if isinstance(value, bytes) else str(value).encode())

    def _insert(self, con: sqlite3.Connection, info: PackInfo) -> None:
        disk = self.folder.disk
        if info.nbytes >= ROW_LIMIT:
            self.folder.insert(con, info.uuid, disk.columns_of_file(info.uuid, info.nbytes))
            return
        with open(self.incoming.file(info.uuid), "rb") as file:
            self.folder.insert(con, info.uuid, disk.write(info.uuid, file.read(), sync=False))

    # ---- the end
    def _report(self, packs: list[PackInfo], versions: list[Version]) -> RepairReport:
        problems: tuple[str, ...] = ()
        try:
            verify_store(self.folder, self.folder.con, None, None, 0)
        except StoreDamagedError as error:
            problems = error.problems or (str(error),)
        if not problems and os.path.isdir(self.aside):
            shutil.rmtree(self.aside)
        return RepairReport(
            tuple(info.uuid.hex() for info in packs),
            tuple(version.id for version in versions),
            problems,
            self.aside if os.path.isdir(self.aside) else None,
        )
