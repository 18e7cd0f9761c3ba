"""`Merging`: the methods of a store that bring versions together.

Everything here computes a value from versions that were read, and commits it on the condition that
the head has not moved meanwhile; if it has, the changes of both sides are brought together and
the commit is tried again. A commit that loses a race costs its loser a merge of what changed, so
writers wait a moment, by chance and longer each time, before they try again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from pstructs import ABSENT
from pstructs.cache.lineage import merge_base
from pstructs.cache.merges import OnConflict, merge_values
from pstructs.cache.reading import Reading
from pstructs.cache.saving import Saving
from pstructs.cache.version import Version, VersionName, check_head_name
from pstructs.errors import ExpiredVersionError, HeadMovedError, MissingVersionError, WriteIdError

__all__ = ["Merging", "Transaction"]

RETRIES = 100
_FIRST_WAIT, _LONGEST_WAIT = 0.0005, 0.05  # seconds


def _wait(attempt: int) -> None:
    """Sleep before the attempt of that number."""
    time.sleep(random.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(attempt, 20))))


class Merging(Saving, Reading):
    """Brings versions together."""

    def merge(
        self,
        theirs: VersionName,
        into: str = "main",
        *,
        on_conflict: OnConflict = None,
        base: VersionName | None = None,
        message: str | None = None,
        meta: Mapping[str, Any] | None = None,
        write_id: str | None = None,
    ) -> Version:
        """Bring a version into a head, as a new version with both as its parents.

        Parameters
        ----------
        theirs : Version, int or str
            What to merge; see `load`.
        into : str
            The head to move.
        on_conflict : callable, "ours" or "theirs", optional
            Who decides where both sides changed one place differently. A function is called
            as `on_conflict(path, base, ours, theirs)`, with `pstructs.ABSENT` for nothing, and
            returns what to keep there (`ABSENT`: nothing). "ours" is what the head has.
        base : Version, int or str, optional
            What both sides started from: by default the latest version that both were made
            from.
        message, meta, write_id
            As for `save`.

        Returns
        -------
        Version
            The new version; the head's own when it has all of `theirs` already.

        Raises
        ------
        MergeConflictError
            When there are conflicts that nobody decides; nothing was saved. `conflicts` holds one
            `(path, base, ours, theirs)` for each.
        MissingVersionError
            When there is no such head, or nothing that both were made from.

        Notes
        -----
        *Cost*: O(changes · log n) since the base on either side, and O(versions) since it.

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     first = store.save(pstructs.m(a=1, b=1))
        ...     _ = store.branch("trial")
        ...     _ = store.save(pstructs.m(a=1, b=2), head="trial")
        ...     _ = store.save(pstructs.m(a=3, b=1))
        ...     merged = store.merge("trial")
        ...     sorted(store.load().items()), len(merged.parents)
        ([('a', 3), ('b', 2)], 2)
        """
        with self._folder.errors:
            other = self.version(theirs)
            said = f"merge {theirs} into {into}" if isinstance(theirs, str) else None
            message = message or said or f"merge version {other.number} into {into}"

        def attempt(ours: Version) -> Version:
            if self._is_older(other, ours):
                return ours
            start = self._base(ours, other) if base is None else self.version(base)
            value = merge_values(
                self._load(start), self._load(ours), self._load(other), on_conflict
            )
            return self._save(
                {into: value}, message, {into: ours}, meta, write_id, (other,), "merge"
            )[into]

        return self._until_it_fits(into, write_id, attempt)

    def revert(
        self,
        version: VersionName,
        head: str = "main",
        *,
        on_conflict: OnConflict = None,
        message: str | None = None,
        meta: Mapping[str, Any] | None = None,
        write_id: str | None = None,
    ) -> Version:
        """Take back what one version changed, as a new version on top of a head.

        What came after it stays. (`undo` brings a whole earlier value back.)

        Parameters
        ----------
        version : Version, int or str
            Whose changes to take back: those against its first parent.
        head : str
            The head to move.
        on_conflict
            As for `merge`: theirs is the value from before `version`.
        message, meta, write_id
            As for `save`.

        Raises
        ------
        MergeConflictError
            When something that it changed was changed again since.
        MissingVersionError
            When there is nothing before the version.

        Notes
        -----
        *Cost*: O(changes · log n).

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     for value in ({"a": 1}, {"a": 2}, {"a": 2, "b": 5}):
        ...         _ = store.save(pstructs.pmap(value))
        ...     _ = store.revert(2)
        ...     sorted(store.load().items())
        [('a', 1), ('b', 5)]
        """
        with self._reading() as con:
            taken = self._catalog.find(con, version)
            if not taken.parents:
                raise MissingVersionError(
                    f"{self.path}: {taken} is a first version: there is no value before it"
                )
            before = self._load(self._catalog.parent(con, taken))
        after = self._load(taken)

        def attempt(ours: Version) -> Version:
            value = merge_values(after, self._load(ours), before, on_conflict)
            said = message or f"revert {taken}"
            return self._save({head: value}, said, {head: ours}, meta, write_id, (), "revert")[
                head
            ]

        return self._until_it_fits(head, write_id, attempt)

    def transaction(
        self,
        head: str = "main",
        *,
        default: Any = ABSENT,
        on_conflict: OnConflict = None,
        retries: int = RETRIES,
        message: str | None = None,
        meta: Mapping[str, Any] | None = None,
        write_id: str | None = None,
    ) -> Transaction:
        """Return a `with` block that changes a head's value and commits at its end.

        The block reads and sets `.value`. If others have moved the head meanwhile, what the
        block changed is merged with what they changed, and the commit is tried again. An error
        that leaves the block, and a value that stays as it was, commit nothing.

        Parameters
        ----------
        head : str
        default : object, optional
            The value to start from when there is no such head.
        on_conflict
            As for `merge`: ours is what the block made.
        retries : int
            How often to try again.
        message, meta, write_id
            As for `save`. When the store has a commit of that write id to this head, nothing is
            saved and `.version` is that commit's.

        Raises
        ------
        MergeConflictError
            At the end of the block, when it changed something that others changed differently.
        HeadMovedError
            When the head moved before every try.
        MissingVersionError
            When there is no such head and no `default`.

        Notes
        -----
        *Cost*: that of `save`; of a retry, that of `merge`.

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     with store.transaction(default=pstructs.m()) as t:
        ...         t.value = t.value.set("ann", 31)
        ...     with store.transaction() as t:
        ...         t.value = t.value.set("bob", 27)
        ...         _ = store.save(store.load().set("cid", 44))  # somebody else
        ...     t.version.number, sorted(store.load())
        (3, ['ann', 'bob', 'cid'])
        """
        self._writable()
        return Transaction(
            self,
            check_head_name(head),
            default,
            on_conflict,
            retries,
            {"message": message, "meta": meta, "write_id": write_id},
        )

    def swap(
        self,
        head: str,
        fn: Callable[[Any], Any],
        *,
        default: Any = ABSENT,
        retries: int = RETRIES,
        message: str | None = None,
        meta: Mapping[str, Any] | None = None,
        write_id: str | None = None,
    ) -> Version:
        """Set a head to `fn(its value)`, whatever others save meanwhile.

        Parameters
        ----------
        head : str
        fn : callable
            Called with the head's value, and called again with the new one when the head
            moved before its result was committed: it should have no other effects.
        default, retries, message, meta, write_id
            As for `transaction`. `fn` is not called when the store has a commit of that write id.

        Returns
        -------
        Version
            The new version; the head's own when `fn` returns what it was given.

        Raises
        ------
        HeadMovedError
            When the head moved before every try.
        MissingVersionError
            When there is no such head and no `default`.

        Notes
        -----
        *Cost*: that of `fn` and `save`, for each try.

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     for _ in range(3):
        ...         version = store.swap("main", lambda n: n + 1, default=0)
        ...     version.number, store.load()
        (3, 3)
        """
        self._writable()
        check_head_name(head)

        def attempt(at: Version | None) -> Version:
            old = default if at is None else self._load(at)
            new = fn(old)
            if at is not None and new is old:
                return at
            return self._save({head: new}, message, {head: at}, meta, write_id, (), "swap")[head]

        return self._until_it_fits(head, write_id, attempt, retries, default)

    # ---- what these have in common
    def _until_it_fits(
        self,
        head: str,
        write_id: str | None,
        attempt: Callable[[Any], Version],
        retries: int = RETRIES,
        default: Any = ABSENT,
    ) -> Version:
        """Call `attempt` with where the head is, again whenever the head moved meanwhile."""
        tried = 0
        while True:
            done = self._done(head, write_id)
            if done is not None:
                return done
            at = self._at(head, default)
            try:
                return attempt(at)
            except (HeadMovedError, WriteIdError, ExpiredVersionError) as error:
                if isinstance(error, WriteIdError) and self._done(head, write_id) is None:
                    raise
                # where the head was can expire as soon as it has moved on
                if isinstance(error, ExpiredVersionError) and self._at(head, default) == at:
                    raise
                if tried >= retries:
                    raise
                tried += 1
                _wait(tried)

    def _at(self, head: str, default: Any = ABSENT) -> Version | None:
        """Return the version of a head; None when there is none and a value to start from."""
        with self._reading() as con:
            if default is not ABSENT and self._catalog.head(con, check_head_name(head)) is None:
                return None
            return self._catalog.find(con, self._catalog.existing_head(con, head).name)

    def _done(self, head: str, write_id: str | None) -> Version | None:
        """Return the version of the commit with that write id, when it was to this head alone."""
        if write_id is None:
            return None
        with self._folder.errors:
            made = self._catalog.by_write_id(self._con(), write_id)
        return made[0] if [version.head for version in made] == [head] else None

    def _base(self, ours: Version, theirs: Version) -> Version:
        with self._folder.errors:
            found = merge_base(self._catalog, self._con(), ours, theirs)
        if found is None:
            raise MissingVersionError(
                f"{self.path}: {ours} and {theirs} have no version in common that they were made "
                "from; give one to compare them with, as base="
            )
        return found

    def _is_older(self, old: Version, new: Version) -> bool:
        """Whether `new` is `old`, or was made from it."""
        with self._folder.errors:
            found = merge_base(self._catalog, self._con(), old, new)
        return found is not None and found.id == old.id


class Transaction:
    """A change of a head's value in the making; see `SnapshotStore.transaction`.

    Attributes
    ----------
    value : object
        The head's value; set it to what is to be committed.
    base : Version or None
        Where the head was at the beginning; None when it was not there.
    version : Version or None
        After the block: the version that holds the outcome; None when there is no head.
    """

    def __init__(
        self,
        store: Merging,
        head: str,
        default: Any,
        on_conflict: OnConflict,
        retries: int,
        said: dict[str, Any],
    ) -> None:
        self._store, self._head, self._default = store, head, default
        self._on_conflict, self._retries, self._said = on_conflict, retries, said
        self._start: Any = ABSENT
        self.value: Any = ABSENT
        self.base: Version | None = None
        self.version: Version | None = None

    def __enter__(self) -> Self:
        with self._store._one_state():
            self.base = self._store._at(self._head, self._default)
            self._start = self._default if self.base is None else self._store._load(self.base)
        self.value, self.version = self._start, None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.version = self._commit()

    def _commit(self) -> Version | None:
        if self.value is self._start:
            return self.base
        mine = self.value

        def attempt(at: Version | None) -> Version:
            value = mine
            if at != self.base and at is not None:
                value = merge_values(self._start, mine, self._store._load(at), self._on_conflict)
            message, meta, write_id = (self._said[x] for x in ("message", "meta", "write_id"))
            made = self._store._save(
                {self._head: value}, message, {self._head: at}, meta, write_id, (), "transaction"
            )
            return made[self._head]

        return self._store._until_it_fits(
            self._head, self._said["write_id"], attempt, self._retries, self._default
        )
