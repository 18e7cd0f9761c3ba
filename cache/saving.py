"""`Saving`: the methods of a store that make versions of values."""

from __future__ import annotations

import logging
from collections.abc import Sized
from typing import TYPE_CHECKING

from pstructs.cache.catalog import Draft
from pstructs.cache.commit import ANY, AnyVersion, Expected
from pstructs.cache.opened import OpenStore
from pstructs.cache.version import Version, VersionName, check_head_name
from pstructs.errors import MissingVersionError, PackError, StoreError
from pstructs.packs import PackWriter

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Saving"]

_log = logging.getLogger(__name__)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Saving(OpenStore):
    """Saves values as versions."""

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
        wanted = self._before(head, message, expected)
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

    def _before(
        self, head: str, message: str | None, expected: VersionName | AnyVersion | None
    ) -> Expected:
        """Check what can be checked before the work of encoding."""
        self._writable()
        check_head_name(head)
        if message is not None and not isinstance(message, str):
            raise TypeError(f"a message is a str or None, got {type(message).__name__}")
        if message is not None and not _is_utf8(message):
            raise ValueError(f"a message can't hold lone surrogates, as {message!r:.200} does")
        return self._expected(head, expected)

    def _expected(self, head: str, expected: VersionName | AnyVersion | None) -> Expected:
        """Look up and check `expected`."""
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
