"""`Tracing`: the methods of a store that tell how a place in a value came to be."""

from __future__ import annotations

from itertools import islice
from typing import Any

from pstructs import ABSENT, PMap
from pstructs.cache.history import ValueChange, as_path, blame_keys, changes_at, look_up
from pstructs.cache.reading import Reading
from pstructs.cache.version import Version, VersionName
from pstructs.errors import MissingPathError

__all__ = ["Tracing"]


class Tracing(Reading):
    """Follows a path through the versions."""

    def history(
        self, path: object, head: VersionName = "main", limit: int | None = None
    ) -> list[ValueChange]:
        """Return the versions that changed what lies at a path, the latest first.

        Parameters
        ----------
        path : tuple, list or key
            The keys (indexes, names of fields) that lead there, as for `pstructs.get_in`.
            Anything but a tuple or list is a path of one key.
        head : Version, int or str
            Whose history; see `load`.
        limit : int, optional
            How many changes to return at most.

        Returns
        -------
        list of ValueChange
            Each with its `version`, and the `old` and `new` value; `pstructs.ABSENT` stands for
            none. A merge is a change only where its value is that of none of its parents.

        Notes
        -----
        *Cost*: O(versions · log n): each is opened and the path looked up in it.

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     for stock in ({"nut": 5}, {"nut": 5, "bolt": 9}, {"nut": 4, "bolt": 9}):
        ...         _ = store.save(pstructs.m(stock=pstructs.pmap(stock)))
        ...     for change in store.history(("stock", "nut")):
        ...         print(change.version.number, repr(change.old), change.new)
        3 5 4
        1 ABSENT 5
        """
        if limit is not None and limit < 0:
            raise ValueError(f"limit is a number of changes, got {limit}")
        with self._one_state() as con:
            start = self._catalog.find(con, head)
            found = changes_at(self._catalog, con, self._value, start, as_path(path))
            return list(islice(found, limit))

    def blame(self, path: object, head: VersionName = "main") -> Version:
        """Return the version that gave what lies at a path its present value.

        Parameters
        ----------
        path : tuple, list or key
            As for `history`.
        head : Version, int or str

        Raises
        ------
        MissingPathError
            When the path leads to nothing.

        Notes
        -----
        *Cost*: O(versions · log n), of those that came after the one that is returned.
        """
        with self._one_state() as con:
            start = self._catalog.find(con, head)
            where = as_path(path)
            if look_up(self._value(start), where) is ABSENT:
                raise MissingPathError(f"{start} has nothing at {list(where)!r:.200}")
            changes = changes_at(self._catalog, con, self._value, start, where)
            return next(changes).version

    def blame_keys(self, path: object = (), head: VersionName = "main") -> PMap[Any, Version]:
        """Return for each key of the map, or element of the set, at a path who gave it its value.

        Parameters
        ----------
        path : tuple, list or key
            As for `history`; by default the value itself.
        head : Version, int or str

        Returns
        -------
        PMap of key to Version

        Raises
        ------
        TypeError
            When something else than a map or set lies there.

        Notes
        -----
        *Cost*: O(versions + changes in all of them + n).

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     for stock in ({"nut": 5}, {"nut": 5, "bolt": 9}):
        ...         _ = store.save(pstructs.pmap(stock))
        ...     blamed = store.blame_keys()
        ...     blamed["nut"].number, blamed["bolt"].number
        (1, 2)
        """
        with self._one_state() as con:
            start = self._catalog.find(con, head)
            return blame_keys(self._catalog, con, self._value, start, as_path(path))
