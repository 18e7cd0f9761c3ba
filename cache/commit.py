"""How a version gets onto the disk: the order of writes, and what happens when one fails.

    pack < 32 KiB    one transaction: pack row + version row + head + reflog
    larger pack      pending row ─► file ─► fsync ─► fsync of the folder ─►
                     one transaction: - pending row + pack row + version row + head + reflog

The transaction makes the version: everything that it needs is on the disk before, and as long as
it has not happened, nobody sees anything. A crash in between leaves at most a file with a pending
row (pending.py). A write that fails takes back what it made; after a sync that failed, what is on
the disk is unknown, so the handle takes no more writes.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Final, TypeAlias

from pstructs.cache import pending
from pstructs.cache.catalog import Draft, Head
from pstructs.cache.disk import ROW_LIMIT, Columns, SyncError
from pstructs.cache.folder import Folder
from pstructs.cache.version import Version
from pstructs.errors import HeadMovedError, StoreClosedError, StoreError

__all__ = ["ANY", "AnyVersion", "Committer", "Expected"]


class AnyVersion:
    """The default of `expected`: wherever the head is."""

    def __repr__(self) -> str:
        return "ANY"


ANY: Final = AnyVersion()

#: Where a head has to be: at a version, nowhere yet (None), or anywhere.
Expected: TypeAlias = Version | AnyVersion | None


class Committer:
    """Writes versions for one handle.

    Parameters
    ----------
    folder : Folder
    sync : bool
        Whether a version is on the disk before it is acknowledged.
    """

    def __init__(self, folder: Folder, *, sync: bool) -> None:
        self.folder, self.catalog, self.sync = folder, folder.catalog, sync
        self.poison: str | None = None

    def check(self) -> None:
        """Raise after a failed sync."""
        if self.poison is not None:
            raise StoreClosedError(self.poison)

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Explain errors, and refuse further writes once a sync has failed in here."""
        try:
            with self.folder.errors:
                yield
        except StoreClosedError as error:
            self.poison = str(error)
            raise

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the write lock, for a commit without a pack."""
        with self.guard(), self.folder.transaction(sync=self.sync) as con:
            yield con

    def save(
        self, draft: Draft, image: memoryview, expected: Expected
    ) -> tuple[Version, str | bytes]:
        """Store a pack and commit the version that is its root; return where the pack is, too."""
        disk, uuid = self.folder.disk, draft.pack
        with self.guard():
            if len(image) < ROW_LIMIT:
                blob = bytes(image)
                columns = disk.write(uuid, blob, sync=False)
                return self._commit(draft, columns, expected, waits=False), blob
            with self.underway(uuid):
                columns = disk.write(uuid, image, sync=self.sync)
                version = self._commit(draft, columns, expected, waits=True)
            return version, disk.filename(uuid)[1]

    @contextlib.contextmanager
    def underway(self, uuid: bytes) -> Iterator[None]:
        """Write and commit a pack within: when that fails, its file goes."""
        with self.folder.transaction(sync=False) as con:
            pending.add(con, uuid)
        try:
            yield
        except (StoreClosedError, SyncError):
            raise  # it can't be known what is on the disk: a sweep will see
        except BaseException:
            self._take_back(uuid)
            raise

    def commit(self, draft: Draft, columns: Columns, expected: Expected) -> Version:
        """Commit a pack that was written within `underway`."""
        with self.guard():
            return self._commit(draft, columns, expected, waits=True)

    def _take_back(self, uuid: bytes) -> None:
        """Remove the file of a commit that did not happen; leave it to a sweep if that fails."""
        with contextlib.suppress(StoreError, OSError):
            with self.folder.transaction(sync=False) as con:
                # as long as this row is there, the commit has not happened
                mine = pending.drop(con, uuid)
            if mine:
                self.folder.disk.remove(self.folder.disk.filename(uuid)[0])

    def _commit(
        self, draft: Draft, columns: Columns, expected: Expected, *, waits: bool
    ) -> Version:
        """Make the version; `waits`: its pack has a pending row."""
        folder = self.folder
        with folder.transaction(sync=self.sync) as con:
            at = self.catalog.head(con, draft.head)
            if expected is not ANY:
                self.check_expected(con, draft.head, at, expected)
            if waits and not pending.drop(con, draft.pack):
                raise StoreError(
                    f"{folder.path}: this save took so long that another process took its owner "
                    "for dead; nothing was committed. Save again"
                )
            folder.insert(con, draft.pack, columns)
            return self.catalog.append(con, draft, at, "save")

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
