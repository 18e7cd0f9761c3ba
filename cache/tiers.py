"""`Tier`: the interface of one layer of a cache.

A `TieredCache` asks its tiers from the nearest to the farthest: memory, disk, cluster. What they
hand to each other:

- **keys** are `Digest`s: 16 bytes, made by `digest` from any savable key and by `memoize` from a
  function and its arguments. They mean the same in every process.
- **results** are `Entry`s. `entry.value()` is the value and `entry.pack` its packed image, each
  made from the other when it is first asked for. A tier that stores bytes writes
  `memoryview(entry.pack)`, and gives back `Entry.packed(Pack.from_buffer(...), ...)` with
  `expires`, `tags` and `failure` as they were. The pack depends on no other pack.

A new tier implements the abstract methods. One that several processes use overrides `epoch`,
`marks_since`, `claim` and `release` as well, so that invalidations reach the copies that others
hold, and a result is computed once for all of them.

All methods may be called by any thread. A cache must not take a program down: `get` and `put` of
a tier that can't do their work log a warning, count an error, and miss. Invalidations raise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from pstructs.cache.digests import Digest
from pstructs.cache.entry import Entry
from pstructs.cache.marks import ALL, key_mark, tag_mark

__all__ = ["Tier", "TierInfo"]


class TierInfo(NamedTuple):
    """What a tier has done since it was opened, and what it holds."""

    hits: int
    misses: int
    evictions: int  # to make room; not what expired or was invalidated
    errors: int  # entries that were damaged, and reads or writes that failed
    entries: int
    bytes: int
    limit: int | None  # of bytes


class Tier(ABC):
    """One layer of a cache.

    Attributes
    ----------
    name : str
        What `cache_info` calls it.
    quick : bool
        Whether it answers without waiting for a disk or a network: such a tier is asked right
        in an event loop, another one in a thread.
    on_evict : callable or None
        Told of each entry that had to make room, `(key, entry)`, with no lock held. Set by
        `TieredCache`, which hands the entry to the tier below.
    """

    name: str = "tier"
    quick: bool = False
    on_evict: Callable[[Digest, Entry], None] | None = None

    # ---- what every tier does
    @abstractmethod
    def get(self, key: Digest) -> Entry | None:
        """Return the entry of `key`; None when there is none that is still good."""

    @abstractmethod
    def put(self, key: Digest, entry: Entry, since: int | None = None) -> bool:
        """Keep an entry; False when it was not.

        `since` is the epoch at which the work on it began: an entry whose key or tags were
        invalidated after that is refused.

        Raises
        ------
        UnsavableError
            When the value has to be encoded here and can't be.
        """

    @abstractmethod
    def contains(self, key: Digest) -> bool:
        """Whether there is a good entry; it then counts as used now."""

    @abstractmethod
    def forget(self, mark: bytes) -> int:
        """Remove what a mark means, and count an epoch; return how many entries that were.

        A mark is `key_mark(key)`, `tag_mark(tag)` or `ALL` of `pstructs.cache.marks`.
        """

    @abstractmethod
    def info(self) -> TierInfo:
        """Return the figures of this tier."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections; a second close does nothing."""

    # ---- what tiers for several processes do as well
    @property
    def epoch(self) -> int:
        """How many invalidations there were, by whomever. Read at every lookup: be quick."""
        return 0

    def marks_since(self, epoch: int) -> tuple[int, list[bytes]]:
        """Return the present epoch and what was marked after `epoch`; `[ALL]` if too long ago."""
        return self.epoch, []

    def claim(self, key: Digest) -> bool:
        """Try to become the one who computes `key`, among all who share this tier.

        Called in event loops as well, so it never waits. A claim ends with `release`, and with
        the life of its process.
        """
        return True

    def release(self, key: Digest) -> None:  # noqa: B027  nothing to end without claims
        """End a claim of this process."""

    # ---- the same for all
    def delete(self, key: Digest) -> bool:
        """Remove one entry; whether there was one."""
        return self.forget(key_mark(key)) > 0

    def invalidate(self, tag: str) -> int:
        """Remove all entries with a tag; return how many that were."""
        return self.forget(tag_mark(tag))

    def clear(self) -> int:
        """Remove everything; return how many entries that were."""
        return self.forget(ALL)
