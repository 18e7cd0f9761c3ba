"""`Branching`: the methods of a store that give names to versions and follow names through time.

A head is a name that moves: saving to it, merging into it and undoing move it, and the reflog
keeps every move. A tag is a name that does not. Both point at versions, and making or deleting
one never changes a version.
"""

from __future__ import annotations

import sqlite3
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, overload

from pstructs.cache.lineage import later_than, only_in
from pstructs.cache.opened import OpenStore
from pstructs.cache.pins import check_value
from pstructs.cache.refs import Move
from pstructs.cache.version import (
    Version,
    VersionName,
    check_head_name,
    check_text,
    datetime_of,
    nanoseconds,
)

if TYPE_CHECKING:
    from pstructs.cache.folder import Folder

__all__ = ["Branching", "HeadMove", "Reflog", "TagInfo"]


@dataclass(frozen=True, slots=True)
class HeadMove:
    """One move of a head.

    Attributes
    ----------
    head : str
    old, new : str or None
        Ids of the versions that it was at and is at; None: the head was not there, or was
        deleted.
    time : int
        Nanoseconds since 1970, UTC; later than that of the move before.
    action : str
        What moved it: save, undo, merge, revert, branch, delete, rename.
    """

    head: str
    old: str | None
    new: str | None
    time: int
    action: str

    @property
    def when(self) -> datetime:
        """`time` as a datetime in UTC, cut to microseconds."""
        return datetime_of(self.time)


@dataclass(frozen=True, slots=True)
class TagInfo:
    """A name of a version that does not move.

    Attributes
    ----------
    name : str
    version : Version
    time : int
        When it was made: nanoseconds since 1970, UTC.
    message : str or None
    """

    name: str
    version: Version
    time: int
    message: str | None

    @property
    def when(self) -> datetime:
        """`time` as a datetime in UTC, cut to microseconds."""
        return datetime_of(self.time)


class Reflog(Sequence[HeadMove]):
    """All moves of a head, the first one first; reads rows when they are asked for."""

    __slots__ = ("_folder", "_head")

    def __init__(self, folder: Folder, head: str) -> None:
        self._folder, self._head = folder, head

    def __len__(self) -> int:
        with self._folder.errors:
            last = self._folder.catalog.last_move(self._folder.con, self._head)
            return 0 if last is None else last.move

    @overload
    def __getitem__(self, index: int) -> HeadMove: ...
    @overload
    def __getitem__(self, index: slice) -> list[HeadMove]: ...
    def __getitem__(self, index: int | slice) -> HeadMove | list[HeadMove]:
        if isinstance(index, slice):
            places = range(*index.indices(len(self)))
            if not places:
                return []
            low, high = min(places[0], places[-1]), max(places[0], places[-1])
            found = self._read(low, high + 1)
            return [found[place - low] for place in places]
        place = index + len(self) if index < 0 else index
        moves = self._read(place, place + 1) if place >= 0 else []
        if not moves:
            raise IndexError(f"move {index} of {len(self)}")
        return moves[0]

    def _read(self, start: int, stop: int) -> list[HeadMove]:
        with self._folder.errors:
            moves = self._folder.catalog.moves(self._folder.con, self._head, start, stop)
        return [_public(move) for move in moves]

    def __repr__(self) -> str:
        return f"<{len(self)} moves of {self._head!r}>"


def _public(move: Move) -> HeadMove:
    old, new = (None if vid is None else vid.hex() for vid in (move.old, move.new))
    return HeadMove(move.name, old, new, move.time, move.action)


class Branching(OpenStore):
    """Makes, moves and deletes names, and finds where they were."""

    # ---- heads
    def branch(self, name: str, at: VersionName = "main") -> Version:
        """Make a head.

        Parameters
        ----------
        name : str
            1 to 200 printable characters without spaces and `~ ^ : @`, not a number.
        at : Version, int or str
            Where it starts; see `load`.

        Returns
        -------
        Version
            The one that it is at.

        Raises
        ------
        NameTakenError
            When there is a head or tag of that name.
        MissingVersionError

        Notes
        -----
        *Cost*: O(1).

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     first = store.save(pstructs.m(a=1))
        ...     _ = store.branch("trial")
        ...     _ = store.save(pstructs.m(a=2), head="trial")
        ...     store.load()["a"], store.load("trial")["a"], store.load("trial~")["a"]
        (1, 2, 1)
        """
        self._writable()
        check_head_name(name)
        with self._committer.transaction() as con:
            version = self._catalog.find(con, at)
            check_value(self._catalog, con, version)
            vid = bytes.fromhex(version.id)
            self._catalog.move(con, name, None, version.number, vid, time.time_ns(), "branch")
        return version

    def delete_head(self, name: str, expected: VersionName | None = None) -> Version:
        """Delete a head; its versions and its reflog stay.

        Parameters
        ----------
        name : str
        expected : Version, int or str, optional
            Where the head has to be, else it is left alone.

        Returns
        -------
        Version
            The one that it was at: `branch(name, at=version)` brings the head back.

        Raises
        ------
        MissingVersionError
            When there is no such head.
        HeadMovedError
            When it is not at `expected`.

        Notes
        -----
        *Cost*: O(1).
        """
        self._writable()
        with self._committer.transaction() as con:
            at = self._catalog.existing_head(con, name)
            if expected is not None:
                wanted = self._catalog.find(con, expected)
                self._committer.check_expected(con, name, at, wanted)
            version = self._catalog.find(con, at.name)
            self._catalog.drop_head(con, at, "delete")
        return version

    def rename_head(self, name: str, new: str) -> Version:
        """Give a head another name, and return the version that it is at.

        The reflog keeps the moves under the name that the head had then. `Version.head` goes on
        saying where a version was saved to.

        Raises
        ------
        MissingVersionError
            When there is no head `name`.
        NameTakenError
            When there is a head or tag called `new`.

        Notes
        -----
        *Cost*: O(1).
        """
        self._writable()
        check_head_name(new)
        with self._committer.transaction() as con:
            at = self._catalog.existing_head(con, name)
            version = self._catalog.find(con, at.name)
            self._catalog.drop_head(con, at, f"rename to {new}")
            self._catalog.move(
                con, new, None, at.number, at.id, time.time_ns(), f"rename from {name}"
            )
        return version

    def reflog(self, head: str = "main") -> Reflog:
        """Return all moves of a head, the first one first, also of one that was deleted.

        Notes
        -----
        *Cost*: O(1), and O(log n) for each move that is read.

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     for n in (1, 2):
        ...         _ = store.save(pstructs.m(n=n))
        ...     _ = store.undo()
        ...     [move.action for move in store.reflog()]
        ['save', 'save', 'undo']
        """
        self._con()
        return Reflog(self._folder, check_head_name(head))

    # ---- tags
    def tag(self, name: str, at: VersionName = "main", message: str | None = None) -> Version:
        """Give a version a name that stays with it.

        Parameters
        ----------
        name : str
            As a head's.
        at : Version, int or str
            The version; see `load`.
        message : str, optional
            What is said of the tag.

        Returns
        -------
        Version

        Raises
        ------
        NameTakenError
            When there is a head or tag of that name: a tag never moves. Delete it first if it
            has to.
        MissingVersionError

        Notes
        -----
        *Cost*: O(1).

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     _ = store.save(pstructs.m(a=1))
        ...     _ = store.tag("v1", message="as delivered")
        ...     _ = store.save(pstructs.m(a=2))
        ...     store.load("v1")["a"]
        1
        """
        self._writable()
        check_head_name(name, "tag")
        check_text(message, "a message")
        with self._committer.transaction() as con:
            version = self._catalog.find(con, at)
            check_value(self._catalog, con, version)
            self._catalog.add_tag(con, name, version.number, bytes.fromhex(version.id), message)
        return version

    def delete_tag(self, name: str) -> Version:
        """Delete a tag; return the version that it named, which stays.

        Raises
        ------
        MissingVersionError
            When there is no such tag.

        Notes
        -----
        *Cost*: O(1).
        """
        self._writable()
        check_head_name(name, "tag")
        with self._committer.transaction() as con:
            tag = self._catalog.tag(con, name)
            if tag is None:
                self._catalog.missing(con, f"there is no tag {name!r}")
            version = self._catalog.find(con, name)
            self._catalog.drop_tag(con, tag)
        return version

    def tags(self) -> dict[str, TagInfo]:
        """Return all tags, by name."""
        with self._reading() as con:
            return {
                tag.name: TagInfo(
                    tag.name, self._catalog.find(con, tag.name), tag.time, tag.message
                )
                for tag in self._catalog.tags(con)
            }

    # ---- time
    def as_of(self, when: datetime | int | Version, head: str = "main") -> Version:
        """Return the version that a head was at, at a time.

        Parameters
        ----------
        when : datetime, int or Version
            A time with a time zone (the whole of its microsecond), nanoseconds since 1970 UTC, or
            a version: the time when it was saved.
        head : str

        Raises
        ------
        MissingVersionError
            When the head was not there then.

        Notes
        -----
        *Cost*: O(log n) for n moves of the head.

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     made = [store.save(pstructs.m(n=n)) for n in range(3)]
        ...     store.as_of(made[1].when).number, store.as_of(made[2].time - 1).number
        (2, 2)
        """
        moment = _moment(when)
        with self._reading() as con:
            moves = Reflog(self._folder, check_head_name(head))
            place = bisect_right(moves, moment, key=lambda move: move.time)
            new = moves[place - 1].new if place else None
            if new is None:
                self._catalog.missing(con, f"there was no head {head!r} at {when}")
            return self._catalog.find(con, self._id(con, new))

    def since(self, point: datetime | VersionName, head: VersionName = "main") -> list[Version]:
        """Return the versions in a head's history that came after a version or a time.

        Parameters
        ----------
        point : Version, int, str or datetime
            A version: all that `head` was made from and it was not. A time with a time zone: all
            that were saved later.
        head : Version, int or str

        Returns
        -------
        list of Version
            The earliest first.

        Notes
        -----
        *Cost*: O(versions returned), and those that `point` has and `head` has not.

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     made = [store.save(pstructs.m(n=n)) for n in range(4)]
        ...     [version.number for version in store.since(made[1])]
        [3, 4]
        """
        with self._reading() as con:
            start = self._catalog.find(con, head)
            if isinstance(point, datetime):
                return later_than(self._catalog, con, start, nanoseconds(point))
            return only_in(self._catalog, con, start, self._catalog.find(con, point))

    # ---- looking up
    def _id(self, con: sqlite3.Connection, vid: str) -> Version:
        found = self._catalog.by_id(con, bytes.fromhex(vid))
        if found is None:
            self._catalog.damaged(f"the reflog names version {vid}, which is missing")
        return found


def _moment(when: datetime | int | Version) -> int:
    if isinstance(when, Version):
        return when.time
    if isinstance(when, datetime):
        return nanoseconds(when)
    if isinstance(when, int) and not isinstance(when, bool):
        return when
    raise TypeError(
        "a time is a datetime, an int of nanoseconds since 1970 or a Version, got "
        f"{type(when).__name__}"
    )
