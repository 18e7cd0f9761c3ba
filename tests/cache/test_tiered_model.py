"""A `TieredCache` beside a dict: whatever happens, it has the right result or none."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any, TypeAlias

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

Result: TypeAlias = tuple[Any, float, tuple[str, ...]]  # with when it ends, and its tags


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class TieredModel(RuleBasedStateMachine):
    """Two caches on one folder, as in two processes; small, so that all evict all the time.

    The model has what every key may give. Six keys of at most 90 kB fit on the disk, so a miss is
    an error as well, unless others crowded them out. Then the other cache may compute a key anew
    while this one still has the result from before: both are good until they are invalidated.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.clock = Clock()
        self.model: dict[bytes, list[Result]] = {}
        self.crowded = False
        self.caches = [self.open(), self.open()]

    def open(self) -> TieredCache:
        disk = DiskTier(self.folder + "/results", 2**20, clock=self.clock)
        return TieredCache(MemoryTier(120_000, clock=self.clock), disk, clock=self.clock)

    def made(self, value: object, ttl: float | None, tags: tuple[str, ...]) -> Result:
        return value, float("inf") if ttl is None else self.clock.now + ttl, tags

    def good(self, key: object) -> list[Any]:
        results = self.model.get(digest(key), [])
        return [value for value, ends, _ in results if self.clock.now < ends]

    @rule(which=st.booleans(), key=KEYS, value=VALUES, ttl=TTL, tags=TAGS)
    def set(self, which: bool, key: object, value: object, ttl: float, tags: Any) -> None:
        self.caches[which].set(key, value, ttl=ttl, tags=tags)
        self.model[digest(key)] = [self.made(value, ttl, tags)]

    @rule(which=st.booleans(), key=KEYS)
    def get(self, which: bool, key: object) -> None:
        missing = object()
        found = self.caches[which].get(key, missing)
        good = self.good(key)
        if found is missing:
            assert not good or self.crowded
        else:
            assert any(found == value and type(found) is type(value) for value in good)

    @rule(which=st.booleans(), key=KEYS, value=VALUES, ttl=TTL, tags=TAGS)
    def compute(self, which: bool, key: object, value: object, ttl: float, tags: Any) -> None:
        calls = []

        def work() -> object:
            calls.append(1)
            return value

        good = self.good(key)
        found = self.caches[which].get_or_compute(key, work, ttl=ttl, tags=tags)
        if calls:
            assert found == value
            assert not good or self.crowded
            self.model.setdefault(digest(key), []).append(self.made(value, ttl, tags))
        else:
            assert found in good

    @rule(which=st.booleans(), key=KEYS)
    def delete(self, which: bool, key: object) -> None:
        there = bool(self.good(key))
        assert self.caches[which].delete(key) or not there or self.crowded
        self.model.pop(digest(key), None)

    @rule(which=st.booleans(), tag=st.sampled_from(["red", "green", "blue"]))
    def invalidate(self, which: bool, tag: str) -> None:
        most = sum(any(tag in tags for _, _, tags in results) for results in self.model.values())
        assert self.caches[which].invalidate(tag) <= most
        for key, results in self.model.items():
            self.model[key] = [result for result in results if tag not in result[2]]

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
