"""How a version gets onto the disk: the order of writes, and what happens when one fails.

    pack < 32 KiB    one transaction: pack row + version row + head + reflog
    larger pack      pending row ─► file ─► fsync ─► fsync of the folder ─►
                     one transaction: - pending row + pack row + version row + head + reflog

The transaction makes the version: everything that it needs is on the disk before, and as long as
it has not happened, nobody sees anything. A commit to several heads is one transaction, too. A
crash in between leaves at most a file with a pending row (pending.py). A write that fails takes
back what it made; after a sync that failed, what is on the disk is unknown, so no handle that is
open then takes more writes (folder.py).

With `durable="commit"` the transaction is on the disk before anyone sees it. With `"group"` it is
not: those who commit at the same time sync together afterwards (syncing.py), and each returns when
that is done.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from pstructs.cache import erased, pending
from pstructs.cache.catalog import Draft
from pstructs.cache.collecting import revive
from pstructs.cache.disk import ROW_LIMIT, Columns, SyncError
from pstructs.cache.folder import Folder
from pstructs.cache.refs import Head
from pstructs.cache.version import Version
from pstructs.errors import HeadMovedError, StoreClosedError, StoreError, WriteIdError

__all__ = [
    "ANY",
    "DURABLE",
    "AnyVersion",
    "Change",
    "CommittedBefore",
    "Committer",
    "Durable",
    "Expected",
]

#: What a save promises when it returns.
Durable: TypeAlias = Literal["commit", "group", "none"]
DURABLE: Final[tuple[Durable, ...]] = ("commit", "group", "none")


class AnyVersion:
    """The default of `expected`: wherever the head is."""

    def __repr__(self) -> str:
        return "ANY"


ANY: Final = AnyVersion()

#: Where a head has to be: at a version, nowhere yet (None), or anywhere.
Expected: TypeAlias = Version | AnyVersion | None


class Change(NamedTuple):
    """What a commit does to one head.

    Attributes
    ----------
    draft : Draft
    image : memoryview or None
        The pack that the draft names; None when the store has it, or another change brings it.
    expected : Expected
    others : tuple of Version
        Further parents.
    action : str
        What the reflog calls it.
    imports : tuple of bytes
        The packs that the image points into.
    """

    draft: Draft
    image: memoryview | None
    expected: Expected = ANY
    others: tuple[Version, ...] = ()
    action: str = "save"
    imports: tuple[bytes, ...] = ()


class CommittedBefore(Exception):
    """A retried commit: it is there already."""

    def __init__(self, versions: list[Version]) -> None:
        super().__init__()
        self.versions = versions


class Committer:
    """Writes versions for one handle.

    Parameters
    ----------
    folder : Folder
    durable : {"commit", "group", "none"}
    """

    def __init__(self, folder: Folder, durable: Durable) -> None:
        self.folder, self.catalog, self.durable = folder, folder.catalog, durable
        self._failures = folder.failures

    @property
    def sync(self) -> bool:
        """Whether what is acknowledged is on the disk."""
        return self.durable != "none"

    @property
    def poison(self) -> str | None:
        """Why there are no more writes; None while there are."""
        return None if self.folder.failures == self._failures else self.folder.failure

    def check(self) -> None:
        """Raise after a failed sync."""
        poison = self.poison
        if poison is not None:
            raise StoreClosedError(poison)

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Explain errors, and refuse further writes once a sync has failed in here."""
        try:
            with self.folder.errors:
                yield
        except StoreClosedError as error:
            if self.poison is None:
                self.folder.failed(str(error))
            raise

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the write lock; what was written is as durable as saves are when this ends."""
        with self.guard():
            with self.folder.transaction(sync=self.durable == "commit") as con:
                yield con
            if self.durable == "group":
                self.folder.group.wait()
            self.check()  # a sync of another thread may have failed: of what this one stands on

    def save(self, changes: Sequence[Change]) -> tuple[list[Version], dict[bytes, str | bytes]]:
        """Store packs and commit the versions that are their roots, all or none.

        Returns
        -------
        list of Version
            One for each change.
        dict
            Where each pack is that was stored; empty when the commit had been made before.

        Raises
        ------
        RetiredPackError
            When a pack points into one that was retired meanwhile; nothing was committed.
        """
        disk = self.folder.disk
        images = {
            change.draft.pack: change.image for change in changes if change.image is not None
        }
        files = [uuid for uuid, image in images.items() if len(image) >= ROW_LIMIT]
        with self.guard():
            try:
                with self.underway(files):
                    rows, places = {}, dict[bytes, str | bytes]()
                    for uuid, image in images.items():
                        if uuid in files:
                            rows[uuid] = disk.write(uuid, image, sync=self.sync)
                            places[uuid] = disk.filename(uuid)[1]
                        else:
                            places[uuid] = blob = bytes(image)
                            rows[uuid] = disk.write(uuid, blob, sync=False)
                    return self._commit(changes, rows, files), places
            except CommittedBefore as error:
                return self.before(error), {}

    def before(self, error: CommittedBefore) -> list[Version]:
        """Return the versions that were committed before, as durable as they would be now."""
        if self.sync:  # who made them may be waiting for that still
            self.folder.group.wait()
        return error.versions

    @contextlib.contextmanager
    def underway(self, files: Sequence[bytes]) -> Iterator[None]:
        """Write packs into files within, and commit them: if that does not happen, they go."""
        if files:
            with self.guard(), self.folder.transaction(sync=False) as con:
                for uuid in files:
                    pending.add(con, uuid)
        try:
            yield
        except (StoreClosedError, SyncError):
            raise  # it can't be known what is on the disk: a sweep will see
        except BaseException:
            for uuid in files:
                self.take_back(uuid)
            raise

    def commit(self, change: Change, columns: Columns, erasures: int) -> Version:
        """Commit a pack that was written within `underway`.

        Packs that it points into and that were retired meanwhile are needed again. So the caller
        holds a lease since before it looked at them (`Folder.holding`), which keeps their bytes.

        Parameters
        ----------
        erasures : int
            `erased.count` of that time. What was erased since then is not needed again.

        Raises
        ------
        CommittedBefore
            When there is a commit with this write id; `underway` takes the pack back.
        RetiredPackError
            When the pack points into one that was retired because something was erased.
        """
        uuid = change.draft.pack
        with self.guard():
            return self._commit([change], {uuid: columns}, [uuid], erasures)[0]

    def take_back(self, uuid: bytes) -> None:
        """Remove the file of a commit that did not happen; leave it to a sweep if that fails."""
        with contextlib.suppress(StoreError, OSError):
            with self.folder.transaction(sync=False) as con:
                # as long as this row is there, the commit has not happened
                mine = pending.drop(con, uuid)
            if mine:
                self.folder.disk.remove(self.folder.disk.filename(uuid)[0])

    def _commit(
        self,
        changes: Sequence[Change],
        rows: dict[bytes, Columns],
        files: list[bytes],
        erasures: int = -1,
    ) -> list[Version]:
        """Make the versions; the packs that are `files` have pending rows.

        erasures: as in `commit`; -1 where no lease is held.
        """
        folder = self.folder
        with self.transaction() as con:
            if done := self.committed(con, changes):
                raise CommittedBefore(done)
            at = {
                change.draft.head: self.catalog.head(con, change.draft.head) for change in changes
            }
            for change in changes:
                if erasures == erased.count(con):
                    revive(folder, con, change.imports)
                else:
                    folder.retired.check_imports(con, change.imports)
                head = change.draft.head
                if change.expected is not ANY:
                    self.check_expected(con, head, at[head], change.expected)
            for uuid in files:
                if not pending.drop(con, uuid):
                    raise StoreError(
                        f"{folder.path}: this save took so long that another process took its "
                        "owner for dead; nothing was committed. Save again"
                    )
            for uuid, columns in rows.items():
                folder.insert(con, uuid, columns)
            return [
                self.catalog.append(con, c.draft, at[c.draft.head], c.action, c.others)
                for c in changes
            ]

    def committed(self, con: sqlite3.Connection, changes: Sequence[Change]) -> list[Version]:
        """Return the versions of this commit when it was made before, by its write id.

        Raises
        ------
        WriteIdError
            When the write id was given to another commit.
        """
        write_id = changes[0].draft.write_id
        if write_id is None:
            return []
        made = {v.head: v for v in self.catalog.by_write_id(con, write_id)}
        wanted = {change.draft.head: change.draft.root.hex() for change in changes}
        if made and {head: version.root for head, version in made.items()} != wanted:
            raise WriteIdError(
                f"{self.folder.path}: the write id {write_id!r} was given to "
                f"{', '.join(map(str, made.values()))} with another value or head; nothing was "
                "saved. Give each commit a write id of its own, and the same one only to try the "
                "same commit again"
            )
        return [made[head] for head in wanted] if made else []

    def check_expected(
        self, con: sqlite3.Connection, name: str, at: Head | None, expected: Expected
    ) -> None:
        """Raise HeadMovedError unless the head `name`, which is at `at`, is where it should be."""
        if isinstance(expected, AnyVersion) or (at is None and expected is None):
            return
        if at is not None and expected is not None and at.id.hex() == expected.id:
            return
        actual = None if at is None else self.catalog.by_number(con, at.number)
        now = "does not exist" if actual is None else f"is at {actual}"
        was = "not to exist" if expected is None else f"at {expected}"
        raise HeadMovedError(
            f"{self.folder.path}: the head {name!r} {now}, expected {was}; nothing was saved. "
            "Load the head, bring your changes into it (pstructs.merge), and save that",
            expected,
            actual,
        )
