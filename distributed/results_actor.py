"""The actor behind a `ClusterTier`: results by their keys, claims, and what was invalidated.

Results are packs. Small ones are kept in the actor and travel within an answer; large ones are in
the object store, owned by the actor, and are read in place. When they exceed the limit, those used
longest ago go.

A process that uses the tier asks again and again for news of invalidations; that is also how the
actor knows that it lives. Claims of a process that has not asked for a while (`lease`) are over.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections import Counter, OrderedDict
from typing import Any, NamedTuple

from pstructs.cache.marks import ALL, KEPT, key_mark, tag_mark

__all__ = ["Kept", "ResultsActor"]

INLINE = 64_000
"""Bytes up to which a result is kept in the actor: an object of its own costs 0.6 ms to put."""


class Kept(NamedTuple):
    """A result: its pack or a reference to it, its size, and what `Entry` says of it."""

    pack: Any
    size: int
    expires: float | None
    tags: tuple[str, ...]
    failure: bool


class ResultsActor:
    """Results of one tier.

    Parameters
    ----------
    limit : int
        Bytes of packs.
    lease : float
        Seconds that a claim lasts without news of its process.
    """

    def __init__(self, limit: int, lease: float) -> None:
        self.limit, self.lease = limit, lease
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()  # those used last at the end
        self._tagged: dict[str, set[bytes]] = {}
        self._bytes = 0
        self._claims: dict[bytes, str] = {}
        self._heard: OrderedDict[str, float] = OrderedDict()  # last at the end
        self._counts: Counter[str] = Counter()
        # Epochs go on increasing when the actor is started anew, and then all is forgotten.
        self._epoch = time.time_ns() // 1000
        self._marks: OrderedDict[bytes, int] = OrderedDict({ALL: self._epoch})
        self._waiting: set[asyncio.Future[None]] = set()

    # ---- results
    async def get(self, key: bytes) -> Kept | None:
        """The result of `key`, which then counts as used last."""
        kept = self._good(key)
        self._counts["hits" if kept else "misses"] += 1
        return kept

    async def contains(self, key: bytes) -> bool:
        """Whether there is a good result; it then counts as used last."""
        return self._good(key) is not None

    def _good(self, key: bytes) -> Kept | None:
        kept = self._kept.get(key)
        if kept is not None and kept.expires is not None and kept.expires <= time.time():
            self._remove(key)
            kept = None
        if kept is not None:
            self._kept.move_to_end(key)
        return kept

    async def put(self, key: bytes, result: Kept, since: int | None) -> bool:
        """Keep a result, unless it was invalidated since or is larger than the tier."""
        marks = [ALL, key_mark(key), *map(tag_mark, result.tags)]
        if since is not None and any(self._marks.get(mark, 0) > since for mark in marks):
            return False
        if since is not None and since < next(iter(self._marks.values())) - 1:
            return False  # marks from then are forgotten
        if result.size > self.limit:
            return False
        self._remove(key)
        if result.size > INLINE:
            result = result._replace(pack=importlib.import_module("ray").put(result.pack))
        self._kept[key] = result
        self._bytes += result.size
        for tag in result.tags:
            self._tagged.setdefault(tag, set()).add(key)
        while self._bytes > self.limit:
            self._remove(next(iter(self._kept)))
            self._counts["evictions"] += 1
        return True

    def _remove(self, key: bytes) -> bool:
        kept = self._kept.pop(key, None)
        if kept is None:
            return False
        self._bytes -= kept.size
        for tag in kept.tags:
            keys = self._tagged[tag]
            keys.discard(key)
            if not keys:
                del self._tagged[tag]
        return True

    # ---- invalidations
    async def forget(self, mark: bytes) -> int:
        """Remove what a mark means; how many results that were."""
        if mark == ALL:
            keys = list(self._kept)
        elif mark[:1] == b"k":
            keys = [mark[1:]]
        else:
            keys = list(self._tagged.get(mark[1:].decode(), ()))
        gone = sum(map(self._remove, keys))
        self._epoch += 1
        self._marks.pop(mark, None)
        self._marks[mark] = self._epoch
        if len(self._marks) > KEPT:
            self._marks.popitem(last=False)
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        return gone

    async def news(self, who: str, epoch: int, seconds: float) -> tuple[int, list[bytes]]:
        """What was marked after `epoch`, waiting for it; and that `who` lives."""
        self._hear(who)
        seconds = min(seconds, self.lease / 4)
        if epoch == self._epoch and seconds > 0:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(waiter)
            await asyncio.wait([waiter], timeout=seconds)
            self._waiting.discard(waiter)
            self._hear(who)
        if epoch == self._epoch:
            return epoch, []
        oldest = next(iter(self._marks.values()))
        if epoch < oldest - 1 or epoch > self._epoch:
            return self._epoch, [ALL]
        return self._epoch, [mark for mark, at in self._marks.items() if at > epoch]

    # ---- claims
    async def claim(self, who: str, key: bytes) -> bool:
        """Let a process be the one that computes `key`, if no living one is."""
        self._hear(who)
        if key in self._claims:
            return False
        self._claims[key] = who
        return True

    async def release(self, who: str, key: bytes) -> None:
        """End a claim of that process."""
        if self._claims.get(key) == who:
            del self._claims[key]

    def _hear(self, who: str) -> None:
        """Note that a process lives, and let those go that were not heard of for a lease."""
        now = time.monotonic()
        self._heard[who] = now
        self._heard.move_to_end(who)
        while now - self._heard[first := next(iter(self._heard))] > self.lease:
            self._leave(first)

    async def leave(self, who: str) -> None:
        """End all claims of a process that goes."""
        self._leave(who)

    def _leave(self, who: str) -> None:
        self._heard.pop(who, None)
        for key in [key for key, owner in self._claims.items() if owner == who]:
            del self._claims[key]

    async def info(self) -> tuple[int, int, int, int, int, int]:
        """Return hits, misses, evictions, entries, bytes and the limit."""
        counts = (self._counts[name] for name in ("hits", "misses", "evictions"))
        return (*counts, len(self._kept), self._bytes, self.limit)  # type: ignore[return-value]
