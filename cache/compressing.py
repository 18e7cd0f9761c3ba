"""`Compressing`: packs that only old versions need become compressed files, and back."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from pstructs.cache.collecting import Graph, kept_versions
from pstructs.cache.opened import OpenStore, Progress
from pstructs.cache.recoding import recode, settle
from pstructs.cache.squeezed import zstandard
from pstructs.cache.version import Version, VersionName

if TYPE_CHECKING:
    from pstructs.cache.folder import Folder

__all__ = ["CompressReport", "Compressing"]


@dataclass(frozen=True, slots=True)
class CompressReport:
    """What `compress` or `decompress` did.

    Attributes
    ----------
    packs : int
        How many packs were rewritten.
    left : int
        How many were looked at and stay: small ones, which lie in the catalog, those that would
        not get smaller, and those that have the form already.
    nbytes_before, nbytes_after : int
        The bytes of the files of those that were rewritten.
    """

    packs: int
    left: int
    nbytes_before: int
    nbytes_after: int


def _cold(
    folder: Folder, con: sqlite3.Connection, is_old: Callable[[Version], bool]
) -> list[bytes]:
    """Return the packs that only old versions which no head is at need."""
    graph = Graph(folder)
    heads = {head.number for head in folder.catalog.heads(con)}
    old, rest = set[bytes](), set[bytes]()
    for version in kept_versions(folder, con):
        cold = version.number not in heads and is_old(version)
        (old if cold else rest).add(bytes.fromhex(version.pack))
    return sorted(graph.reach(old) - graph.reach(rest))


class Compressing(OpenStore):
    """Compresses packs that are seldom read."""

    def compress(
        self,
        older_than: timedelta | VersionName | None = None,
        level: int = 3,
        progress: Progress | None = None,
    ) -> CompressReport:
        """Compress the packs that only old versions need, with zstandard.

        All versions stay as they are, and everything works on them. Opening a compressed pack
        expands it into memory, whole; packs that heads need are left alone.

        Parameters
        ----------
        older_than : timedelta, Version, int or str, optional
            Versions saved longer ago than this, or before this version, are old. By default all
            are that no head is at.
        level : int
            Of zstandard, from 1 (fast) to 22 (small).
        progress : callable, optional
            Called with the packs that were looked at and the packs that there are to look at.

        Returns
        -------
        CompressReport

        Raises
        ------
        ModuleNotFoundError
            When the extra `compress` is not installed. Who reads the store needs it as well.
        MissingVersionError
            When there is no such version.
        StoreDamagedError
            When a pack is damaged. Packs that were compressed before it was found stay so.
        StoreFullError, StoreClosedError

        Notes
        -----
        *Cost*: O(bytes of the packs), and as much memory as the largest one; others can go on
        reading and saving. An increment points into the packs before it, so a head may need old
        packs, too: `compact` or whole saves part them.

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     first = store.save(pstructs.pmap({n: n for n in range(10_000)}))
        ...     second = store.save(pstructs.pmap({n: -n for n in range(10_000)}))
        ...     report = store.compress()
        ...     report.packs, report.nbytes_after < report.nbytes_before, store.load(first)[7]
        (1, True, 7)
        """
        self._writable()
        if isinstance(level, bool) or not isinstance(level, int):
            raise TypeError(f"level is a number from 1 to 22, got {type(level).__name__}")
        if not 1 <= level <= 22:
            raise ValueError(f"level is a number from 1 to 22, got {level}")
        if isinstance(older_than, timedelta) and older_than < timedelta():
            raise ValueError(f"older_than is a span of time from 0 up, got {older_than}")
        zstandard()
        with self._folder.using(), self._committer.guard():
            con = self._folder.con
            packs = _cold(self._folder, con, self._judge(con, older_than))
            return self._recode(packs, level, progress)

    def decompress(self, progress: Progress | None = None) -> CompressReport:
        """Expand all compressed packs again: the reverse of `compress`.

        Parameters
        ----------
        progress : callable, optional
            Called with the packs that were looked at and the packs that there are to look at.

        Returns
        -------
        CompressReport

        Raises
        ------
        ModuleNotFoundError
            When the extra `compress` is not installed.
        StoreDamagedError, StoreFullError, StoreClosedError

        Notes
        -----
        *Cost*: O(bytes of the packs), and as much memory as the largest one.

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     first = store.save(pstructs.pmap({n: n for n in range(10_000)}))
        ...     second = store.save(pstructs.pmap({n: -n for n in range(10_000)}))
        ...     store.compress().packs, store.decompress().packs
        (1, 1)
        """
        self._writable()
        with self._folder.using(), self._committer.guard():
            return self._recode(self._folder.squeezed(), None, progress)

    def _judge(
        self, con: sqlite3.Connection, older_than: timedelta | VersionName | None
    ) -> Callable[[Version], bool]:
        if older_than is None:
            return lambda version: True
        if isinstance(older_than, timedelta):
            moment = time.time_ns() - older_than // timedelta(microseconds=1) * 1000
            return lambda version: version.time < moment
        number = self._catalog.find(con, older_than).number
        return lambda version: version.number < number

    def _recode(
        self, packs: list[bytes], level: int | None, progress: Progress | None
    ) -> CompressReport:
        settle(self._folder)  # what could not be taken back when it failed
        done = []
        for count, pack in enumerate(packs, 1):
            sizes = recode(self._committer, pack, level)
            if sizes is not None:
                done.append(sizes)
            if progress is not None:
                progress(count, len(packs))
        return CompressReport(
            len(done),
            len(packs) - len(done),
            sum(before for before, _ in done),
            sum(after for _, after in done),
        )
