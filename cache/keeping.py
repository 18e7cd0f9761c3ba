"""`Keeping`: the methods of a store that decide what stays, and give back space."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pstructs.cache import pins
from pstructs.cache.archive import archive, attach
from pstructs.cache.collecting import CollectReport, collect
from pstructs.cache.compacting import CompactReport, compact
from pstructs.cache.erasing import EraseReport, erase
from pstructs.cache.expiring import ExpireReport, expire, plan
from pstructs.cache.opened import OpenStore
from pstructs.cache.pins import Kind, Mark
from pstructs.cache.report import StoreReport, make_report
from pstructs.cache.retention import Policy
from pstructs.cache.version import Version, VersionName
from pstructs.errors import MissingVersionError

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Keeping"]


class Keeping(OpenStore):
    """Lets versions expire, pins and holds them, and collects what is left over."""

    # ---- expiry
    def expire(
        self,
        policy: Policy,
        dry_run: bool = False,
        head: str | None = None,
        now: int | None = None,
    ) -> ExpireReport:
        """Give up the values of all versions that `policy` does not keep.

        The versions stay in the log, and loading one raises `ExpiredVersionError`. Heads, tags,
        pins and holds always stay. Space is given back by `gc`.

        Parameters
        ----------
        policy : Policy
            What stays; see `pstructs.cache.retention.keep`. It judges the versions that were
            saved to each head by themselves.
        dry_run : bool
            True only says what would expire.
        head : str, optional
            Judge only versions that were saved to this head.
        now : int, optional
            The present in nanoseconds since 1970, for policies by age; by default the clock's.

        Returns
        -------
        ExpireReport

        Raises
        ------
        MissingVersionError
            When there is no such head.
        StoreFullError, StoreClosedError

        Notes
        -----
        *Cost*: O(versions).

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> from pstructs.cache.retention import keep
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     for n in range(5):
        ...         _ = store.save(pstructs.m(n=n))
        ...     _ = store.pin(1, "the first one")
        ...     report = store.expire(keep(last=2))
        ...     [version.number for version in report.expired], report.kept[1]
        ([2, 3], "pinned as 'the first one'")
        """
        self._writable()
        if not isinstance(policy, Policy):
            raise TypeError(
                f"policy is a Policy, as keep(last=10) makes one, got {type(policy).__name__}"
            )
        if dry_run:
            with self._snapshot() as con:
                if head is not None:
                    self._catalog.existing_head(con, head)
                return plan(self._folder, con, policy, head, now)
        with self._committer.transaction() as con:
            if head is not None:
                self._catalog.existing_head(con, head)
            return expire(self._folder, con, policy, head, now)

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """One state of the catalog, for several statements that only read."""
        with self._reading() as con:
            con.execute("BEGIN")
            try:
                yield con
            finally:
                con.execute("ROLLBACK")

    # ---- pins and holds
    def pin(self, version: VersionName, name: str) -> Version:
        """Keep a version from expiring until `unpin`; return it.

        Parameters
        ----------
        version : Version, int or str
        name : str
            What it is kept for; a version can have any number of pins.

        Raises
        ------
        MissingVersionError, ExpiredVersionError
            When there is no such version, or its value was given up.

        Notes
        -----
        *Cost*: O(1).
        """
        return self._mark(version, "pin", name)

    def unpin(self, version: VersionName, name: str) -> Version:
        """Take a pin away; return the version.

        Raises
        ------
        MissingVersionError
            When there is no such version or pin.
        """
        return self._unmark(version, "pin", name)

    def hold(self, version: VersionName, name: str) -> Version:
        """Put a version under a legal hold; return it.

        Until `release_hold` it neither expires, nor can anything be erased from it.

        Parameters
        ----------
        version : Version, int or str
        name : str
            What it is held for; a version can be under several holds.

        Raises
        ------
        MissingVersionError, ExpiredVersionError
            When there is no such version, or its value was given up.

        Notes
        -----
        *Cost*: O(1).
        """
        return self._mark(version, "hold", name)

    def release_hold(self, version: VersionName, name: str) -> Version:
        """Release a legal hold; return the version.

        Raises
        ------
        MissingVersionError
            When there is no such version or hold.
        """
        return self._unmark(version, "hold", name)

    @property
    def pins(self) -> list[Mark]:
        """All pins and holds, by version."""
        with self._folder.errors:
            return pins.marks(self._catalog, self._con())

    def _mark(self, name: VersionName, kind: Kind, label: str) -> Version:
        self._writable()
        _check_label(label)
        with self._committer.transaction() as con:
            version = self._catalog.find(con, name)
            pins.check_value(self._catalog, con, version)
            pins.add_mark(self._catalog, con, version.number, kind, label)
        return version

    def _unmark(self, name: VersionName, kind: Kind, label: str) -> Version:
        self._writable()
        _check_label(label)
        with self._committer.transaction() as con:
            version = self._catalog.find(con, name)
            if not pins.drop_mark(con, version.number, kind, label):
                there = [str(m) for m in pins.marks(self._catalog, con) if m[0] == version.number]
                raise MissingVersionError(
                    f"{self.path}: {version} has no {kind} {label!r}; it is "
                    f"{', '.join(there) or 'neither pinned nor held'}"
                )
        return version

    # ---- collection
    def gc(self, grace: int = 0) -> CollectReport:
        """Give back the space of packs that no version needs any more.

        Such a pack is retired first, and removed when `grace` more versions were saved and
        when no process has the store open that may need it, be it now or in a later call of
        `gc`. Nobody waits for anybody: readers and writers go on meanwhile.

        Parameters
        ----------
        grace : int
            How many versions have to be saved after a pack was retired before it is removed.
            Readers are safe with 0; more gives time to programs that copy the folder meanwhile.

        Returns
        -------
        CollectReport

        Raises
        ------
        StoreDamagedError
            When anything is damaged that tells what is needed; then nothing was collected.
        StoreFullError, StoreClosedError

        Notes
        -----
        *Cost*: O(packs + versions), most of it while others go on writing.

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> from pstructs.cache.retention import keep
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     _ = store.save(pstructs.m(a=1))
        ...     _ = store.save(pstructs.m(b=2))
        ...     _ = store.expire(keep(last=1))
        ...     store.gc().removed
        1
        """
        self._writable()
        if isinstance(grace, bool) or not isinstance(grace, int):
            raise TypeError(f"grace is a number of versions, got {type(grace).__name__}")
        if grace < 0:
            raise ValueError(f"grace is a number of versions, got {grace}")
        return collect(self._folder, self._committer, grace)

    def compact(self, keep_above: int | None = None) -> CompactReport:
        """Rewrite the packs of all versions into one, with a tiny one a version on top.

        A history that was saved change by change lies in as many packs, and one that is needed
        keeps all that it points into. Compacting leaves behind what no version reaches, and keeps
        what versions share. Versions keep their numbers and ids; `gc` gives the space back.

        Parameters
        ----------
        keep_above : int, optional
            Packs of at least so many bytes, and what they point into, stay as they are: for
            stores whose values are larger than memory. By default all are rewritten.

        Returns
        -------
        CompactReport

        Raises
        ------
        StoreDamagedError
            When a value can't be read; nothing was changed.
        StoreFullError, StoreClosedError

        Notes
        -----
        *Cost*: O(bytes of all versions), and as much memory as the new packs take; others can go
        on reading and saving. The next save of a value that was loaded before is a whole one.

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     value = pstructs.pmap({n: n for n in range(1000)})
        ...     for n in range(100):
        ...         value = value.set(n, "new")
        ...         _ = store.save(value)
        ...     report = store.compact()
        ...     report.nbytes_after < report.nbytes_before, store.load(1)[0], store.load(1)[1]
        (True, 'new', 1)
        """
        self._writable()
        if keep_above is not None and (
            isinstance(keep_above, bool) or not isinstance(keep_above, int)
        ):
            kind = type(keep_above).__name__
            raise TypeError(f"keep_above is a number of bytes or None, got {kind}")
        if keep_above is not None and keep_above < 0:
            raise ValueError(f"keep_above is a number of bytes, got {keep_above}")
        return compact(self._folder, self._committer, keep_above)

    # ---- archives
    def archive(self, versions: Iterable[VersionName], path: str | os.PathLike[str]) -> int:
        """Move the values of versions into one new file; return how many versions that were.

        The versions stay in the log. `load` reads them again once the file is attached; the file
        can lie anywhere, and needs nothing of the store. Space is given back by `gc`.

        Parameters
        ----------
        versions : iterable of Version, int or str
            As `expire(policy, dry_run=True).expired` gives them. Versions at heads, with tags,
            pins or holds have to stay.
        path : str or os.PathLike
            A file that does not exist yet; or this very archive, from a call that was killed.

        Raises
        ------
        HeldVersionError
            When one of the versions has to stay.
        ExpiredVersionError, MissingVersionError
            When one of them is not there.
        StorePathError
            When the file can't be made, or is there already.

        Notes
        -----
        *Cost*: O(bytes of the values), and as much memory.

        Examples
        --------
        >>> import os, tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     cold = os.path.join(folder, "2025.pack")
        ...     with SnapshotStore(os.path.join(folder, "store")) as store:
        ...         for n in range(3):
        ...             _ = store.save(pstructs.m(n=n))
        ...         store.archive([1, 2], cold), store.attach_archive(cold), store.load(1)["n"]
        (2, 2, 0)
        """
        self._writable()
        with self._folder.errors:
            found = {
                version.number: version
                for version in (self._catalog.find(self._con(), name) for name in versions)
            }
        if not found:
            raise ValueError("nothing to archive: give at least one version")
        full = os.path.abspath(os.fsdecode(path))
        archive(self._folder, self._committer, [found[n] for n in sorted(found)], full)
        return len(found)

    def attach_archive(self, path: str | os.PathLike[str], trusted: bool = True) -> int:
        """Let `load` read the versions that are in an archive; return how many it holds.

        It stays attached for all handles of this process on the store.

        Parameters
        ----------
        path : str or os.PathLike
        trusted : bool
            True maps the file, and checks what is read. False, for files that come from
            elsewhere, reads it into memory and verifies it whole first.

        Raises
        ------
        StorePathError
            When there is no such file, or it is no archive.
        PackError
            When it is damaged.

        Notes
        -----
        *Cost*: O(1) trusted, O(bytes) otherwise.
        """
        self._con()
        return attach(self._folder, os.path.abspath(os.fsdecode(path)), trusted)

    # ---- erasing
    def erase(self, path: object) -> EraseReport:
        """Take a key out of all versions, and its bytes out of all files of the store.

        Every version is written anew without it, so ids change from the first version that
        held it on; numbers, times, messages, heads and tags stay, and old ids lead to the same
        versions. What is left of the old packs is removed, also of versions that expired before.

        Parameters
        ----------
        path : object
            A key of the value of every version; or a list of keys, each within what is at the
            one before, as in `["users", "ann"]`. The last one is a key of a map or dict, or
            a member of a set. Versions without it stay as they are.

        Returns
        -------
        EraseReport
            With the proof: the bytes of what was erased are looked for in all files.

        Raises
        ------
        HeldVersionError
            When a version that holds it is under a legal hold; nothing was changed.
        StoreBusyError
            When another process has the store open, or this one holds values of it; the message
            names them and says whether anything was changed.
        TypeError
            When the path leads to an element of a list or vector.
        StoreDamagedError, StoreFullError, StoreClosedError

        Notes
        -----
        *Cost*: O(bytes of the store), and as much memory as all versions take.

        It is gone from the files. Blocks that the filesystem has freed, its snapshots, backups,
        messages and metadata of versions, and archives are not touched.

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     first = store.save(pstructs.m(ann="12 Elm Street", bob="3 Oak Road"))
        ...     report = store.erase("ann")
        ...     report.versions, dict(report.traces), store.load(first)
        ((1,), {}, pmap({'bob': '3 Oak Road'}))
        """
        self._writable()
        keys = path if isinstance(path, list) else [path]
        if not keys:
            raise ValueError("nothing to erase: the path is empty")
        return erase(self._folder, self._committer, keys)

    # ---- space
    def report(self) -> StoreReport:
        """Say where the bytes of the store are: live, dead, retired, by version and by head.

        Returns
        -------
        StoreReport

        Raises
        ------
        StoreDamagedError
            When a pack can't be read.

        Notes
        -----
        *Cost*: O(versions · packs / 8), each step a table look-up; every pack's header is read.

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     first = store.save(pstructs.m(a=1))
        ...     second = store.save(pstructs.m(b=2))
        ...     report = store.report()
        ...     report.live == first.nbytes + second.nbytes == sum(
        ...         space.unique for space in report.versions.values())
        True
        """
        self._con()
        with self._folder.using(), self._snapshot() as con:
            return make_report(self._folder, con)


def _check_label(label: object) -> None:
    if not isinstance(label, str):
        raise TypeError(f"the name of a pin or hold is a str, got {type(label).__name__}")
    if not 1 <= len(label) <= 200 or not label.isprintable():
        raise ValueError(
            f"{label!r:.220} can't name a pin or hold: use 1 to 200 printable characters"
        )
