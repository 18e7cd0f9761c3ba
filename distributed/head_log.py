"""What a head's actor keeps: its last versions, the packs that they live in, and write ids.

Two kinds. `MemoryLog` keeps packs in memory and lets those go that no kept version reaches; when
most of what it keeps is old, the next version is packed whole. `StoreLog` commits every version to
a `SnapshotStore`, whose packs it hands out as they are; what it knows besides (numbers and write
ids) is said in the versions' metadata, so that a new actor goes on where the last one ended.

A version is a `Row`. Numbers count from 1 without gaps. Packs know the packs that they point into
by the first 8 bytes of their uuids, and that is how everyone asks for them.
"""

from __future__ import annotations

import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from pstructs.cache import SnapshotStore, Version
from pstructs.cache.commit import Durable
from pstructs.errors import (
    HeadGoneError,
    MissingPackError,
    MissingVersionError,
    StoreFullError,
)
from pstructs.packs import Pack, PackWriter

__all__ = ["MemoryLog", "Row", "StoreLog"]

KEEP_IDS = 10_000
"""Write ids that are remembered: a retry that comes later is a write of its own."""

WHOLE_ABOVE = 1_000_000
"""Bytes of packs that a memory log adds before it packs a small value whole."""

SHORT = 8


class Row(NamedTuple):
    """One version.

    Attributes
    ----------
    number : int
    digest : bytes
        Of the value: equal digests, equal values.
    pack : bytes
        Uuid of the pack whose root is the value.
    writes : int
        How many writes it took in: several when they were merged.
    time : float
        Seconds since 1970.
    """

    number: int
    digest: bytes
    pack: bytes
    writes: int
    time: float


class Log:
    """The rows, the write ids, and where the head is.

    Parameters
    ----------
    keep : int
        Versions that readers can still ask for.
    """

    def __init__(self, keep: int) -> None:
        self.rows: deque[Row] = deque(maxlen=keep)
        self.born: dict[bytes, int] = {}  # pack -> version that brought it, of the kept rows
        self.applied: OrderedDict[str, int] = OrderedDict()  # write id -> version

    @property
    def row(self) -> Row:
        """The newest version."""
        return self.rows[-1]

    def find(self, number: int) -> Row | None:
        """The version of that number, if it is kept."""
        at = number - self.rows[0].number
        return self.rows[at] if 0 <= at < len(self.rows) else None

    def since(self, number: int) -> list[Row]:
        """The kept versions after that one, the oldest first."""
        return [
            self.rows[i] for i in range(max(0, number - self.rows[0].number + 1), len(self.rows))
        ]

    def take(self, row: Row, write_ids: Iterable[str]) -> None:
        """Make a committed version the newest one."""
        if len(self.rows) == self.rows.maxlen:
            oldest = self.rows[0]
            if self.born.get(oldest.pack[:SHORT]) == oldest.number:
                del self.born[oldest.pack[:SHORT]]
        self.rows.append(row)
        self.born.setdefault(row.pack[:SHORT], row.number)
        self.remember(row.number, write_ids)

    def remember(self, number: int, write_ids: Iterable[str]) -> None:
        """Note that these writes are in a version."""
        for write_id in write_ids:
            self.applied[write_id] = number
        while len(self.applied) > KEEP_IDS:
            self.applied.popitem(last=False)


class Kept:
    """A pack in memory, and those it needs."""

    __slots__ = ("__weakref__", "needs", "pack")

    def __init__(self, pack: Pack, needs: tuple[Kept, ...]) -> None:
        self.pack, self.needs = pack, needs


class MemoryLog(Log):
    """Versions that live as long as the actor.

    Parameters
    ----------
    value : object
        The first version.
    keep : int
    """

    def __init__(self, value: Any, keep: int) -> None:
        super().__init__(keep)
        self._kept: weakref.WeakValueDictionary[bytes, Kept] = weakref.WeakValueDictionary()
        self._roots: deque[Kept] = deque(maxlen=keep)
        self._added = self._whole = 0
        self.take(self.commit(value, []), [])

    def commit(self, value: Any, write_ids: list[str]) -> Row:
        """Pack a value as the next version; `take` makes it the newest."""
        rewrite = self._added > max(WHOLE_ABOVE, self._whole)
        writer = PackWriter(value, importable=None if rewrite else self._mine)
        pack = Pack.from_buffer(bytes(writer.image), trusted=True, resolve=self.pack, owner=self)
        if not pack.imports:
            self._added, self._whole = 0, pack.nbytes
        self._added += pack.nbytes
        kept = Kept(pack, tuple(self._kept[short] for short in pack.imports))
        self._kept[pack.uuid[:SHORT]] = kept
        self._roots.append(kept)
        number = self.rows[-1].number + 1 if self.rows else 1
        return Row(number, pack.root_digest, pack.uuid, max(1, len(write_ids)), time.time())

    def _mine(self, pack: Pack) -> bool:
        return pack.owner is self

    def pack(self, key: bytes) -> Pack:
        """The pack whose uuid begins with these bytes."""
        kept = self._kept.get(key[:SHORT])
        if kept is None:
            raise MissingPackError(f"the head no longer keeps pack {key.hex()}")
        return kept.pack

    def refresh(self) -> bool:
        """Whether someone else moved the head: never."""
        return False

    def unsure(self, error: Exception) -> bool:
        """Whether a version may be there although its commit failed: never."""
        return False

    def close(self) -> None:
        """Nothing to close."""


class StoreLog(Log):
    """Versions in a snapshot store; opening one goes on where it ends.

    Parameters
    ----------
    path : str
    head : str
    keep : int
    durable : str

    There are no rows when the store has no such head yet: `commit` a first value then.
    """

    def __init__(self, path: str, head: str, keep: int, durable: Durable) -> None:
        super().__init__(keep)
        self._store = SnapshotStore(path, durable)
        self._head = head
        self._at: Version | None = None
        if head in self._store.heads():
            self.refresh()

    def commit(self, value: Any, write_ids: list[str]) -> Row:
        """Save a value as the next version; `take` makes it the newest.

        Raises
        ------
        HeadMovedError
            When someone else saved to the head; `refresh`, and make the change again.
        """
        number = self.rows[-1].number + 1 if self.rows else 1
        self._at = self._store.save(
            value, head=self._head, expected=self._at, meta=_said(number, write_ids)
        )
        return _row(self._at, number, max(1, len(write_ids)))

    def pack(self, key: bytes) -> Pack:
        """The pack whose uuid begins with these bytes."""
        return self._store._folder.open_pack(key)

    def refresh(self) -> bool:
        """Take in what was saved to the head by others; whether there was something."""
        try:
            newest = self._store.version(self._head)
        except MissingVersionError:
            raise HeadGoneError(
                f"the head {self._head!r} was deleted from its store by someone else. end() it, "
                "or let it be a branch in the store again"
            ) from None
        if newest == self._at:
            return False
        number = 0
        for version in self._newest_last(newest):
            noted, write_ids = _unsaid(version)
            number = noted or number + 1
            if not self.rows or number > self.row.number:
                if self.rows and number > self.row.number + 1:  # the head was moved back there
                    self.rows.clear()
                    self.born.clear()
                self.take(_row(version, number, max(1, len(write_ids))), write_ids)
        if not self.rows or self.row.digest.hex() != newest.root:  # moved by hand, or a branch
            number = self.row.number + 1 if self.rows else 1
            self.take(_row(newest, number, 1), [])
        self._at = newest
        return True

    def unsure(self, error: Exception) -> bool:
        """Whether a version may be there although its commit failed."""
        return not isinstance(error, StoreFullError | HeadGoneError)

    def _newest_last(self, newest: Version) -> list[Version]:
        """The last versions of the head, from one on whose number is known."""
        for limit in (self.rows.maxlen, None):
            log = self._store.log(newest, limit)
            versions = [version for version in reversed(log) if version.head == self._head]
            if versions and _unsaid(versions[0])[0]:
                break
        return versions

    def close(self) -> None:
        """Close the store."""
        self._store.close()


def _row(version: Version, number: int, writes: int) -> Row:
    return Row(
        number,
        bytes.fromhex(version.root),
        bytes.fromhex(version.pack),
        writes,
        version.time / 1e9,
    )


def _said(number: int, write_ids: list[str]) -> dict[str, Any]:
    """What a version's metadata say."""
    return {"head": {"number": number, "writes": write_ids}}


def _unsaid(version: Version) -> tuple[int, list[str]]:
    """Number and write ids that a version's metadata say; 0 when a head did not make it."""
    try:
        said = version.meta["head"]
        return int(said["number"]), list(said["writes"])
    except (ValueError, KeyError, TypeError):
        return 0, []
