"""`Reading`: the methods of a store that find versions and read their values."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from pstructs.cache.archive import archived, read_archived
from pstructs.cache.opened import OpenStore
from pstructs.cache.pins import check_value
from pstructs.cache.refs import snapshot
from pstructs.cache.version import Version, VersionName
from pstructs.cache.versions import Versions
from pstructs.errors import PackError, StoreDamagedError

if TYPE_CHECKING:
    import sqlite3

    from pstructs import Diff

__all__ = ["Reading"]


class Reading(OpenStore):
    """Finds versions and reads their values."""

    def version(self, name: VersionName = "main") -> Version:
        """Return the version that `name` means: a number, an id's beginning, a head, a tag,
        `main~3`.

        Raises
        ------
        MissingVersionError
            When there is none; the message says what there is.
        """
        with self._folder.errors:
            return self._catalog.find(self._con(), name)

    def load(self, version: VersionName = "main") -> Any:
        """Return the value of a version, read in place from its pack.

        Parameters
        ----------
        version : Version, int or str
            A version, its number, its id or the first digits of it (4 or more), a head, a tag,
            or steps back from one of these, as in `"main~3"`. A text of up to 7 decimal digits is
            a number; a head's or tag's name goes before an id.

        Raises
        ------
        MissingVersionError
            When there is none; the message says what there is.
        ExpiredVersionError
            When there was one, and its value was given up (`expire`).
        ArchivedVersionError
            When its value is in an archive that is not attached (`attach_archive`).
        StoreDamagedError
            When its row or pack is damaged. Nodes are checked when they are first read, so
            later reads of the value can raise `DamagedPackError`.

        Notes
        -----
        *Cost*: O(1).

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     for n in (1, 2, 3):
        ...         _ = store.save(pstructs.m(n=n))
        ...     store.load("main~2")["n"], store.load(2)["n"]
        (1, 2)
        """
        with self._one_state():  # else a head could move on, and where it was expire
            return self._value(self.version(version))

    def _load(self, found: Version) -> Any:
        """Return the value of a version that was looked up before: its packs may have moved."""
        self._con()
        with self._folder.using():
            return self._value(self.version(found))

    @contextlib.contextmanager
    def _one_state(self) -> Iterator[sqlite3.Connection]:
        """See one state of the catalog, and keep all that it leads to, till the end.

        The lease comes first: a collector that does not see it has retired its packs before.
        """
        con = self._con()
        with self._folder.using(), snapshot(con):
            yield con

    def _value(self, found: Version) -> Any:
        """Return the value of a version whose row was read under the lease that is held."""
        con = self._con()
        if (where := archived(self._folder, con, found)) is not None:
            return read_archived(self._folder, found, where)
        check_value(self._catalog, con, found)
        try:
            with self._folder.errors:
                pack = self._folder.open_pack(bytes.fromhex(found.pack))
                if pack.root_digest.hex() != found.root:
                    raise StoreDamagedError(
                        f"the pack has the root {pack.root_digest.hex()}, not {found.root}"
                    )
                return pack.root()
        except (PackError, StoreDamagedError) as error:
            raise StoreDamagedError(
                f"{self.path}: {found} can't be read: {error}. Run verify() to see how far the "
                "damage goes, and restore the store from a copy"
            ) from error

    def log(self, head: VersionName = "main", limit: int | None = None) -> list[Version]:
        """Return the history of a head or version, the newest first.

        Parameters
        ----------
        head : Version, int or str
            Where to start; see `load`.
        limit : int, optional
            How many versions to return at most.

        Returns
        -------
        list of Version
            Empty for `"main"` in a store without versions.

        Notes
        -----
        *Cost*: O(versions returned).
        """
        if limit is not None and limit < 0:
            raise ValueError(f"limit is a number of versions, got {limit}")
        with self._reading() as con:
            if head == "main" and not self._catalog.last_number(con) and not self.heads():
                return []
            start = self._catalog.find(con, head)
            found: list[Version] = []
            todo, seen = [(-start.number, start)], {start.id}
            while todo and (limit is None or len(found) < limit):
                version = heapq.heappop(todo)[1]
                found.append(version)
                for which, parent in enumerate(version.parents):
                    if parent not in seen:
                        seen.add(parent)
                        before = self._catalog.parent(con, version, which)
                        heapq.heappush(todo, (-before.number, before))
            return found

    def heads(self) -> dict[str, Version]:
        """Return all heads and the versions that they are at, by name."""
        with self._reading() as con:
            catalog = self._catalog
            return {head.name: catalog.find(con, head.name) for head in catalog.heads(con)}

    @property
    def versions(self) -> Versions:
        """All versions of the store as a sequence, the oldest first."""
        self._con()
        return Versions(self._folder)

    def diff(self, a: VersionName, b: VersionName) -> Diff[Any, Any]:
        """Return what changed from version `a` to version `b`: `pstructs.diff` of their values.

        Notes
        -----
        *Cost*: O(changes · log n): what both versions share is skipped.
        """
        from pstructs import diff

        # what a version holds is known to its user only: no overload of diff fits better than any
        with self._one_state() as con:
            sides = (self._value(self._catalog.find(con, name)) for name in (a, b))
            return cast("Diff[Any, Any]", diff(*sides))
