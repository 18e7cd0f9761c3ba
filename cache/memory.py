"""`MemoryTier`: results in the memory of this process, up to a number of bytes.

cachetools decides who has to go; this module adds what it leaves to its users: a lock, the weight
of results in bytes, expiry of each entry, tags, and figures.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import cachetools

from pstructs.cache.digests import Digest
from pstructs.cache.entry import Entry
from pstructs.cache.forks import after_fork
from pstructs.cache.marks import ALL, Marks, marks_of
from pstructs.cache.tiers import Tier, TierInfo

__all__ = ["MemoryTier"]

_ENTRY_BYTES = 400  # what one more entry takes beside its value


class _Held:
    """An entry, until when it is good here, and what it weighs."""

    __slots__ = ("deadline", "entry", "weight")

    def __init__(self, entry: Entry, deadline: float | None, weight: int) -> None:
        self.entry, self.deadline, self.weight = entry, deadline, weight

    def is_good(self, clock: Callable[[], float]) -> bool:
        return self.deadline is None or clock() < self.deadline


def _evicting(base: Any) -> Any:
    """A cachetools cache of that kind which says whom it evicts."""

    class Evicting(base):  # type: ignore[misc]
        def __init__(self, limit: int, evicted: list[tuple[Digest, _Held]]) -> None:
            super().__init__(limit, getsizeof=lambda held: held.weight)
            self._told = evicted

        def popitem(self) -> tuple[Digest, _Held]:
            lost: tuple[Digest, _Held] = super().popitem()
            self._told.append(lost)
            return lost

        def clear_all(self) -> None:
            self.clear()
            self._told.clear()  # clear() pops one by one

    return Evicting


_POLICIES: dict[str, Any] = {
    "lru": _evicting(cachetools.LRUCache),
    "lfu": _evicting(cachetools.LFUCache),
    "fifo": _evicting(cachetools.FIFOCache),
}


class MemoryTier(Tier):
    """Results in memory; the fastest tier, and the first of a `TieredCache`.

    Parameters
    ----------
    limit : int
        Bytes that the entries may take. A value that was computed here counts with an estimate
        of its size in memory; one that came from a tier below, or is kept as an image because it
        can be changed, with the size of its pack.
    policy : {"lru", "lfu", "fifo"}
        Who makes room: the entry that was used longest ago, the one used least, or the oldest.
    ttl : float, optional
        Seconds that an entry stays here at most, whatever its own time to live.
    clock : callable
        Gives the time in seconds; `time.time`.

    Notes
    -----
    *Cost*: O(1) a lookup, about a microsecond.

    Examples
    --------
    >>> from pstructs.cache import Entry, digest
    >>> tier = MemoryTier(limit=100_000)
    >>> tier.put(digest("a"), Entry.of("alpha", tags=("greek",)))
    True
    >>> tier.get(digest("a")).value()
    'alpha'
    >>> tier.invalidate("greek"), tier.get(digest("a"))
    (1, None)
    """

    name = "memory"
    quick = True

    def __init__(
        self,
        limit: int = 256 * 2**20,
        *,
        policy: str = "lru",
        ttl: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if policy not in _POLICIES:
            raise ValueError(f"policy is one of {', '.join(map(repr, _POLICIES))}, got {policy!r}")
        if limit <= 0:
            raise ValueError(f"limit is a number of bytes above 0, got {limit!r}")
        if ttl is not None and ttl <= 0:
            raise ValueError(f"ttl is a number of seconds above 0, got {ttl!r}")
        self.limit, self.ttl, self._clock = limit, ttl, clock
        self._make = _POLICIES[policy]
        self._marks = Marks()
        self._hits = self._misses = self._evictions = 0
        self._reset()
        after_fork(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._evicted: list[tuple[Digest, _Held]] = []
        self._held = self._make(self.limit, self._evicted)
        self._by_tag: dict[str, set[Digest]] = {}

    @property
    def epoch(self) -> int:
        """How many invalidations there were."""
        return self._marks.epoch

    def get(self, key: Digest) -> Entry | None:
        """Return the entry of `key`, if there is one that has not expired."""
        with self._lock:
            held = self._held.get(key)
            if held is not None and held.is_good(self._clock):
                self._hits += 1
                entry: Entry = held.entry
                return entry
            if held is not None:
                self._drop(key)
            self._misses += 1
            return None

    def put(self, key: Digest, entry: Entry, since: int | None = None) -> bool:
        """Keep an entry, unless it is larger than the whole tier or was invalidated."""
        entry = entry.slim()
        deadline = entry.expires
        if self.ttl is not None:
            most = self._clock() + self.ttl
            deadline = most if deadline is None else min(deadline, most)
        held = _Held(entry, deadline, entry.weight + _ENTRY_BYTES)
        with self._lock:
            if since is not None and self._marks.hits(since, marks_of(key, entry.tags)):
                return False
            self._drop(key)
            if held.weight > self.limit:
                return False
            self._held[key] = held
            for tag in entry.tags:
                self._by_tag.setdefault(tag, set()).add(key)
            evicted = self._evicted[:]
            self._evicted.clear()
            for other, lost in evicted:
                self._untag(other, lost.entry.tags)
            self._evictions += len(evicted)
        if self.on_evict is not None:
            for other, lost in evicted:
                if lost.is_good(self._clock):
                    self.on_evict(other, lost.entry)
        return True

    def contains(self, key: Digest) -> bool:
        """Whether there is an entry that has not expired; it then counts as used now."""
        with self._lock:
            held = self._held.get(key)
            return held is not None and held.is_good(self._clock)

    def forget(self, mark: bytes) -> int:
        """Remove what a mark means; return how many entries that were."""
        with self._lock:
            self._marks.add(mark)
            if mark == ALL:
                count = len(self._held)
                self._held.clear_all()
                self._by_tag.clear()
                return count
            if mark[:1] == b"k":
                return int(self._drop(Digest(mark[1:])))
            keys = list(self._by_tag.get(mark[1:].decode(), ()))
            return sum(map(self._drop, keys))

    def _drop(self, key: Digest) -> bool:
        held = self._held.pop(key, None)
        if held is None:
            return False
        self._untag(key, held.entry.tags)
        return True

    def _untag(self, key: Digest, tags: tuple[str, ...]) -> None:
        for tag in set(tags):
            keys = self._by_tag[tag]
            keys.discard(key)
            if not keys:
                del self._by_tag[tag]

    def info(self) -> TierInfo:
        """Return the figures of this tier."""
        with self._lock:
            return TierInfo(
                self._hits,
                self._misses,
                self._evictions,
                0,
                len(self._held),
                int(self._held.currsize),
                self.limit,
            )

    def close(self) -> None:
        """Let go of all entries."""
        with self._lock:
            self._held.clear_all()
            self._by_tag.clear()

    def _after_fork(self) -> None:
        """Another thread of the parent may have been in the middle of a change."""
        if self._lock.locked():
            self._reset()
        # one that was about to wake up with the lock has it already, and has not said so yet
        self._lock = threading.Lock()
