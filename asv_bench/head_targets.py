"""Commits a second of `head.swap` with many writers, beside actors that do the same with a dict.

    python asv_bench/head_targets.py [--writers 8] [--swaps 100] [--entries 10000]

Each writer is a process that counts up in a table of `--entries`: `own`, a key of its own, or
`one`, the same key as all others. What each does `--swaps` times:

    lock actor     take the actor's lock and get the dict, change it, give it back: user code
                   runs in the writer, as with a head
    dict actor     ask the actor to count: no user code, nothing but the key travels
    head           `swap`; `merging` with merge=True; `stored` commits to a SnapshotStore as well,
                   `unsynced` with durable="none"

At the end the table is added up: an update that is lost is an error. The figures of one run can
be compared with each other only.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")

import ray

from pstructs import pmap
from pstructs.distributed import head


class LockActor:
    """A dict behind a lock, for code that runs in its clients."""

    def __init__(self, table: dict[str, int]) -> None:
        self.table, self.lock = table, asyncio.Lock()

    async def take(self) -> dict[str, int]:
        await self.lock.acquire()
        return self.table

    async def give(self, table: dict[str, int]) -> None:
        self.table = table
        self.lock.release()

    async def total(self) -> int:
        return sum(self.table.values())


class DictActor:
    """A dict that counts by itself."""

    def __init__(self, table: dict[str, int]) -> None:
        self.table = table

    def count(self, key: str) -> int:
        self.table[key] += 1
        return self.table[key]

    def total(self) -> int:
        return sum(self.table.values())


def add_one(table: Any, key: str) -> Any:
    return table.set(key, table[key] + 1)


class Writer:
    """A process that counts."""

    def head(self, h: Any, key: str, swaps: int) -> float:
        h.deref()
        return self._timed(lambda: h.swap(add_one, key), swaps)

    def lock(self, actor: Any, key: str, swaps: int) -> float:
        def once() -> None:
            table = ray.get(actor.take.remote(), timeout=60)
            table = {**table, key: table[key] + 1}
            ray.get(actor.give.remote(table), timeout=60)

        return self._timed(once, swaps)

    def dict(self, actor: Any, key: str, swaps: int) -> float:
        return self._timed(lambda: ray.get(actor.count.remote(key), timeout=60), swaps)

    def _timed(self, once: Any, swaps: int) -> float:
        for _ in range(swaps):
            once()
        return time.monotonic()


def run(writers: list[Any], method: str, target: Any, keys: list[str], swaps: int) -> float:
    """Commits a second of all writers together."""
    start = time.monotonic()
    calls = [
        getattr(w, method).remote(target, key, swaps) for w, key in zip(writers, keys, strict=True)
    ]
    end = max(ray.get(calls, timeout=600))
    return len(writers) * swaps / (end - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--swaps", type=int, default=100)
    parser.add_argument("--entries", type=int, default=10_000)
    args = parser.parse_args()
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=200_000_000,
    )
    start = {f"key {i}": 0 for i in range(args.entries)}
    kinds = {
        "head": {},
        "head merging": {"merge": True},
        "head stored": {"store": True},
        "head stored merging": {"store": True, "merge": True},
        "head unsynced merging": {"store": True, "merge": True, "durable": "none"},
    }
    writers = [ray.remote(num_cpus=0)(Writer).remote() for _ in range(args.writers)]
    ray.get([w.__ray_ready__.remote() for w in writers], timeout=120)
    count = args.writers * args.swaps
    print(f"{args.writers} writers, {args.swaps} swaps each, a table of {args.entries:,} entries")
    print(f"{'':22} {'keys':5} {'commits/s':>9} {'to lock':>8}  versions merged conflicts moved")
    for place in ("own", "one"):
        keys = [f"key {i if place == 'own' else 0}" for i in range(args.writers)]
        actor = ray.remote(num_cpus=0, max_concurrency=100)(LockActor).remote(start)
        base = run(writers, "lock", actor, keys, args.swaps)
        assert ray.get(actor.total.remote(), timeout=60) == count
        print(f"{'lock actor':22} {place:5} {base:9.0f} {1:7.2f}x")
        ray.kill(actor)
        actor = ray.remote(num_cpus=0)(DictActor).remote(start)
        rate = run(writers, "dict", actor, keys, args.swaps)
        assert ray.get(actor.total.remote(), timeout=60) == count
        print(f"{'dict actor':22} {place:5} {rate:9.0f} {rate / base:7.2f}x")
        ray.kill(actor)
        for name, options in kinds.items():
            with tempfile.TemporaryDirectory() as folder:
                if options.get("store"):
                    options = {**options, "store": folder}
                h = head(f"{name} {place}".replace(" ", "-"), pmap(start), timeout=120, **options)
                rate = run(writers, "head", h, keys, args.swaps)
                assert sum(h.deref().values()) == count, "updates were lost"
                s = h.stats()
                print(
                    f"{name:22} {place:5} {rate:9.0f} {rate / base:7.2f}x {s['version'] - 1:9}"
                    f" {s['merged']:6} {s['conflicts']:9} {s['moved']:5}",
                    flush=True,
                )
                h.end()
    ray.shutdown()


if __name__ == "__main__":
    main()
