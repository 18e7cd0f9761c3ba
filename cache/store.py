"""`SnapshotStore`: versions of persistent collections in a folder.

A save writes one pack, which holds only the nodes that no pack of the store has yet, and then one
row in the catalog (commit.py). A load finds the row, maps the pack and gives out its root; nothing
else is read until it is asked for.
"""

from __future__ import annotations

import heapq
import logging
import os
from collections.abc import Callable, Sized
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from pstructs.cache.catalog import Draft
from pstructs.cache.commit import ANY, AnyVersion, Committer, Expected
from pstructs.cache.folder import open_folder
from pstructs.cache.verify import VerifyReport, verify_store
from pstructs.cache.version import Version, VersionName, check_head_name
from pstructs.cache.versions import Versions
from pstructs.errors import (
    MissingVersionError,
    PackError,
    StoreClosedError,
    StoreDamagedError,
    StoreError,
)
from pstructs.packs import PackWriter

if TYPE_CHECKING:
    import sqlite3

    from pstructs import Diff

__all__ = ["SnapshotStore"]

_log = logging.getLogger(__name__)
_DURABLE = {"commit": True, "none": False}


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class SnapshotStore:
    """Versions of persistent collections, in a folder.

    A value is a collection, or a list, dict or other savable value with collections in it. Saving
    a value that was made from a saved or loaded one adds only what is new; loading maps a version
    and reads it in place, so both cost what changed and not what is there. Any number of threads
    and processes may use one store at the same time.

    Parameters
    ----------
    path : str or os.PathLike
        The folder; made if it does not exist. On a local filesystem.
    durable : {"commit", "none"}
        `"commit"`: a version that `save` returned survives a power cut. `"none"`: it survives
        the end of the process in any way, but a power cut can take or damage the last ones; for
        stores that can be made again.

    Raises
    ------
    StorePathError
        When the path is a file, can't be written, or holds something else.
    FutureStoreError, StoreDamagedError, StoreFullError

    Examples
    --------
    >>> import tempfile, pstructs
    >>> from pstructs.cache import SnapshotStore
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = SnapshotStore(folder.name)
    >>> ages = pstructs.m(ann=31, bob=27)
    >>> first = store.save(ages, message="two people")
    >>> second = store.save(ages.set("cid", 44), message="Cid is new")
    >>> store.load()["cid"]
    44
    >>> "cid" in store.load(first)
    False
    >>> [version.message for version in store.log()]
    ['Cid is new', 'two people']
    >>> store.close()
    >>> folder.cleanup()
    """

    def __init__(self, path: str | os.PathLike[str], durable: str = "commit") -> None:
        if durable not in _DURABLE:
            accepted = " or ".join(repr(name) for name in _DURABLE)
            raise ValueError(f"durable is {accepted}, got {durable!r}")
        self._durable = durable
        self._closed = False
        self._folder, self._swept = open_folder(path)
        self._catalog = self._folder.catalog
        self._committer = Committer(self._folder, sync=_DURABLE[durable])
        self._folder.handles += 1

    # ---- life
    @property
    def path(self) -> str:
        """The full path of the store's folder."""
        return self._folder.path

    @property
    def durable(self) -> str:
        """What a save promises: `"commit"` or `"none"`."""
        return self._durable

    def close(self) -> None:
        """Close this handle. Loaded collections stay valid; a second close does nothing."""
        if not self._closed:
            self._closed = True
            self._folder.handles -= 1
            if self._folder.handles <= 0:
                self._folder.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed " if self._closed else ""
        return f"<{state}SnapshotStore {self.path!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.path, self._durable))

    def _con(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreClosedError(f"{self.path}: this handle was closed; open the store anew")
        return self._folder.con

    def _writable(self) -> None:
        self._con()
        self._committer.check()

    # ---- save
    def save(
        self,
        value: object,
        head: str = "main",
        message: str | None = None,
        expected: VersionName | AnyVersion | None = ANY,
    ) -> Version:
        """Save `value` as a new version and move `head` to it.

        Parameters
        ----------
        value : object
            A collection, or a savable value that holds some.
        head : str
            The name to move. Its version becomes the parent of the new one; a name that is
            not there yet starts a history of its own.
        message : str, optional
            What the version is, for people.
        expected : Version, int, str or None, optional
            The version that the head has to be at, else nothing is saved: give what you
            made `value` from, so as not to overwrite what others saved in between. None: the
            head must not exist yet. By default the version is saved on top of wherever the
            head is by then.

        Returns
        -------
        Version

        Raises
        ------
        HeadMovedError
            When the head is not at `expected`.
        UnsavableKeyError, UnsavableValueError
            When something in `value` can't be saved.
        StoreFullError
            When there is no space; nothing was committed, and saves go on once there is some.
        StoreClosedError
            When the handle was closed, or a sync failed.

        Notes
        -----
        *Cost*: O(changes · log n) after a save or load of a related value, O(n) for a new one.

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     first = store.save(pstructs.m(a=1))
        ...     second = store.save(pstructs.m(a=2), expected=first)
        ...     store.save(pstructs.m(a=3), expected=first)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        pstructs.errors.HeadMovedError: ...
        """
        self._writable()
        check_head_name(head)
        if message is not None and not isinstance(message, str):
            raise TypeError(f"a message is a str or None, got {type(message).__name__}")
        if message is not None and not _is_utf8(message):
            raise ValueError(f"a message can't hold lone surrogates, as {message!r:.200} does")
        wanted = self._expected(head, expected)
        writer = PackWriter(value, importable=self._folder.owns)
        image = writer.image
        entries = len(value) if isinstance(value, Sized) else None
        draft = Draft(message, head, writer.uuid, writer.root_digest, len(image), entries)
        version, where = self._committer.save(draft, image, wanted)
        try:
            writer.adopt(self._folder.adopt(draft.pack, where))
        except (PackError, StoreError, OSError):
            # the version is committed all the same; only the next save is a whole one
            _log.warning("%s was saved and can't be opened", version, exc_info=True)
        return version

    def _expected(self, head: str, expected: VersionName | AnyVersion | None) -> Expected:
        """Look up and check `expected`, before the work of encoding."""
        if isinstance(expected, AnyVersion):
            return ANY
        with self._folder.errors:
            con = self._con()
            found = None if expected is None else self._catalog.find(con, expected)
            self._committer.check_expected(con, head, self._catalog.head(con, head), found)
        return found

    def undo(self, head: str = "main", to: VersionName | None = None) -> Version:
        """Bring back an earlier value of `head`, as a new version.

        Nothing is taken out of the history: the new version has the present one as its parent
        and the earlier one's value.

        Parameters
        ----------
        head : str
        to : Version, int or str, optional
            The version to bring back; by default the one before the present value, so that
            undoing n times goes back n saves.

        Raises
        ------
        MissingVersionError
            When there is nothing before it.

        Notes
        -----
        *Cost*: O(1), and no bytes in packs.

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     for n in (1, 2, 3):
        ...         _ = store.save(pstructs.m(n=n))
        ...     store.undo().number, store.load()["n"]
        ...     store.undo().number, store.load()["n"]
        (4, 2)
        (5, 1)
        """
        self._writable()
        check_head_name(head)
        with self._committer.transaction() as con:
            catalog = self._catalog
            at = catalog.head(con, head)
            if at is None:
                catalog.find(con, head)  # raises: there is none
            now = self._origin(con, catalog.find(con, head))
            if to is not None:
                target = catalog.find(con, to)
            elif now.parents:
                target = catalog.parent(con, now)
            else:
                raise MissingVersionError(
                    f"{self.path}: nothing to undo, {now} is the first version of {head!r}"
                )
            origin = self._origin(con, target)
            draft = Draft(
                f"undo: back to {origin}",
                head,
                bytes.fromhex(origin.pack),
                bytes.fromhex(origin.root),
                0,
                origin.entries,
                bytes.fromhex(origin.id),
            )
            return catalog.append(con, draft, at, "undo")

    def _origin(self, con: sqlite3.Connection, version: Version) -> Version:
        """Return the version that first had the value that `version` brings back."""
        if version.restores is None:
            return version
        found = self._catalog.by_id(con, bytes.fromhex(version.restores))
        if found is None:
            self._catalog.damaged(f"{version} restores {version.restores}, which is missing")
        return found

    # ---- read
    def version(self, name: VersionName = "main") -> Version:
        """Return the version that `name` means: a number, an id's beginning, a head, `main~3`.

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
            A version, its number, its id or the first digits of it (4 or more), a head, or
            steps back from one of these, as in `"main~3"`. A text of up to 7 decimal digits is
            a number; a head's name goes before an id.

        Raises
        ------
        MissingVersionError
            When there is none; the message says what there is.
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
        found = self.version(version)
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
        with self._folder.errors:
            con = self._con()
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
        with self._folder.errors:
            con = self._con()
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
        return cast("Diff[Any, Any]", diff(self.load(a), self.load(b)))

    def verify(
        self,
        version: VersionName | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> VerifyReport:
        """Read and check everything: every row of the catalog and every byte of every pack.

        Parameters
        ----------
        version : Version, int or str, optional
            Check only this version: its row, its pack, and all packs that these reach.
        progress : callable, optional
            Called with the packs that are done and the packs that there are.

        Returns
        -------
        VerifyReport
            What was checked, and what was found lying about.

        Raises
        ------
        StoreDamagedError
            After all was checked: `problems` says what is damaged and which versions it reaches.

        Notes
        -----
        *Cost*: O(bytes in the store).
        """
        con = self._con()
        swept = self._swept + (self._folder.sweep() if self._committer.poison is None else 0)
        self._swept = 0
        return verify_store(self._folder, con, version, progress, swept)
