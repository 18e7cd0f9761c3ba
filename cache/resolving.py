"""`Resolving`: how a `TieredCache` finds a result in its tiers, or has it computed once.

The leader of a flight goes through these steps, plain or async:

    search the tiers ─► claim in the shared tiers, waiting for other processes ─►
    search again, for what they computed ─► compute ─► put into all tiers ─► release
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from pstructs.cache.digests import Digest
from pstructs.cache.entry import Entry
from pstructs.cache.flights import Flight, Flights, running_loop
from pstructs.cache.forks import after_fork
from pstructs.cache.keep import Keep
from pstructs.cache.tiers import Tier
from pstructs.errors import UnsavableError

__all__ = ["Resolving"]

_T = TypeVar("_T")

_log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.05  # seconds between two looks at another's claim


class _Landed(NamedTuple):
    """The end of a flight: its entry, and what its leader returns or raises, where it computed."""

    entry: Entry
    computed: bool = False
    value: Any = None
    error: Exception | None = None

    def give(self, keep: Keep) -> Any:
        """Return or raise what the leader gets."""
        if not self.computed:
            return keep.open(self.entry)
        if self.error is not None:
            raise self.error
        return self.value


def _pauses(wait: float) -> Iterator[float]:
    """How long to sleep between two looks, until the time is up."""
    end, pause = time.monotonic() + wait, _FIRST_PAUSE
    while (left := end - time.monotonic()) > 0:
        yield min(pause, left)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


class Resolving:
    """Lookups and computations over tiers."""

    def __init__(
        self, tiers: tuple[Tier, ...], wait: float, copies: bool, clock: Callable[[], float]
    ) -> None:
        self.tiers, self._wait, self._copies, self._clock = tiers, wait, copies, clock
        self._flights = Flights()
        self._local = threading.local()
        self._first = tiers[0] if tiers[0].quick else None
        self._slow = not all(tier.quick for tier in tiers)
        # tiers below the first in which others may invalidate
        self._shared = [
            i for i, tier in enumerate(tiers) if i and type(tier).epoch is not Tier.epoch
        ]
        self._seen = [tier.epoch for tier in tiers]
        self._after_fork()
        after_fork(self)

    def _after_fork(self) -> None:
        self._follow_lock = threading.Lock()

    # ---- invalidations by others
    def follow(self) -> None:
        """Drop from the tiers above what was invalidated in a shared one since the last look."""
        for place in self._shared:
            if self.tiers[place].epoch != self._seen[place]:
                self._catch_up(place)

    def _catch_up(self, place: int) -> None:
        with self._follow_lock:
            epoch, marks = self.tiers[place].marks_since(self._seen[place])
            for mark in marks:
                for tier in self.tiers[:place]:
                    tier.forget(mark)
            self._seen[place] = epoch

    def epochs(self) -> tuple[int, ...]:
        """Return where each tier is: what begins now may be put unless it is marked later."""
        self.follow()
        seen = self._seen
        return tuple([seen[i] if i in self._shared else t.epoch for i, t in enumerate(self.tiers)])

    # ---- the tiers as one
    def near(self, key: Digest) -> Entry | None:
        """Return the entry in the first tier, if that one is quick."""
        if self._first is None:
            return None
        if self._shared:
            self.follow()
        return self._first.get(key)

    def find(self, key: Digest, keep: Keep, start: int = 0) -> Entry | None:
        """Return the entry of `key` from the first tier that has it, promoted to those above."""
        since = self.epochs()
        for place in range(start, len(self.tiers)):
            entry = self.tiers[place].get(key)
            if entry is not None and keep.accepts(entry):
                for above in reversed(range(place)):
                    self._put(above, key, entry, since)
                return entry
        return None

    def _search(self, key: Digest, keep: Keep) -> Entry | None:
        """Look into all tiers, after `near` found nothing; only what it did not see counts."""
        missed = self._first is not None and not self._first.contains(key)
        return self.find(key, keep, int(missed))

    def _search_again(self, key: Digest, keep: Keep) -> Entry | None:
        """Look for what another process computed before the claim; a miss is not counted twice."""
        self.follow()
        if any(tier.contains(key) for tier in self.tiers):
            return self.find(key, keep)
        return None

    def put_all(self, key: Digest, entry: Entry, since: tuple[int, ...]) -> None:
        """Put an entry into all tiers, the farthest first."""
        for place in reversed(range(len(self.tiers))):
            self._put(place, key, entry, since)

    def _put(self, place: int, key: Digest, entry: Entry, since: tuple[int, ...]) -> None:
        self._local.since = since  # of what this put evicts as well, see _demote
        self.tiers[place].put(key, entry, since[place])

    def _demote(self, place: int, key: Digest, entry: Entry) -> None:
        """Hand what the tier above evicted to this one, unless it has it."""
        tier = self.tiers[place]
        if not tier.contains(key):
            since: tuple[int, ...] = getattr(self._local, "since", None) or tuple(self._seen)
            tier.put(key, entry, since[place])

    def entry_of(self, value: object, keep: Keep) -> Entry:
        """Return the entry of a new result.

        Raises
        ------
        UnsavableError
            When some tier needs it packed and it can't be.
        """
        try:
            entry = keep.result(value, self._clock(), self._copies)
            if self._slow:
                entry.pack  # noqa: B018  now, so that it fails before any tier has it
        except UnsavableError as error:
            raise type(error)(f"the result can't be cached: {error}") from error
        return entry

    # ---- computing, once
    def resolve(self, key: Digest, compute: Callable[[], Any], keep: Keep) -> Any:
        """Return the result of `key`, computed by the first who asks for it."""
        return self.once(key, compute, keep, self.near(key))

    def once(
        self, key: Digest, compute: Callable[[], Any], keep: Keep, entry: Entry | None
    ) -> Any:
        """Do what `resolve` does after `entry` is what `near` gave."""
        while entry is None or not keep.accepts(entry):
            flight, mine = self._flights.join(key, None)
            if mine:
                with self._flights.landing(flight):
                    landed = self._lead(flight, compute, keep)
                    flight.entry = landed.entry
                return landed.give(keep)
            entry = flight.wait()
        return keep.open(entry)

    def _lead(self, flight: Flight, compute: Callable[[], Any], keep: Keep) -> _Landed:
        key = flight.key
        entry = self._search(key, keep)
        if entry is not None:
            return _Landed(entry)
        with self._claims(key) as claims:
            for pause in claims:
                time.sleep(pause)
            entry = self._search_again(key, keep) if self._slow else None
            if entry is not None:
                return _Landed(entry)
            since = self.epochs()
            value: Any = None
            failed: Exception | None = None
            try:
                with self._flights.inside(flight):
                    value = compute()
            except keep.errors as error:
                failed = error
            landed = self._landed(value, failed, keep)
            self.put_all(key, landed.entry, since)
            return landed

    async def resolve_async(
        self, key: Digest, compute: Callable[[], Awaitable[Any]], keep: Keep
    ) -> Any:
        """Do what `resolve` does, in an event loop and without blocking it."""
        return await self.once_async(key, compute, keep, self.near(key))

    async def once_async(
        self,
        key: Digest,
        compute: Callable[[], Awaitable[Any]],
        keep: Keep,
        entry: Entry | None,
    ) -> Any:
        """Do what `once` does, in an event loop and without blocking it."""
        while entry is None or not keep.accepts(entry):
            flight, mine = self._flights.join(key, running_loop())
            if mine:
                with self._flights.landing(flight):
                    landed = await self._lead_async(flight, compute, keep)
                    flight.entry = landed.entry
                return landed.give(keep)
            entry = await flight.wait_async()
        return keep.open(entry)

    async def _lead_async(
        self, flight: Flight, compute: Callable[[], Awaitable[Any]], keep: Keep
    ) -> _Landed:
        key = flight.key
        entry = await self._off(self._search, key, keep)
        if entry is not None:
            return _Landed(entry)
        with self._claims(key) as claims:
            for pause in claims:
                await asyncio.sleep(pause)
            entry = await self._off(self._search_again, key, keep) if self._slow else None
            if entry is not None:
                return _Landed(entry)
            since = self.epochs()
            value: Any = None
            failed: Exception | None = None
            try:
                with self._flights.inside(flight):
                    value = await compute()
            except keep.errors as error:
                failed = error
            landed = await self._off(self._landed, value, failed, keep)
            await self._off(self.put_all, key, landed.entry, since)
            return landed

    async def _off(self, work: Callable[..., _T], *values: Any) -> _T:
        """Do what may wait for a disk or a network in a thread."""
        return await asyncio.to_thread(work, *values) if self._slow else work(*values)

    def _landed(self, value: Any, failed: Exception | None, keep: Keep) -> _Landed:
        if failed is None:
            return _Landed(self.entry_of(value, keep), True, value)
        entry = keep.failure(failed, self._clock())
        if entry is None:
            raise failed
        return _Landed(entry, True, None, failed)

    @contextmanager
    def _claims(self, key: Digest) -> Iterator[Iterator[float]]:
        """Hold the claims of `key` in all shared tiers, once the pauses that this gives are over.

        An owner that died has lost its claim. One that takes longer than `wait` is not waited for.
        """
        held: list[Tier] = []

        def take() -> Iterator[float]:
            for tier in self.tiers:
                for pause in _pauses(self._wait):
                    if tier.claim(key):
                        held.append(tier)
                        break
                    yield pause
                else:
                    _log.warning(
                        "another process has been computing %s for %g s; it is computed here, too",
                        key.hex(),
                        self._wait,
                    )

        try:
            yield take()
        finally:
            for tier in reversed(held):
                tier.release(key)
