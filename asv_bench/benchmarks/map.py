"""Maps: one operation a benchmark, 1000 calls each unless it works on the whole map."""

from __future__ import annotations

import gc
import random
import time
import tracemalloc
from typing import Any

from .rivals import SIZES, map_rival, sample, words

RIVALS = ("pstructs", "immutables", "rpds", "pyrsistent", "dict")


class Map:
    """str -> int, keys met in random order."""

    params = (RIVALS, SIZES)
    param_names = ("rival", "entries")

    def setup(self, rival: str, entries: int) -> None:
        self.rival = map_rival(rival)
        keys = words(entries)
        self.source = {key: number for number, key in enumerate(keys)}
        self.map = self.rival.build(self.source)
        self.twin = self.rival.build(dict(reversed(self.source.items())))
        self.hits = sample(keys)
        self.misses = sample(words(1000, seed=3))
        # values that are new: setting an equal one would return the map itself
        self.updates = [(key, -1 - n) for n, key in enumerate(self.hits)]
        if rival == "dict" and entries > 1000:
            self.updates, self.removals = self.updates[:10], self.hits[:10]
        else:
            self.removals = self.hits

    def time_get(self, rival: str, entries: int) -> None:
        m = self.map
        for key in self.hits:
            m[key]

    def time_contains_missing(self, rival: str, entries: int) -> None:
        m = self.map
        for key in self.misses:
            key in m  # noqa: B015

    def time_iterate_items(self, rival: str, entries: int) -> None:
        for _ in self.map.items():
            pass

    def time_build(self, rival: str, entries: int) -> None:
        self.rival.build(self.source)

    def time_equal_built_apart(self, rival: str, entries: int) -> None:
        assert self.map == self.twin


class MapUpdate(Map):
    """Single updates. A dict is copied for each, 10 times only when it is large."""

    def setup(self, rival: str, entries: int) -> None:
        if rival == "dict" and entries > 1000:
            raise NotImplementedError("copying a large dict for an update is no use")
        super().setup(rival, entries)

    def time_set(self, rival: str, entries: int) -> None:
        put, m = self.rival.set, self.map
        for key, value in self.updates:
            put(m, key, value)

    def time_add(self, rival: str, entries: int) -> None:
        put, m = self.rival.set, self.map
        for key in self.misses:
            put(m, key, 0)

    def time_remove(self, rival: str, entries: int) -> None:
        remove, m = self.rival.remove, self.map
        for key in self.removals:
            remove(m, key)

    time_get = time_contains_missing = time_iterate_items = None
    time_build = time_equal_built_apart = None


class ChasedGet:
    """Each lookup gives the key of the next: a miss of the cache can't hide behind another."""

    params = (RIVALS, (1000, 100_000, 1_000_000))
    param_names = ("rival", "entries")
    timeout = 300

    def setup(self, rival: str, entries: int) -> None:
        keys = list(range(entries))
        random.Random(4).shuffle(keys)
        self.map = map_rival(rival).build(
            dict(zip(keys, keys[1:] + keys[:1], strict=True)),
        )

    def time_chase(self, rival: str, entries: int) -> None:
        m, key = self.map, 0
        for _ in range(1000):
            key = m[key]


class MapRelated:
    """Two versions that share most of their nodes."""

    params = (("pstructs", "immutables", "rpds", "pyrsistent", "dict"), (1000, 100_000))
    param_names = ("rival", "entries")

    def setup(self, rival: str, entries: int) -> None:
        self.rival = map_rival(rival)
        keys = words(entries)
        self.base = self.rival.build({key: number for number, key in enumerate(keys)})
        self.changes = dict.fromkeys(sample(keys, entries // 100), -1)
        self.variant = self.rival.update(self.base, self.changes)
        self.one = self.rival.set(self.base, keys[0], -1)
        self.one_back = self.rival.set(self.one, keys[0], 0)

    def time_equal_after_one_path(self, rival: str, entries: int) -> None:
        assert self.base == self.one_back

    def time_update_one_percent(self, rival: str, entries: int) -> None:
        self.rival.update(self.base, self.changes)

    def time_union_with_variant(self, rival: str, entries: int) -> None:
        self.rival.update(self.base, self.variant)


class MapDiff:
    """diff, patch and merge have no counterpart: the rival is a loop over both dicts."""

    params = (("pstructs", "dict"), (1000, 100_000))
    param_names = ("rival", "entries")

    def setup(self, rival: str, entries: int) -> None:
        self.module: Any = None
        keys = words(entries)
        self.base: Any = {key: number for number, key in enumerate(keys)}
        changed = set(sample(keys, entries // 100))
        self.ours: Any = {key: -1 if key in changed else n for key, n in self.base.items()}
        if rival == "pstructs":
            import pstructs

            self.module = pstructs
            self.base = pstructs.pmap(self.base)
            self.ours = self.base.update(dict.fromkeys(changed, -1))
        self.rival = rival

    def time_diff_one_percent(self, rival: str, entries: int) -> None:
        if self.module:
            self.module.diff(self.base, self.ours)
        else:
            {key: n for key, n in self.ours.items() if self.base.get(key) != n}


class MapMemory:
    """What a map costs beyond its keys and values."""

    params = (RIVALS, (1000, 100_000))
    param_names = ("rival", "entries")

    def setup(self, rival: str, entries: int) -> None:
        self.build = map_rival(rival).build
        self.source = dict(zip(words(entries), range(entries), strict=True))
        gc.collect()
        gc.freeze()  # what is there already is not asked about

    def teardown(self, rival: str, entries: int) -> None:
        gc.unfreeze()

    def track_gc_collect(self, rival: str, entries: int) -> float:
        m = self.build(self.source)
        times = []
        for _ in range(5):
            start = time.perf_counter()
            gc.collect()
            times.append(time.perf_counter() - start)
        del m
        return min(times) * 1e3

    track_gc_collect.unit = "ms"  # type: ignore[attr-defined]


class MapBytes(MapMemory):
    """Bytes an entry. Rust allocates outside of Python's allocators, so rpds is not measured."""

    params = (tuple(rival for rival in RIVALS if rival != "rpds"), (1000, 100_000))

    def track_bytes_an_entry(self, rival: str, entries: int) -> float:
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        m = self.build(self.source)
        used = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        del m
        return used / entries

    track_bytes_an_entry.unit = "bytes"  # type: ignore[attr-defined]

    track_gc_collect = None
