"""`Saving`: the methods of a store that make versions of values."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sized
from typing import TYPE_CHECKING, Any

from pstructs.cache.catalog import Draft
from pstructs.cache.commit import ANY, AnyVersion, Change, Expected
from pstructs.cache.meta import pack_meta
from pstructs.cache.opened import OpenStore
from pstructs.cache.pins import check_value
from pstructs.cache.retired import RetiredPackError
from pstructs.cache.version import Version, VersionName, check_head_name, check_text
from pstructs.errors import MissingVersionError, PackError, StoreError
from pstructs.packs import PackWriter

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Saving"]

_log = logging.getLogger(__name__)


class Saving(OpenStore):
    """Saves values as versions."""

    def save(
        self,
        value: object,
        head: str = "main",
        message: str | None = None,
        expected: VersionName | AnyVersion | None = ANY,
        *,
        meta: Mapping[str, Any] | None = None,
        write_id: str | None = None,
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
        meta : mapping of str to plain values, optional
            What the version is, for programs: None, bool, int, float, str, bytes, and lists and
            mappings of these. Part of the version's id.
        write_id : str, optional
            What you call this commit. When the store has a commit of that name, nothing is saved
            and its version is returned: a save whose answer got lost can be tried again.

        Returns
        -------
        Version

        Raises
        ------
        HeadMovedError
            When the head is not at `expected`.
        WriteIdError
            When the commit of that write id saved another value, or to another head.
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
        ...     first = store.save(pstructs.m(a=1), meta={"rows": 1}, write_id="load-1")
        ...     again = store.save(pstructs.m(a=1), meta={"rows": 1}, write_id="load-1")
        ...     second = store.save(pstructs.m(a=2), expected=first)
        ...     print(again == first, first.meta)
        ...     store.save(pstructs.m(a=3), expected=first)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        pstructs.errors.HeadMovedError: ...
        """
        wanted = {} if isinstance(expected, AnyVersion) else {head: expected}
        return self._save({head: value}, message, wanted, meta, write_id)[head]

    def commit(
        self,
        values: Mapping[str, object],
        message: str | None = None,
        *,
        expected: Mapping[str, VersionName | None] | None = None,
        meta: Mapping[str, Any] | None = None,
        write_id: str | None = None,
    ) -> dict[str, Version]:
        """Save several values, each to a head of its own, in one step: all or none of them.

        Parameters
        ----------
        values : mapping of str to object
            Head to value, as for `save`.
        message : str, optional
            Of all the versions.
        expected : mapping of str to Version, int, str or None, optional
            For heads in `values`, where each has to be; as for `save`.
        meta : mapping, optional
            Of all the versions.
        write_id : str, optional
            Of the commit; as for `save`.

        Returns
        -------
        dict of str to Version

        Raises
        ------
        HeadMovedError
            When one of the heads is not where it is expected; nothing was saved.
        ValueError
            When there are no values, or `expected` names a head that is not among them.
        WriteIdError, UnsavableKeyError, UnsavableValueError, StoreFullError, StoreClosedError
            As for `save`.

        Notes
        -----
        *Cost*: that of saving each, in one transaction. What two new values share is stored with
        each of them, unless they are one object.

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     made = store.commit({"users": pstructs.m(ann=31), "log": pstructs.v("ann")})
        ...     store.load("users"), store.load(made["log"])
        (pmap({'ann': 31}), pvector(['ann']))
        """
        if not values:
            raise ValueError("nothing to commit: give at least one head and its value")
        wanted = dict(expected or {})
        if strange := wanted.keys() - values.keys():
            raise ValueError(f"expected names {min(strange)!r}, to which nothing is committed")
        return self._save(values, message, wanted, meta, write_id)

    def _save(
        self,
        values: Mapping[str, object],
        message: str | None,
        expected: Mapping[str, VersionName | None],
        meta: Mapping[str, Any] | None,
        write_id: str | None,
        others: tuple[Version, ...] = (),
        action: str = "save",
    ) -> dict[str, Version]:
        """Encode values and commit them: what all the methods that save come down to."""
        self._writable()
        for head in values:
            check_head_name(head)
        check_text(message, "a message")
        check_text(write_id, "a write id")
        said = pack_meta(meta)
        wanted = self._expected(expected, check=write_id is None)
        known = None
        if self._known is not None:
            with self._folder.errors:
                self._known.refresh()
            known = self._known.find
        for importable in (self._folder.owns, self._folder.keeps, None):
            writers: dict[int, PackWriter] = {}
            changes = []
            for head, value in values.items():
                writer = writers.get(id(value))
                image = None
                if writer is None:
                    writer = PackWriter(value, importable=importable, known=known)
                    writers[id(value)] = writer
                    image = writer.image
                draft = Draft(
                    message,
                    head,
                    writer.uuid,
                    writer.root_digest,
                    0 if image is None else len(image),
                    len(value) if isinstance(value, Sized) else None,
                    None,
                    said,
                    write_id,
                )
                at = wanted.get(head, ANY)
                changes.append(Change(draft, image, at, others, action, writer.imports))
            if write_id is not None:
                with self._folder.errors:
                    done = self._committer.committed(self._con(), changes)
                if done:
                    return dict(zip(values, done, strict=True))
            try:
                versions, places = self._committer.save(changes)
                break
            except RetiredPackError:  # what is written next does without the retired packs
                _log.info("%s: a save pointed into retired packs; writing it anew", self.path)
        for writer in writers.values():
            if writer.uuid in places:
                self._adopt(writer, places[writer.uuid])
        return dict(zip(values, versions, strict=True))

    def _adopt(self, writer: PackWriter, where: str | bytes) -> None:
        """Let the nodes that were saved know where, so that the next save is incremental."""
        try:
            writer.adopt(self._folder.adopt(writer.uuid, where))
        except (PackError, StoreError, OSError):
            # the version is committed all the same; only the next save is a whole one
            _log.warning("pack %s was saved and can't be opened", writer.uuid.hex(), exc_info=True)

    def _expected(
        self, expected: Mapping[str, VersionName | None], *, check: bool
    ) -> dict[str, Expected]:
        """Look up where heads have to be, and `check` before the work of encoding.

        What a write id names may have been done already, and then heads may be anywhere.
        """
        found: dict[str, Expected] = {}
        if expected:
            with self._reading() as con:
                for head, name in expected.items():
                    found[head] = None if name is None else self._catalog.find(con, name)
                    if check:
                        at = self._catalog.head(con, head)
                        self._committer.check_expected(con, head, at, found[head])
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
            at = catalog.existing_head(con, head)
            now = self._origin(con, catalog.find(con, head))
            if to is not None:
                target = catalog.find(con, to)
            elif now.parents:
                target = catalog.parent(con, now)
            else:
                raise MissingVersionError(
                    f"{self.path}: nothing to undo, {now} is the first version of {head!r}"
                )
            check_value(catalog, con, target)
            origin = self._origin(con, target)
            draft = Draft(
                f"undo: back to {origin}",
                head,
                bytes.fromhex(target.pack),  # where the origin's was, if that has expired
                bytes.fromhex(target.root),
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
