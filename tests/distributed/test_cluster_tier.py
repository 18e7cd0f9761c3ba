"""The cluster's tier of a cache: shared by processes, computed once, dropped everywhere."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pstructs import pmap
from pstructs.cache import MemoryTier, TieredCache, digest, memoize
from pstructs.cache.entry import Entry
from pstructs.distributed import ClusterTier

pytestmark = pytest.mark.ray


@pytest.fixture
def tier(cluster: Any) -> Iterator[ClusterTier]:
    tier = ClusterTier(f"t-{uuid.uuid4().hex[:8]}", limit=8_000_000, timeout=20)
    yield tier
    tier.end()


def test_a_result_is_shared_with_other_processes(cluster: Any, tier: ClusterTier) -> None:
    def use(tier: Any) -> Any:
        with TieredCache(MemoryTier(), tier) as cache:
            cache.set("from the worker", [1, 2], tags=("t",))
            return cache.get("from the driver")

    with TieredCache(MemoryTier(), tier) as cache:
        cache.set("from the driver", pmap({"a": 1}))
        assert cluster.run_in_new_worker(use, tier) == {"a": 1}
        assert cache.get("from the worker") == [1, 2]


def test_a_large_result_is_read_in_place(cluster: Any, tier: ClusterTier) -> None:
    def where(tier: Any) -> Any:
        numpy = pytest.importorskip("numpy")
        entry = tier.get(digest("table"))
        address = numpy.frombuffer(memoryview(entry.pack), dtype="u1").ctypes.data
        for line in open("/proc/self/maps"):
            start, end = (int(x, 16) for x in line.split()[0].split("-"))
            if start <= address < end:
                return line.split()[5], entry.value()["key 77"]

    assert tier.put(digest("table"), Entry.of(pmap({f"key {i}": i for i in range(50_000)})))
    path, looked_up = cluster.run_in_new_worker(where, tier)
    assert "plasma" in path
    assert looked_up == 77


def test_a_result_is_computed_once_in_the_cluster(
    cluster: Any, tier: ClusterTier, tmp_path: Path
) -> None:
    def work(tier: Any, folder: Any) -> int:
        with TieredCache(MemoryTier(), tier, wait=30) as cache:

            @memoize(cache, version="1", name="slow")
            def slow(n: int) -> int:
                (folder / f"{n}-{os.getpid()}-{time.monotonic_ns()}").touch()
                time.sleep(0.3)
                return n * n

            return sum(slow(n) for n in range(3))

    cluster.by_value(work)
    task = cluster.ray.remote(num_cpus=0)(work)
    assert cluster.get([task.remote(tier, tmp_path) for _ in range(5)]) == [5] * 5
    assert sorted(path.name[0] for path in tmp_path.iterdir()) == ["0", "1", "2"]


def test_the_claim_of_a_dead_process_ends(cluster: Any) -> None:
    tier = ClusterTier(f"t-{uuid.uuid4().hex[:8]}", lease=1.0)

    class Holder:
        def hold(self, tier: Any) -> bool:
            self.tier = tier
            return bool(tier.claim(digest("x")))

    cluster.by_value(Holder)
    holder = cluster.ray.remote(num_cpus=0)(Holder).remote()
    assert cluster.get(holder.hold.remote(tier))
    time.sleep(tier.lease + 0.5)
    assert not tier.claim(digest("x"))  # it lives
    cluster.ray.kill(holder)
    begin = time.monotonic()
    while not tier.claim(digest("x")):
        assert time.monotonic() - begin < 20
        time.sleep(0.1)
    tier.release(digest("x"))
    assert tier.claim(digest("x"))
    tier.end()


def test_an_invalidation_reaches_the_memory_of_other_processes(
    cluster: Any, tier: ClusterTier
) -> None:
    class Other:
        def __init__(self, tier: Any) -> None:
            self.cache = TieredCache(MemoryTier(), tier)

        def get(self, key: str) -> Any:
            return self.cache.get(key)

        def set(self, key: str, value: Any) -> None:
            self.cache.set(key, value, tags=("all",))

    cluster.by_value(Other)
    other = cluster.ray.remote(num_cpus=0)(Other).remote(tier)
    with TieredCache(MemoryTier(), tier) as cache:
        for key in "ab":
            cache.set(key, 1, tags=("all",))
        assert cluster.get([other.get.remote(key) for key in "ab"]) == [1, 1]
        cluster.get(other.set.remote("a", 2))
        cluster.eventually(lambda: cache.get("a") == 2)
        cache.invalidate("all")
        cluster.eventually(lambda: cluster.get(other.get.remote("b")) is None)
        assert cache.get("a") is None


def test_a_computation_from_before_an_invalidation_is_not_kept(tier: ClusterTier) -> None:
    since = tier.epoch
    tier.delete(digest("k"))
    assert not tier.put(digest("k"), Entry.of(1), since)
    assert tier.put(digest("k"), Entry.of(1), tier.epoch)
    assert tier.put(digest("other"), Entry.of(1), since)


def test_the_results_used_longest_ago_make_room(tier: ClusterTier) -> None:
    entries = {i: Entry.of(bytes([i]) * 1_000_000) for i in range(12)}
    for i in range(7):
        tier.put(digest(i), entries[i])
    assert tier.get(digest(0)) is not None
    for i in range(7, 12):
        tier.put(digest(i), entries[i])
    assert tier.contains(digest(0))
    assert not tier.contains(digest(1))
    info = tier.info()
    assert info.bytes <= info.limit == 8_000_000
    assert info.evictions == 12 - info.entries
    assert not tier.put(digest("huge"), Entry.of(b"x" * 9_000_000))


def test_what_expired_is_a_miss(tier: ClusterTier) -> None:
    tier.put(digest(1), Entry.of("gone", expires=time.time() + 0.2))
    assert tier.get(digest(1)) is not None
    time.sleep(0.25)
    assert tier.get(digest(1)) is None


def test_the_death_of_the_actor_costs_the_results_only(cluster: Any, tier: ClusterTier) -> None:
    with TieredCache(MemoryTier(), tier) as cache:
        cache.set("a", 1)
        actor = cluster.ray.get_actor(f"tier-{tier.name}", namespace="pstructs")
        cluster.ray.kill(actor, no_restart=False)
        # a call may reach the actor yet in the moment before it dies
        cluster.eventually(lambda: tier.get(digest("a")) is None)
        cluster.eventually(lambda: cache.get("a") is None)  # who knows what was invalidated
        assert cache.get_or_compute("a", lambda: 2) == 2
        assert cluster.run(lambda tier: tier.get(digest("a")).value(), tier) == 2
        cluster.ray.kill(cluster.ray.get_actor(f"tier-{tier.name}", namespace="pstructs"))
        assert cache.get_or_compute("b", lambda: 3) == 3
        assert tier.get(digest("b")) is None or tier.get(digest("b")).value() == 3


def test_the_actor_forgets_processes_that_are_gone_and_their_claims() -> None:
    from pstructs.distributed.results_actor import ResultsActor

    async def run() -> None:
        actor = ResultsActor(1000, lease=0.05)
        for i in range(50):
            assert await actor.claim(f"process {i}", b"key %d" % i)
            assert not await actor.claim("late", b"key %d" % i)
        await asyncio.sleep(0.1)
        assert await actor.claim("last", b"key 0")
        assert not await actor.claim("last", b"key 0")
        assert (list(actor._heard), actor._claims) == (["last"], {b"key 0": "last"})

    asyncio.run(run())
