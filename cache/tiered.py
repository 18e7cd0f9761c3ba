"""`TieredCache`: results in several tiers, asked from the nearest to the farthest.

    memory    this process          a microsecond
    disk      this machine          tens of microseconds
    cluster   many machines         (a tier of pstructs.distributed)

A hit below is copied into the tiers above it (*promoted*). A new result is written through to all
tiers, so a process that dies takes nothing along and others find the result at once. What a tier
evicts is offered to the tier below, which may have evicted it earlier, since hits above go
unnoticed there (*demoted*).

What is computed is computed once: by one thread or task of a process (flights.py) and by one
process of those that share a tier (`Tier.claim`). Invalidations go to all tiers; copies that
other processes hold in memory are dropped before their next lookup (marks.py).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any, Self

from pstructs.cache.digests import digest
from pstructs.cache.keep import Keep
from pstructs.cache.marks import ALL, key_mark, tag_mark
from pstructs.cache.resolving import Resolving
from pstructs.cache.tiers import Tier, TierInfo

__all__ = ["TieredCache"]

_ANY = Keep()


class TieredCache(Resolving):
    """A cache of results in one or more tiers.

    Keys are savable values of any kind; they are told apart by their digests, so 1, 1.0 and True
    are three keys. Values are savable; one that can be changed (a list, a dict, an array) is
    handed out as a new copy each time.

    Parameters
    ----------
    *tiers : Tier
        The nearest one first. The cache owns them: `close` closes them.
    wait : float
        Seconds to wait for another process that computes the same result. After that it is
        computed here as well: twice the work, never a wrong answer.
    copies : bool
        False hands out the same object to all, also one that can be changed, as
        `functools.lru_cache` does. Then values that are in memory only need not be savable.
    clock : callable
        Gives the time in seconds; `time.time`.

    Examples
    --------
    >>> import tempfile
    >>> from pstructs.cache import DiskTier, MemoryTier, TieredCache
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with TieredCache(MemoryTier(), DiskTier(folder)) as cache:
    ...         cache.set(("user", 7), {"name": "Ann"}, tags=("users",))
    ...         cache.get(("user", 7))
    ...         cache.invalidate("users")
    ...         cache.get(("user", 7), "nobody")
    {'name': 'Ann'}
    1
    'nobody'
    """

    def __init__(
        self,
        *tiers: Tier,
        wait: float = 600.0,
        copies: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not tiers:
            raise ValueError("a cache needs at least one tier, such as MemoryTier()")
        names = [tier.name for tier in tiers]
        if len(set(names)) < len(names):
            raise ValueError(f"tiers need names of their own, got {names}; set tier.name")
        super().__init__(tiers, wait, copies, clock)
        for place, tier in enumerate(tiers[:-1]):
            tier.on_evict = partial(self._demote, place + 1)

    # ---- single results
    def get(self, key: object, default: Any = None) -> Any:
        """Return the result under `key`, or `default`.

        Raises
        ------
        UnsavableKeyError, UnsavableValueError
            When `key` can't be saved, so that it has no digest.
        """
        entry = self.find(digest(key), _ANY)
        return default if entry is None else entry.value()

    def set(
        self, key: object, value: object, *, ttl: float | None = None, tags: tuple[str, ...] = ()
    ) -> None:
        """Keep `value` under `key` in all tiers, in place of what was there.

        Parameters
        ----------
        key, value : object
            Savable values.
        ttl : float, optional
            Seconds that it is good.
        tags : tuple of str
            What it can be invalidated by.
        """
        name = digest(key)
        entry = self.entry_of(value, Keep(ttl=ttl, tags=tags))
        self._forget(key_mark(name))  # copies of the earlier value that others hold
        self.put_all(name, entry, self.epochs())

    def delete(self, key: object) -> bool:
        """Remove the result under `key` from all tiers; whether there was one."""
        return self._forget(key_mark(digest(key))) > 0

    def __contains__(self, key: object) -> bool:
        self.follow()
        name = digest(key)
        return any(tier.contains(name) for tier in self.tiers)

    def get_or_compute(
        self,
        key: object,
        compute: Callable[[], Any],
        *,
        ttl: float | None = None,
        tags: tuple[str, ...] = (),
        errors: tuple[type[Exception], ...] = (),
        negative_ttl: float | None = None,
        jitter: float = 0.0,
    ) -> Any:
        """Return the result under `key`; when there is none, compute and keep it.

        Of all threads and processes that ask at the same time, one computes and the others wait.

        Parameters
        ----------
        key : object
        compute : callable
            Called without arguments. What it raises is raised, to those who wait as well, and
            not kept.
        ttl : float, optional
            Seconds that the result is good.
        tags : tuple of str
            What it can be invalidated by.
        errors : tuple of exception classes
            Exceptions that are answers: kept, and raised again at the next call.
        negative_ttl : float, optional
            Seconds that None and those exceptions are good, in place of `ttl`.
        jitter : float
            Part of the time to live, 0 to 1, of which a random share is taken off.

        Raises
        ------
        ReentryError
            When `compute` asks for the same key.

        Examples
        --------
        >>> from pstructs.cache import MemoryTier, TieredCache
        >>> cache = TieredCache(MemoryTier())
        >>> cache.get_or_compute("answer", lambda: 6 * 7)
        42
        >>> cache.get_or_compute("answer", lambda: 1 / 0)
        42
        """
        return self.resolve(digest(key), compute, Keep(ttl, tags, errors, negative_ttl, jitter))

    async def get_or_compute_async(
        self,
        key: object,
        compute: Callable[[], Awaitable[Any]],
        *,
        ttl: float | None = None,
        tags: tuple[str, ...] = (),
        errors: tuple[type[Exception], ...] = (),
        negative_ttl: float | None = None,
        jitter: float = 0.0,
    ) -> Any:
        """Do what `get_or_compute` does, with a function that gives an awaitable."""
        keep = Keep(ttl, tags, errors, negative_ttl, jitter)
        return await self.resolve_async(digest(key), compute, keep)

    # ---- all results
    def invalidate(self, *tags: str) -> int:
        """Remove all results with one of `tags`; return how many the fullest tier had.

        Computations that are under way finish, and their results are not kept.

        Examples
        --------
        >>> from pstructs.cache import MemoryTier, TieredCache
        >>> cache = TieredCache(MemoryTier())
        >>> for n in range(3):
        ...     cache.set(n, n * n, tags=("squares",))
        >>> cache.invalidate("squares")
        3
        """
        return sum(self._forget(tag_mark(tag)) for tag in tags)

    def clear(self) -> int:
        """Remove everything from all tiers; return how many results the fullest tier had."""
        return self._forget(ALL)

    def _forget(self, mark: bytes) -> int:
        self.follow()  # what others have invalidated is not counted again
        # from below, so that nothing that is gone above comes back from there
        return max([tier.forget(mark) for tier in reversed(self.tiers)])

    def cache_info(self) -> dict[str, TierInfo]:
        """Return the figures of each tier, by its name."""
        return {tier.name: tier.info() for tier in self.tiers}

    # ---- life
    def close(self) -> None:
        """Close all tiers; a second close does nothing."""
        for tier in self.tiers:
            tier.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<TieredCache of {', '.join(tier.name for tier in self.tiers)}>"
