"""Where versions come from: another store, an export file, or a remote folder.

A source lists the rows of its versions, ancestors first, and gives out packs by their ids. What
has to travel is worked out from both ends: the versions that the receiver lacks (`missing`), and
the packs that these stand on and the receiver lacks (`plan`), imported ones first.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from pstructs.cache.catalog import Catalog
from pstructs.cache.folder import SHORT_BYTES, Folder
from pstructs.cache.pins import check_value
from pstructs.cache.version import Version
from pstructs.errors import DamagedExportError, MissingBaseError

__all__ = [
    "CHUNK",
    "PackInfo",
    "Source",
    "StoreSource",
    "TagText",
    "comes_before",
    "missing",
    "plan",
]

CHUNK = 1 << 20


class PackInfo(NamedTuple):
    """A pack that a source has: its uuid, its bytes, and the short ids of what it imports."""

    uuid: bytes
    nbytes: int
    imports: tuple[bytes, ...]


class TagText(NamedTuple):
    """What a tag names: the id of a version; and what is said of it."""

    id: str
    message: str | None


class Source(Protocol):
    """Versions and packs to be received."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def heads(self) -> Mapping[str, str]:
        """Its heads and the ids of the versions that they are at."""

    @property
    def tags(self) -> Mapping[str, TagText]:
        """Its tags; also those of versions that are neither sent nor there."""

    def rows(self) -> Iterator[Version]:
        """Iterate over its versions, ancestors first; can be called again."""

    def pack(self, key: bytes) -> PackInfo | None:
        """Return the pack whose uuid is, or begins with, `key`."""

    def chunks(self, uuid: bytes) -> Iterator[bytes]:
        """Iterate over the bytes of a pack that it has."""


def missing(
    catalog: Catalog,
    con: sqlite3.Connection,
    tips: Iterable[Version],
    base: Iterable[Version] = (),
    has: Callable[[str], bool] | None = None,
) -> list[int]:
    """Return the numbers of the versions that lead to `tips`, ascending, without some.

    Left out are `base`, those that `has` is true of, and all that came before these: who has a
    version has all that it builds on.

    Notes
    -----
    *Cost*: O(versions back to where both sides meet).
    """
    todo: list[tuple[int, Version]] = []
    wanted: dict[str, bool] = {}  # of those that were met
    left = 0  # wanted ones in todo

    def add(version: Version, want: bool) -> None:
        nonlocal left
        before = wanted.get(version.id)
        if before is None:
            wanted[version.id] = want
            left += want
            heapq.heappush(todo, (-version.number, version))
        elif before and not want:
            wanted[version.id] = False
            left -= 1

    for version in base:
        add(version, False)
    for version in tips:
        if has is None or not has(version.id):
            add(version, True)
    found: list[int] = []
    while left:
        version = heapq.heappop(todo)[1]  # what builds on it has a higher number and was met
        want = wanted[version.id]
        if want:
            left -= 1
            found.append(version.number)
        for vid in (*version.parents, *([version.restores] if version.restores else ())):
            known = wanted.get(vid)
            if known is False or (known and want) or (want and has is not None and has(vid)):
                continue
            before = catalog.by_id(con, bytes.fromhex(vid))
            if before is None:
                catalog.damaged(f"{version} builds on version {vid}, which is missing")
            add(before, want)
    found.reverse()
    return found


def comes_before(catalog: Catalog, con: sqlite3.Connection, old: Version, new: Version) -> bool:
    """Whether `old` is `new` or among the versions that lead to it."""
    todo, seen = [new], {new.id}
    while todo:
        version = todo.pop()
        if version.id == old.id:
            return True
        if version.number > old.number:  # parents have lower numbers
            for which, vid in enumerate(version.parents):
                if vid not in seen:
                    seen.add(vid)
                    todo.append(catalog.parent(con, version, which))
    return False


def plan(
    source: Source, wanted: Iterable[bytes], has: Callable[[bytes], bool]
) -> Iterator[PackInfo]:
    """Iterate over the packs that `wanted` stand on and `has` lacks, imported ones first.

    Who has a pack has all that it imports.

    Raises
    ------
    MissingBaseError
        When the source does not have one of them either.
    DamagedExportError
        When packs import each other in a circle.
    """
    open_, done = set[bytes](), set[bytes]()
    for key in wanted:
        todo: list[tuple[bytes, PackInfo | None]] = [(key, None)]
        while todo:
            key, info = todo.pop()
            short = key[:SHORT_BYTES]
            if info is not None:
                open_.discard(short)
                done.add(short)
                yield info
                continue
            if short in open_:
                raise DamagedExportError(
                    f"{source.name}: the packs import each other in a circle at {key.hex()}"
                )
            if short in done or has(key):
                continue
            info = source.pack(key)
            if info is None:
                raise MissingBaseError(
                    f"{source.name} lacks pack {key.hex()}, and so does the receiver. Send "
                    "without `since`, or from a version that the receiver has in the same packs"
                )
            open_.add(short)
            todo.append((info.uuid, info))
            todo.extend((one, None) for one in info.imports if one not in done)


class StoreSource:
    """Some versions of a store.

    Parameters
    ----------
    folder : Folder
    numbers : list of int
        Their numbers, ascending.
    heads : mapping
        The heads to tell, with the ids of the versions that they are at.
    """

    def __init__(self, folder: Folder, numbers: list[int], heads: Mapping[str, str]) -> None:
        self.folder, self.numbers, self.heads = folder, numbers, heads
        self.name = folder.path
        with folder.errors:
            self.tags = {
                tag.name: TagText(tag.id.hex(), tag.message)
                for tag in folder.catalog.tags(folder.con)
            }

    def rows(self) -> Iterator[Version]:
        """Iterate over the versions, ancestors first."""
        with self.folder.errors:
            for number in self.numbers:
                version = self.folder.catalog.by_number(self.folder.con, number)
                if version is None:
                    self.folder.catalog.damaged(f"version {number} is missing")
                check_value(self.folder.catalog, self.folder.con, version)
                yield version

    def pack(self, key: bytes) -> PackInfo | None:
        """Return the pack whose uuid is, or begins with, `key`."""
        pack = self.folder.open_pack(key)
        return PackInfo(pack.uuid, pack.nbytes, tuple(pack.imports))

    def verify(self, uuid: bytes) -> None:
        """Raise unless a pack is sound, for receivers that can't look into it."""
        self.folder.open_pack(uuid).verify()

    def chunks(self, uuid: bytes) -> Iterator[bytes]:
        """Iterate over the bytes of a pack."""
        pack = self.folder.open_pack(uuid)
        with memoryview(pack) as view:
            for start in range(0, len(view), CHUNK):
                yield bytes(view[start : start + CHUNK])
