"""A `TieredCache` beside a dict: whatever happens, it has the right result or none."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pstructs import pmap, pvector
from pstructs.cache import DiskTier, MemoryTier, TieredCache, digest

EXAMPLES = int(os.environ.get("PSTRUCTS_MODEL_EXAMPLES", "25"))
KEYS = st.sampled_from([0, 1, "a", (1, "b"), pmap({1: 2}), None])
TAGS = st.lists(st.sampled_from(["red", "green", "blue"]), max_size=2).map(tuple)
VALUES = st.one_of(
    st.none(),
    st.integers(),
    st.lists(st.text(max_size=3), max_size=4),
    st.integers(1, 90).map(lambda n: bytes(n * 1000)),
    st.dictionaries(st.integers(), st.floats(allow_nan=False)).map(pmap),
    st.lists(st.integers()).map(pvector),
)
TTL = st.sampled_from([None, 5.0, 50.0])


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class TieredModel(RuleBasedStateMachine):
    """Two caches on one folder, as in two processes; small, so that all evict all the time.

    The model has what every key would give in a cache without limits. Six keys of at most 90 kB
    fit on the disk, so a miss is an error as well, unless others crowded them out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.clock = Clock()
        self.model: dict[bytes, tuple[Any, float, tuple[str, ...]]] = {}
        self.crowded = False
        self.caches = [self.open(), self.open()]

    def open(self) -> TieredCache:
        disk = DiskTier(self.folder + "/results", 2**20, clock=self.clock)
        return TieredCache(MemoryTier(120_000, clock=self.clock), disk, clock=self.clock)

    def keep(self, key: object, value: object, ttl: float | None, tags: tuple[str, ...]) -> None:
        ends = float("inf") if ttl is None else self.clock.now + ttl
        self.model[digest(key)] = value, ends, tags

    def expected(self, key: object) -> tuple[bool, Any]:
        value, ends, _ = self.model.get(digest(key), (None, 0.0, ()))
        return self.clock.now < ends, value

    @rule(which=st.booleans(), key=KEYS, value=VALUES, ttl=TTL, tags=TAGS)
    def set(self, which: bool, key: object, value: object, ttl: float, tags: Any) -> None:
        self.caches[which].set(key, value, ttl=ttl, tags=tags)
        self.keep(key, value, ttl, tags)

    @rule(which=st.booleans(), key=KEYS)
    def get(self, which: bool, key: object) -> None:
        missing = object()
        found = self.caches[which].get(key, missing)
        there, value = self.expected(key)
        if found is not missing:
            assert there
            assert found == value
            assert type(found) is type(value)
        else:
            assert not there or self.crowded

    @rule(which=st.booleans(), key=KEYS, value=VALUES, ttl=TTL, tags=TAGS)
    def compute(self, which: bool, key: object, value: object, ttl: float, tags: Any) -> None:
        calls = []

        def work() -> object:
            calls.append(1)
            return value

        there, before = self.expected(key)
        found = self.caches[which].get_or_compute(key, work, ttl=ttl, tags=tags)
        assert found == (value if calls else before)
        assert there or calls
        assert self.crowded or not (there and calls)
        if calls:
            self.keep(key, value, ttl, tags)

    @rule(which=st.booleans(), key=KEYS)
    def delete(self, which: bool, key: object) -> None:
        there, _ = self.expected(key)
        assert self.caches[which].delete(key) or not there or self.crowded
        self.model.pop(digest(key), None)

    @rule(which=st.booleans(), tag=st.sampled_from(["red", "green", "blue"]))
    def invalidate(self, which: bool, tag: str) -> None:
        live = [key for key, (_, _, tags) in self.model.items() if tag in tags]
        assert self.caches[which].invalidate(tag) <= len(live)
        for key in live:
            del self.model[key]

    @rule(which=st.booleans())
    def clear(self, which: bool) -> None:
        self.caches[which].clear()
        self.model.clear()
        self.crowded = False

    @rule(seconds=st.sampled_from([0.5, 3.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(which=st.booleans())
    def reopen(self, which: bool) -> None:
        self.caches[which].close()
        self.caches[which] = self.open()

    @rule(which=st.booleans(), count=st.integers(1, 15))
    def crowd(self, which: bool, count: int) -> None:
        """Fill the tiers with other results: what was there may have to go."""
        for n in range(count):
            self.caches[which].set(("filler", n), bytes(90_000))
        self.crowded = True

    @invariant()
    def the_limits_hold(self) -> None:
        for cache in self.caches:
            for info in cache.cache_info().values():
                assert info.bytes <= info.limit
                assert info.errors == 0

    def teardown(self) -> None:
        for cache in self.caches:
            cache.close()
        shutil.rmtree(self.folder)


TestTieredModel = TieredModel.TestCase
TestTieredModel.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)
