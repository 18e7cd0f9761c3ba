"""`Exchange`: the methods of a store that move versions to and from other places."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from pstructs.cache.bundle import Bundle, write_bundle
from pstructs.cache.cold import file_source
from pstructs.cache.folder import SHORT_BYTES
from pstructs.cache.opened import OpenStore
from pstructs.cache.receiving import Transfer, receive
from pstructs.cache.remote import RemoteFolder
from pstructs.cache.repairing import RepairReport, repair, sound_numbers
from pstructs.cache.sources import Source, StoreSource, missing, packs_of, plan
from pstructs.cache.version import Version, VersionName
from pstructs.errors import MissingBaseError, MissingVersionError

if TYPE_CHECKING:
    import sqlite3

__all__ = ["TRACKED", "Exchange"]

#: What the names of heads begin with that say where another store's heads were. They are not
#: sent on, unless they are named.
TRACKED = "origin/"


def _nothing(key: bytes) -> bool:
    return False


class Exchange(OpenStore):
    """Moves versions between stores, through files, folders and filesystems of any kind."""

    # ---- files
    def export_to(
        self,
        path: str | os.PathLike[str],
        versions: VersionName | Iterable[VersionName] | None = None,
        since: VersionName | Iterable[VersionName] | None = None,
        overwrite: bool = False,
    ) -> Transfer:
        """Write versions, and all that they stand on, into one file.

        Parameters
        ----------
        path : str or os.PathLike
            The file to make.
        versions : Version, int, str or an iterable of these, optional
            The newest versions to write; those before them come along. By default all heads.
        since : Version, int, str or an iterable of these, optional
            Leave out these versions, what came before them, and the packs that they stand on:
            the file is smaller, and can be imported only where these are.
        overwrite : bool
            Whether a file of that name may be replaced.

        Returns
        -------
        Transfer
            What the file holds.

        Raises
        ------
        StorePathError
            When there is such a file, or it can't be written.
        StoreDamagedError, PackError
            When something that would have to be written is damaged; there is no file then.

        Notes
        -----
        *Cost*: O(bytes written): each pack is read and verified. Memory: a piece of a pack, and
        about 200 bytes a version.

        Examples
        --------
        >>> import os, tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = os.path.join(folder, "a.pstructs")
        ...     with SnapshotStore(os.path.join(folder, "a")) as a:
        ...         saved = a.save(pstructs.m(ann=31))
        ...         written = a.export_to(file)
        ...     with SnapshotStore(os.path.join(folder, "b")) as b:
        ...         read = b.import_from(file)
        ...         print(b.load("origin/main"), b.version("origin/main").id == saved.id)
        pmap({'ann': 31}) True
        """
        con = self._con()
        with self._folder.using():
            old = [] if since is None else [self._catalog.find(con, n) for n in _list(since)]
            source = self._selected(con, None if versions is None else _list(versions), old)
            below = StoreSource(self._folder, sorted({version.number for version in old}), {})
            there = {
                info.uuid[:SHORT_BYTES]: info.uuid
                for info in plan(below, packs_of(below), _nothing)
            }
            packs = list(plan(source, packs_of(source), lambda key: key[:SHORT_BYTES] in there))
            imported = {short for info in packs for short in info.imports}
            needs = {
                "versions": _edge(source),
                "packs": sorted(there[short].hex() for short in imported & there.keys()),
            }
            for info in packs:
                self._folder.open_pack(info.uuid).verify()
            nbytes = write_bundle(os.fspath(path), source, packs, needs, overwrite=overwrite)
            heads = {name: self._catalog.find(con, vid) for name, vid in source.heads.items()}
        return Transfer(len(source.numbers), len(packs), nbytes, heads)

    def import_from(
        self,
        path: str | os.PathLike[str],
        prefix: str = TRACKED,
        heads: Mapping[str, str] | None = None,
        force: bool = False,
    ) -> Transfer:
        """Take in the versions of a file that `export_to` has written.

        The file may come from anybody: it is read whole, every row is digested again, and
        every pack verified as untrusted, before anything is committed. Ids, messages and times
        stay the same; numbers are those of this store. What is there already is left alone.

        Parameters
        ----------
        path : str or os.PathLike
        prefix : str
            Put before the names of the file's heads: its `main` becomes `origin/main` here.
        heads : mapping of str to str, optional
            The heads to take from the file, and what to call them here; in place of `prefix`.
        force : bool
            Whether a head here may be moved to a version that does not follow from where it is.

        Raises
        ------
        DamagedExportError
            When anything in the file is not as it was written, or made up.
        MissingBaseError
            When it builds on versions or packs that are not here.
        HeadMovedError
            When a head would have to leave the versions that it is at; see `force`.
        FutureStoreError, StorePathError, StoreFullError
            After any error the store is as it was.

        Notes
        -----
        *Cost*: O(bytes of the file), and twice the space of the new packs for a while.

        Examples
        --------
        See `export_to`.
        """
        self._writable()
        with self._folder.errors, Bundle(os.fspath(path)) as bundle:
            self._check_needs(bundle)
            return receive(
                self._committer,
                bundle,
                _renamed(bundle.heads, prefix, heads),
                "import",
                force=force,
            )

    def _check_needs(self, bundle: Bundle) -> None:
        con = self._con()
        lost = [
            *(v for v in bundle.needs["versions"] if not self._has(con, v)),
            *(p for p in bundle.needs["packs"] if self._folder.where(bytes.fromhex(p)) is None),
        ]
        if lost:
            raise MissingBaseError(
                f"{bundle.path} builds on {len(lost)} versions or packs that {self.path} does not "
                f"have ({lost[0]}, ...); nothing was imported. Export without `since`, or since a "
                "version that both stores have",
                tuple(lost),
            )

    # ---- stores
    def pull(
        self,
        other: Exchange | RemoteFolder | str | os.PathLike[str],
        heads: str | Iterable[str] | None = None,
        prefix: str = TRACKED,
        force: bool = False,
    ) -> Transfer:
        """Take in what another store has and this one lacks.

        Parameters
        ----------
        other : SnapshotStore, RemoteFolder, str or os.PathLike
            A store, the folder of one, or the URL of a remote folder.
        heads : str or iterable of str, optional
            The heads of the other store to take; by default all that are its own.
        prefix : str
            Put before their names: its `main` becomes `origin/main` here. With `""` the heads
            of this store follow: those that it has moved itself raise HeadMovedError.
        force : bool
            Whether a head here may be moved to a version that does not follow from where it is.

        Returns
        -------
        Transfer

        Raises
        ------
        MissingVersionError
            When the other store has no such head.
        DamagedExportError, MissingBaseError, HeadMovedError
            After any error the versions and heads here are as they were. Packs that came in
            whole wait for the next call, which does not ask for them again.

        Notes
        -----
        *Cost*: O(new versions + bytes of new packs), which are verified.

        Examples
        --------
        >>> import os, tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> folder = tempfile.TemporaryDirectory()
        >>> a = SnapshotStore(os.path.join(folder.name, "a"))
        >>> b = SnapshotStore(os.path.join(folder.name, "b"))
        >>> saved = a.save(pstructs.m(ann=31))
        >>> b.pull(a).versions, b.load("origin/main")
        (1, pmap({'ann': 31}))
        >>> b.pull(a).versions
        0
        >>> a.close(), b.close(), folder.cleanup()
        (None, None, None)
        """
        self._writable()
        wanted = None if heads is None else [heads] if isinstance(heads, str) else list(heads)
        with self._opened(other) as there, self._folder.using():
            con = self._con()

            def has(vid: str) -> bool:
                return self._has(con, vid)

            source: Source
            if isinstance(there, RemoteFolder):
                source = there.source(wanted, has)
            else:
                source = there._outgoing(wanted, has)
            return receive(
                self._committer,
                source,
                {f"{prefix}{name}": vid for name, vid in source.heads.items()},
                "pull",
                force=force,
                keep=True,
            )

    def push(
        self,
        other: Exchange | RemoteFolder | str | os.PathLike[str],
        heads: str | Iterable[str] | None = None,
        prefix: str = "",
        force: bool = False,
    ) -> Transfer:
        """Send what this store has and another one lacks, and move the heads there.

        Parameters
        ----------
        other : SnapshotStore, RemoteFolder, str or os.PathLike
            A store, the folder of one (made if it is new), or the URL of a remote folder.
        heads : str or iterable of str, optional
            The heads to send; by default all but those that tell where other stores' heads
            were (`origin/...`).
        prefix : str
            Put before their names there.
        force : bool
            Whether a head there may be moved to a version that does not follow from where it is.

        Returns
        -------
        Transfer

        Raises
        ------
        HeadMovedError
            When a head there is at a version that this store's does not follow from: pull,
            merge, and push again.
        MissingVersionError, DamagedExportError, MissingBaseError

        Notes
        -----
        *Cost*: as of `pull`.

        Examples
        --------
        >>> import os, tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> folder = tempfile.TemporaryDirectory()
        >>> with SnapshotStore(os.path.join(folder.name, "a")) as a:
        ...     saved = a.save(pstructs.m(ann=31))
        ...     a.push(os.path.join(folder.name, "backup")).versions
        1
        >>> folder.cleanup()
        """
        self._con()
        wanted = None if heads is None else [heads] if isinstance(heads, str) else list(heads)
        with self._opened(other) as target, self._folder.using():
            if isinstance(target, RemoteFolder):
                tips = {f"{prefix}{n}": at for n, at in self._sendable(wanted).items()}
                return target.send(self._folder, tips, force=force)
            target._writable()
            con = target._con()
            source = self._outgoing(wanted, lambda vid: target._has(con, vid))
            return receive(
                target._committer,
                source,
                {f"{prefix}{name}": vid for name, vid in source.heads.items()},
                "push",
                force=force,
                keep=True,
            )

    # ---- repair
    def repair(self, source: Exchange | RemoteFolder | str | os.PathLike[str]) -> RepairReport:
        """Take packs and rows of versions that are damaged or missing here from elsewhere.

        Every pack and row of this store is read. What is broken is looked for in the source by
        its uuid and its digests, verified as what a stranger sends, and put in place of the
        damaged original, which is kept in the folder `damaged` until the store is whole.

        Parameters
        ----------
        source : SnapshotStore, RemoteFolder, str or os.PathLike
            Another store that has some of the versions of this one, the folder of one, an export
            file, the file of an archive, or the URL of a remote folder. A store or remote folder
            may be damaged itself: what is sound in it is taken. An archive gives the values of its
            versions, which are written anew.

        Returns
        -------
        RepairReport
            What was repaired, and what still is damaged: run it again with another source.

        Raises
        ------
        StoreDamagedError
            When the catalog can't be read at all. Heads, tags and the reflog are not repaired.

        Notes
        -----
        *Cost*: O(bytes in the store), twice: everything is verified before and after. Values
        that are loaded go on reading what they were loaded from: load them anew.

        Examples
        --------
        >>> import os, tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> folder = tempfile.TemporaryDirectory()
        >>> with SnapshotStore(os.path.join(folder.name, "a")) as a:
        ...     saved = a.save(pstructs.pmap({n: str(n) for n in range(9999)}))
        ...     sent = a.push(os.path.join(folder.name, "backup"))
        ...     os.unlink(os.path.join(folder.name, "a", "packs", f"{saved.pack}.pack"))
        >>> with SnapshotStore(os.path.join(folder.name, "a")) as a:
        ...     report = a.repair(os.path.join(folder.name, "backup"))
        ...     report.packs == (saved.pack,), report.problems, len(a.load())
        (True, (), 9999)
        >>> folder.cleanup()
        """
        self._writable()
        if isinstance(source, str | os.PathLike) and os.path.isfile(source):
            with self._folder.errors, file_source(os.fspath(source)) as file:
                return repair(self._committer, file)
        with self._opened(source) as there, self._folder.errors:
            if isinstance(there, RemoteFolder):
                return repair(self._committer, there.source(None, lambda _: False))
            numbers = sound_numbers(there._catalog, there._con())
            return repair(self._committer, StoreSource(there._folder, numbers, {}))

    @contextlib.contextmanager
    def _opened(
        self, other: Exchange | RemoteFolder | str | os.PathLike[str]
    ) -> Iterator[Exchange | RemoteFolder]:
        """Give out the other store, opened for as long as this takes if it is given by name."""
        if isinstance(other, RemoteFolder):
            yield other
            return
        if isinstance(other, Exchange):
            other._con()
            with other._folder.using():
                yield other
            return
        if not isinstance(other, str | os.PathLike):
            raise TypeError(
                "a SnapshotStore, a RemoteFolder, a path or a URL is needed, got "
                f"{type(other).__name__}"
            )
        if "://" in os.fspath(other):
            yield RemoteFolder(os.fspath(other))
            return
        with type(self)(other, self._durable) as opened, opened._folder.using():
            yield opened

    # ---- what there is to send
    def _has(self, con: sqlite3.Connection, vid: str) -> bool:
        return self._catalog.by_id(con, bytes.fromhex(vid)) is not None

    def _outgoing(self, names: list[str] | None, has: Callable[[str], bool]) -> StoreSource:
        """Return the source of what these heads, or all own ones, lead to and `has` lacks."""
        tips = self._sendable(names)
        numbers = missing(self._catalog, self._con(), tips.values(), has=has)
        return StoreSource(self._folder, numbers, {name: at.id for name, at in tips.items()})

    def _sendable(self, names: list[str] | None) -> dict[str, Version]:
        """Return these heads, or all own ones."""
        con = self._con()
        own = self._own_heads(con)
        if names is None:
            return own
        for name in names:
            if self._catalog.head(con, name) is None:
                raise MissingVersionError(
                    f"{self.path}: there is no head {name!r}, only "
                    f"{', '.join(map(repr, own)) or 'an empty store'}"
                )
        return {name: self._catalog.find(con, name) for name in names}

    def _own_heads(self, con: sqlite3.Connection) -> dict[str, Version]:
        return {
            head.name: self._catalog.find(con, head.name)
            for head in self._catalog.heads(con)
            if not head.name.startswith(TRACKED)
        }

    def _selected(
        self,
        con: sqlite3.Connection,
        names: list[VersionName] | None,
        base: list[Version],
    ) -> StoreSource:
        """Return the source of these versions, or all heads, without those of `base`."""
        heads = {head.name: head.id.hex() for head in self._catalog.heads(con)}
        if names is None:
            tips = list(self._own_heads(con).values())
        else:
            tips = [self._catalog.find(con, name) for name in names]
        numbers = missing(self._catalog, con, tips, base)
        chosen, ends = set(numbers), {tip.id for tip in tips}
        told = {}
        for name, vid in heads.items():
            at = self._catalog.find(con, name)
            if name in (names or ()) or (
                not name.startswith(TRACKED) and (at.number in chosen or vid in ends)
            ):
                told[name] = vid
        return StoreSource(self._folder, numbers, told)


def _list(given: VersionName | Iterable[VersionName]) -> list[VersionName]:
    return [given] if isinstance(given, Version | int | str) else list(given)


def _edge(source: StoreSource) -> list[str]:
    """Return the ids that versions of a source name and that are not in it."""
    named, there = set[str](), set[str]()
    for version in source.rows():
        there.add(version.id)
        named.update(version.parents, [version.restores] if version.restores else [])
    return sorted(named - there)


def _renamed(
    heads: Mapping[str, str], prefix: str, names: Mapping[str, str] | None
) -> dict[str, str]:
    """Return the heads to move, under the names that they get here."""
    if names is None:
        return {f"{prefix}{name}": vid for name, vid in heads.items()}
    for name in names:
        if name not in heads:
            raise MissingVersionError(
                f"the file has no head {name!r}, only {', '.join(map(repr, heads)) or 'none'}"
            )
    return {new: heads[old] for old, new in names.items()}
