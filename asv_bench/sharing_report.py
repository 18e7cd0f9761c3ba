"""What a Ray worker pays to read a shared map, beside `ray.get` of the same dict.

    python asv_bench/sharing_report.py [--entries 1000000] [--repeat 5]

A task opens the map (or gets the dict) and looks 1,000 keys up. Each measurement runs in a fresh
worker process for the first time, then again in the same one. Memory is what only that process
has (USS: private pages, from /proc/self/smaps_rollup) beyond what it had just before, while the
map or dict is still there. Prints one table and the ratios; the answers are compared.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")

import ray

from pstructs import pmap
from pstructs.distributed import share
from pstructs.distributed.owner import Owner

LOOKUPS = 1000


class Reader:
    """A worker process of its own."""

    def warm(self) -> None:
        import pstructs.distributed  # noqa: F401

        ray.get(ray.put(b"x" * 1000))

    def read(self, what: Any, keys: list[str]) -> tuple[int, float, int]:
        """(sum of the values, seconds, bytes of memory), for a handle or [reference]."""

        def uss() -> int:
            with open("/proc/self/smaps_rollup") as rollup:
                return sum(
                    int(line.split()[1]) * 1024
                    for line in rollup
                    if line.startswith(("Private_Clean", "Private_Dirty"))
                )

        before = uss()
        start = time.perf_counter()
        table = ray.get(what[0]) if isinstance(what, list) else what.open()
        total = sum([table[key] for key in keys])
        seconds = time.perf_counter() - start
        return total, seconds, uss() - before


def measure(what: Any, keys: list[str], repeat: int) -> tuple[list[float], list[float], int]:
    """Seconds of first reads, seconds of later ones, most bytes of memory of a first read."""
    first, later, memory = [], [], []
    expected = sum(int(key.split()[1]) for key in keys)
    for _ in range(repeat):
        reader = ray.remote(num_cpus=0)(Reader).remote()
        ray.get(reader.warm.remote(), timeout=60)
        for number in range(3):
            total, seconds, grown = ray.get(reader.read.remote(what, keys), timeout=300)
            assert total == expected, (total, expected)
            (later if number else first).append(seconds)
            if not number:
                memory.append(grown)
        ray.kill(reader)
    return first, later, max(memory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5, help="fresh workers each")
    options = parser.parse_args()
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=600_000_000,
    )
    source = {f"key {i}": i for i in range(options.entries)}
    keys = random.Random(1).sample(list(source), LOOKUPS)
    m = pmap(source)
    share(pmap({"": 0}))  # the first one starts the owner
    start = time.perf_counter()
    handle = share(m)
    shared = time.perf_counter() - start
    bytes_whole = Owner.connect().stats()["bytes"]  # and some 150 of the first one
    start = time.perf_counter()
    ref = ray.put(source)
    put = time.perf_counter() - start

    mine = measure(handle, keys, options.repeat)
    rival = measure([ref], keys, options.repeat)

    start = time.perf_counter()
    share(m.set(keys[0], -1))
    derived = time.perf_counter() - start
    bytes_derived = Owner.connect().stats()["bytes"] - bytes_whole

    print(
        f"{options.entries:,} entries str -> int, {LOOKUPS:,} lookups, median of fresh workers\n"
    )
    print(f"{'':28}{'pstructs':>14}{'ray.put(dict)':>16}")
    rows = [
        ("publish, ms", shared * 1e3, put * 1e3),
        ("first read in a worker, ms", *(statistics.median(x[0]) * 1e3 for x in (mine, rival))),
        ("later reads, ms", *(statistics.median(x[1]) * 1e3 for x in (mine, rival))),
        ("memory of a worker, MB", mine[2] / 1e6, rival[2] / 1e6),
    ]
    for name, ours, theirs in rows:
        print(f"{name:28}{ours:14.3f}{theirs:16.3f}{theirs / ours if ours else 0:10.1f}x")
    print(f"\nstored: {bytes_whole:,} B")
    print(f"one changed key: {bytes_derived:,} B, {derived * 1e3:.2f} ms")
    ray.shutdown()


if __name__ == "__main__":
    main()
