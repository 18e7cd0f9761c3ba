"""`SnapshotStore.verify`: reads everything, and tells what is damaged and what that reaches.

Three passes. The catalog: SQLite's own check of its pages, then every row against its checksum,
its neighbours and the reflog. The packs: every byte, through a fresh `Pack` that has not been
checked before. The reach: from every version's pack along the imports, so that a version is named
when anything it stands on is damaged.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pstructs.cache import archive, pins, retired
from pstructs.cache.disk import PACK_FOLDER
from pstructs.cache.refs import TAG
from pstructs.cache.version import Version, VersionName
from pstructs.errors import PackError, StoreDamagedError, StoreError

if TYPE_CHECKING:
    from pstructs.cache.folder import Folder
    from pstructs.cache.opened import Progress

SHORT_BYTES = 8

__all__ = ["VerifyReport", "verify_store"]

NAMED = 8  # problems and versions that a message spells out


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `verify` checked. (Damage is not in here: it is raised.)

    Attributes
    ----------
    versions, packs, records : int
        How many of each were checked.
    nbytes : int
        Bytes in these packs.
    swept : int
        Packs left behind by crashed processes that were removed, now or when the store was
        opened.
    unlisted : tuple of str
        Files in the folder of packs that the store knows nothing of. They do no harm, and are
        left alone: a power cut can leave one, and so can a person.
    """

    versions: int
    packs: int
    records: int
    nbytes: int
    swept: int
    unlisted: tuple[str, ...]


class _Check:
    """One run of `verify`: what was found so far."""

    def __init__(self, folder: Folder, con: sqlite3.Connection) -> None:
        self.folder, self.con, self.catalog = folder, con, folder.catalog
        self.problems: list[str] = []
        self.sound: dict[bytes, tuple[str, tuple[bytes, ...]]] = {}  # short id: root, imports
        self.broken: set[bytes] = set()
        self.journal: set[bytes] = set()  # retired packs
        self.records = self.nbytes = 0

    # ---- the catalog
    def database(self) -> None:
        for (text,) in self.con.execute("PRAGMA integrity_check").fetchall():
            if text != "ok":
                self.problems.append(f"catalog: {text}")

    def versions(self) -> list[Version]:
        found: list[Version] = []
        for (number,) in self.con.execute(
            "SELECT number FROM pstructs_version ORDER BY number"
        ).fetchall():
            try:
                version = self.catalog.by_number(self.con, number)
                if version is None:
                    self.catalog.damaged(f"version {number} can't be looked up")
                self.catalog.check_id(version)
                for which in range(len(version.parents)):
                    before = self.catalog.parent(self.con, version, which)
                    if before.number >= version.number or before.time >= version.time:
                        self.catalog.damaged(f"{version} is older than its parent")
                found.append(version)
            except (StoreError, sqlite3.Error) as error:
                self.problems.append(str(error))
        return found

    def with_values(self, versions: list[Version]) -> list[Version]:
        """Return those whose values have not expired; check what says so."""
        try:
            gone = pins.expired(self.catalog, self.con)
            pins.marks(self.catalog, self.con)
            archive.archives_of(self.folder, self.con)
            self.journal = {row.pack for row in retired.retired(self.catalog, self.con)}
        except (StoreError, sqlite3.Error) as error:
            self.problems.append(str(error))
            return versions
        if strange := gone.keys() - {version.number for version in versions}:
            self.problems.append(f"version {min(strange)} is said to have expired and is missing")
        return [version for version in versions if version.number not in gone]

    def names(self) -> None:
        """Check heads and tags: each is where its reflog ends, and at a version that is there."""
        try:
            at = {head.name: head.id for head in self.catalog.heads(self.con)}
            moved = {head.name: head.moves for head in self.catalog.heads(self.con)}
            at |= {TAG + tag.name: tag.id for tag in self.catalog.tags(self.con)}
            for name in self.catalog.names_in_reflog(self.con):
                moves = self.catalog.moves(self.con, name)
                if at.get(name) != moves[-1].new or moved.get(name, len(moves)) != len(moves):
                    self.catalog.damaged(f"{name!r} is not where its reflog ends")
                if [move.old for move in moves] != [None, *(move.new for move in moves[:-1])]:
                    self.catalog.damaged(f"the reflog of {name!r} has a gap")
            for name in at:
                self.catalog.find(self.con, name.removeprefix(TAG))
        except (StoreError, sqlite3.Error) as error:
            self.problems.append(str(error))

    def keys(self) -> list[bytes]:
        """Return the uuids of all packs."""
        found = []
        for key, raw in self.con.execute("SELECT key, raw FROM Cache").fetchall():
            try:
                found.append(self.folder.disk.get(key, raw))
            except StoreError as error:
                self.problems.append(str(error))
        return found

    # ---- packs
    def packs(self, keys: list[bytes], progress: Progress | None) -> None:
        """Check these packs and all that they reach."""
        todo, known = list(dict.fromkeys(key[:SHORT_BYTES] for key in keys)), set[bytes]()
        known.update(todo)
        done = 0
        while todo:
            short = todo.pop()
            for reached in self.pack(short):
                if reached not in known:
                    known.add(reached)
                    todo.append(reached)
            done += 1
            if progress is not None:
                progress(done, len(known))

    def pack(self, short: bytes) -> tuple[bytes, ...]:
        """Check every byte of one pack; return the short ids of those that it points into."""
        try:
            found = self.folder.fetch(short)
            if found is None:
                raise StoreDamagedError("its row is missing")
            uuid, pack = found
            records = pack.verify()
            if pack.uuid != uuid:
                raise StoreDamagedError(f"it says that it is {pack.uuid.hex()}")
            self.sound[short] = (pack.root_digest.hex(), tuple(pack.imports))
            self.records += records
            self.nbytes += pack.nbytes
        except (PackError, StoreError, sqlite3.Error, OSError) as error:
            self.broken.add(short)
            self.problems.append(f"pack {short.hex()}: {error}")
        return self.sound[short][1] if short in self.sound else ()

    def roots(self, versions: list[Version]) -> None:
        """Check that versions name the roots that their packs have."""
        for version in versions:
            sound = self.sound.get(bytes.fromhex(version.pack)[:SHORT_BYTES])
            if sound is not None and sound[0] != version.root:
                self.problems.append(
                    f"{version} names the root {version.root}, and its pack has {sound[0]}"
                )

    def reach(self, version: Version) -> set[bytes]:
        """Return the short ids of all packs that a version stands on."""
        todo, seen = [bytes.fromhex(version.pack)[:SHORT_BYTES]], set[bytes]()
        while todo:
            short = todo.pop()
            if short not in seen:
                seen.add(short)
                todo.extend(self.sound[short][1] if short in self.sound else ())
        return seen

    def journaled(self, versions: list[Version]) -> None:
        """Check that no version stands on a retired pack."""
        gone = {pack[:SHORT_BYTES] for pack in self.journal}
        for version in versions if gone else ():
            if found := gone & self.reach(version):
                self.problems.append(
                    f"{version} stands on pack {min(found).hex()}, which is retired"
                )

    def blame(self, versions: list[Version]) -> None:
        """Say which versions the broken packs reach."""
        if not self.broken:
            return
        hit = [version for version in versions if self.broken & self.reach(version)]
        names = ", ".join(str(version) for version in hit[:NAMED])
        more = f" and {len(hit) - NAMED} more" if len(hit) > NAMED else ""
        self.problems.append(f"damaged packs reach {names or 'no version'}{more}")

    # ---- files
    def unlisted(self, files: set[str]) -> tuple[str, ...]:
        """Return those of the files among the packs that no row names.

        `files` is older than what this reads, and rows are there before their files.
        """
        rows = self.con.execute("SELECT filename FROM Cache WHERE filename IS NOT NULL")
        named = {os.path.basename(str(name)) for (name,) in rows.fetchall()}
        for table in ("pending", "retired", "recoding"):
            for (key,) in self.con.execute(f"SELECT pack FROM pstructs_{table}").fetchall():
                named |= {os.path.basename(name) for name in self.folder.disk.forms(key)}
        names = [f"{PACK_FOLDER}/{name}" for name in sorted(files - named)]
        # a save that failed meanwhile has taken its file back
        return tuple(name for name in names if os.path.lexists(f"{self.folder.path}/{name}"))


def verify_store(
    folder: Folder,
    con: sqlite3.Connection,
    name: VersionName | None,
    progress: Progress | None,
    swept: int,
) -> VerifyReport:
    """Check a store, or one version of it; see `SnapshotStore.verify`."""
    with folder.errors:
        check = _Check(folder, con)
        files = folder.files()
        keys: list[bytes] = []
        con.execute("BEGIN")  # one state of the catalog, whoever saves meanwhile
        try:
            unlisted = check.unlisted(files)
            if name is None:
                check.database()
                versions = check.versions()
                kept = check.with_values(versions)
                check.names()
                keys = check.keys()
            else:
                versions = [folder.catalog.find(con, name)]
                folder.catalog.check_id(versions[0])
                pins.check_value(folder.catalog, con, versions[0])
                kept = versions
        finally:
            if con.in_transaction:
                con.execute("COMMIT")
        check.packs(keys + [bytes.fromhex(version.pack) for version in kept], progress)
        check.roots(kept)
        check.journaled(kept)
        check.blame(kept)
    if check.problems:
        shown = "\n  ".join(check.problems[:NAMED])
        more = len(check.problems) - NAMED
        rest = f"\n  and {more} more (see `problems`)" if more > 0 else ""
        raise StoreDamagedError(
            f"{folder.path}: {len(check.problems)} problems:\n  {shown}{rest}\n"
            "Keep the folder as it is; restore the store, or what is damaged, from a copy",
            tuple(check.problems),
        )
    return VerifyReport(
        len(versions), len(check.sound), check.records, check.nbytes, swept, unlisted
    )
