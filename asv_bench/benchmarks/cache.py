"""`memoize` beside the caches for functions that others offer: a hit and a miss of each.

functools and cachetools hash arguments and keep results in memory, by reference. diskcache and
joblib pickle arguments and results onto the disk. The functions do nothing, so what is measured
is the cache. A hit on disk is one that memory does not have: `pstructs disk` has no other tier.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .rivals import _need, words

_SMALL = 10_000  # results that the small caches hold


def _plain(folder: Path) -> Callable[[Any], Any]:
    return lambda function: function


def _lru_cache(folder: Path) -> Callable[[Any], Any]:
    from functools import lru_cache

    return lru_cache(_SMALL)


def _cachetools(folder: Path) -> Callable[[Any], Any]:
    cachetools = _need("cachetools")
    made: Callable[[Any], Any] = cachetools.cached(
        cachetools.LRUCache(_SMALL), condition=threading.Condition()
    )
    return made


def _pstructs(*tiers: str) -> Callable[[Path], Callable[[Any], Any]]:
    def make(folder: Path) -> Callable[[Any], Any]:
        from pstructs.cache import DiskTier, MemoryTier, TieredCache, memoize

        kinds = {"memory": MemoryTier, "disk": lambda: DiskTier(folder / "results")}
        return memoize(TieredCache(*[kinds[tier]() for tier in tiers]))

    return make


def _diskcache(folder: Path) -> Callable[[Any], Any]:
    made: Callable[[Any], Any] = _need("diskcache").Cache(str(folder / "diskcache")).memoize()
    return made


def _joblib(folder: Path) -> Callable[[Any], Any]:
    made: Callable[[Any], Any] = _need("joblib").Memory(str(folder), verbose=0).cache
    return made


RIVALS: dict[str, Callable[[Path], Callable[[Any], Any]]] = {
    "no cache": _plain,
    "functools.lru_cache": _lru_cache,
    "cachetools.cached": _cachetools,
    "pstructs memory": _pstructs("memory"),
    "pstructs memory and disk": _pstructs("memory", "disk"),
    "pstructs disk": _pstructs("disk"),
    "diskcache memoize": _diskcache,
    "joblib.Memory": _joblib,
}


def first(value: Any, more: int = 0) -> Any:
    """Return what tells one call from another."""
    return more


class _Memoized:
    params = (tuple(RIVALS),)
    param_names = ("rival",)
    timeout = 300

    def setup(self, rival: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pstructs-bench-"))
        self.make = RIVALS[rival](self.folder)
        self.fresh = itertools.count(10**9)
        self.prepare()

    def prepare(self) -> None:
        raise NotImplementedError

    def teardown(self, rival: str) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class SmallCalls(_Memoized):
    """An int and a str as arguments, an int as the result."""

    def prepare(self) -> None:
        self.call = self.make(first)
        self.call("some user", 7)

    def time_hit(self, rival: str) -> None:
        self.call("some user", 7)

    def time_hit_by_keyword(self, rival: str) -> None:
        self.call("some user", more=7)

    def time_miss(self, rival: str) -> None:
        self.call("some user", next(self.fresh))


class LargeArgument(_Memoized):
    """A map of 100,000 entries as the argument; a `PMap` where the rival can hash it."""

    def prepare(self) -> None:
        from pstructs import pmap

        self.source = {key: n for n, key in enumerate(words(100_000))}
        self.argument = pmap(self.source)
        self.call = self.make(first)
        self.call(self.argument, 7)

    def time_hit_with_the_same_map(self, rival: str) -> None:
        self.call(self.argument, 7)


class LargeResult(_Memoized):
    """A map of 100,000 entries as the result."""

    def prepare(self) -> None:
        from pstructs import pmap

        self.result = pmap({key: n for n, key in enumerate(words(100_000))})
        self.key = next(iter(self.result))
        self.call = self.make(_result_of)
        _results.append(self.result)
        self.call(7)

    def teardown(self, rival: str) -> None:
        _results.clear()
        super().teardown(rival)

    def time_hit_and_first_lookup(self, rival: str) -> None:
        self.call(7)[self.key]


_results: list[Any] = []


def _result_of(n: int) -> Any:
    return _results[-1]
