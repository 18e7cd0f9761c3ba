"""Sorted maps: beside sortedcontainers' SortedDict, which is mutable, and so the floor.

One operation a benchmark, 1000 calls each unless it works on the whole map. `SortedDict` looks up
in a dict; single updates of it are timed in place, with nothing kept.
"""

from __future__ import annotations

import gc
import importlib
import random
import tracemalloc
from typing import Any

RIVALS = ("pstructs", "sortedcontainers")
SIZES = (1000, 100_000, 1_000_000)
CALLS = 1000


def _build(rival: str, source: Any) -> Any:
    if rival == "pstructs":
        return importlib.import_module("pstructs").psortedmap(source)
    try:
        return importlib.import_module("sortedcontainers").SortedDict(source)
    except ImportError as error:
        raise NotImplementedError("sortedcontainers is not installed") from error


class Sorted:
    """int -> int: a time series, with keys in steps of three."""

    params = (RIVALS, SIZES, ("int", "str"))
    param_names = ("rival", "entries", "keys")

    def setup(self, rival: str, entries: int, keys: str) -> None:
        rng = random.Random(5)
        if keys == "int":
            self.keys: list[Any] = [3 * i for i in range(entries)]
        else:
            self.keys = sorted(f"{rng.getrandbits(64):016x}" for _ in range(entries))
        self.source = dict.fromkeys(self.keys, 0)
        self.map = _build(rival, self.source)
        self.hits = [rng.choice(self.keys) for _ in range(CALLS)]
        shuffled = self.keys[:]
        rng.shuffle(shuffled)
        self.shuffled = dict.fromkeys(shuffled, 0)

    def time_get(self, rival: str, entries: int, keys: str) -> None:
        m = self.map
        for key in self.hits:
            m[key]

    def time_bisect(self, rival: str, entries: int, keys: str) -> None:
        m = self.map
        for key in self.hits:
            m.bisect_left(key)

    def time_scan_80_percent(self, rival: str, entries: int, keys: str) -> None:
        for _ in self.map.irange(self.keys[entries // 10], self.keys[entries * 9 // 10]):
            pass

    def time_scan_100_backwards(self, rival: str, entries: int, keys: str) -> None:
        m, top = self.map, self.keys
        for i in range(100, min(entries, 1000)):
            for _ in m.irange(top[i - 100], top[i], reverse=True):
                pass

    def time_iterate_items(self, rival: str, entries: int, keys: str) -> None:
        for _ in self.map.items():
            pass

    def time_build_sorted(self, rival: str, entries: int, keys: str) -> None:
        _build(rival, self.source)

    def time_build_shuffled(self, rival: str, entries: int, keys: str) -> None:
        _build(rival, self.shuffled)


class Append:
    """All keys, one after the other, at the end."""

    params = (RIVALS, SIZES[:2])
    param_names = ("rival", "entries")

    def setup(self, rival: str, entries: int) -> None:
        self.keys = list(range(entries))
        _build(rival, {})

    def time_append(self, rival: str, entries: int) -> None:
        m = _build(rival, {})
        if rival == "pstructs":
            m = m.evolver()
        for key in self.keys:
            m[key] = None


class Versions:
    """What only a persistent map does."""

    params = (SIZES,)
    param_names = ("entries",)

    def setup(self, entries: int) -> None:
        self.map = _build("pstructs", {i: i for i in range(entries)})
        rng = random.Random(7)
        self.hits = [rng.randrange(entries) for _ in range(CALLS)]
        self.below, self.rest = self.map.split(entries // 2)
        self.variant = self.map.update(dict.fromkeys(self.hits, "new"))

    def time_set(self, entries: int) -> None:
        m = self.map
        for key in self.hits:
            m.set(key, "new")

    def time_append_persistent(self, entries: int) -> None:
        m = self.map
        for key in range(entries, entries + CALLS):
            m = m.set(key, 0)

    def time_slice(self, entries: int) -> None:
        m = self.map
        for key in self.hits:
            m.between(key, key + 100)

    def time_join_disjoint(self, entries: int) -> None:
        self.below | self.rest

    def time_union_of_a_variant(self, entries: int) -> None:
        self.map | self.variant

    def track_kept_version_bytes(self, entries: int) -> float:
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            kept = [self.map.set(key, "new") for key in self.hits]
            return (tracemalloc.get_traced_memory()[0] - before) / len(kept)
        finally:
            tracemalloc.stop()

    track_kept_version_bytes.unit = "bytes"  # type: ignore[attr-defined]
