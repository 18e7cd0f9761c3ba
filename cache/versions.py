"""`SnapshotStore.versions`: all versions as a sequence that reads rows when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, overload

from pstructs.cache.version import Version

if TYPE_CHECKING:
    from pstructs.cache.folder import Folder

__all__ = ["Versions"]


class Versions(Sequence[Version]):
    """All versions of a store, the oldest first; it grows as versions are saved."""

    __slots__ = ("_folder",)

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def __len__(self) -> int:
        with self._folder.errors:
            rows = self._folder.con.execute("SELECT count(*) FROM pstructs_version")
            return int(rows.fetchone()[0])

    def __iter__(self) -> Iterator[Version]:
        with self._folder.errors:
            yield from self._folder.catalog.versions(self._folder.con)

    @overload
    def __getitem__(self, index: int) -> Version: ...
    @overload
    def __getitem__(self, index: slice) -> list[Version]: ...
    def __getitem__(self, index: int | slice) -> Version | list[Version]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        count = len(self)
        place = index + count if index < 0 else index
        if not 0 <= place < count:
            raise IndexError(f"version {index} of {count}")
        with self._folder.errors:
            (number,) = self._folder.con.execute(
                "SELECT number FROM pstructs_version ORDER BY number LIMIT 1 OFFSET ?", (place,)
            ).fetchone()
            found = self._folder.catalog.by_number(self._folder.con, number)
        assert found is not None  # versions are never taken away
        return found

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, Version):
            return False
        with self._folder.errors:
            return self._folder.catalog.by_id(self._folder.con, bytes.fromhex(value.id)) == value

    def __repr__(self) -> str:
        return f"<{len(self)} versions>"
