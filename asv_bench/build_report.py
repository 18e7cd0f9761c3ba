"""Time and memory of `SnapshotStore.build`, beside a save of the same map made in memory.

    python asv_bench/build_report.py                    200,000 entries
    python asv_bench/build_report.py 20000000 --alone   only the builder
    python asv_bench/build_report.py --only sorted      only sorted maps

Each row runs in a process of its own: the peak is that of the whole process, Python and all
imports (which is the row "nothing") with it.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import pstructs
from pstructs.cache import SnapshotStore

STEP = 7_368_787
"""A prime: with it `scattered` goes through the numbers below n in no order."""


def scattered(n: int) -> Iterator[int]:
    """The numbers below n, each once."""
    return (k * STEP % n for k in range(n))


KINDS: dict[str, Callable[[int], Iterator[tuple[Any, int]]]] = {
    "int -> int": lambda n: ((k, 3 * k) for k in range(n)),
    "str -> int": lambda n: ((f"user:{k:09}", k) for k in range(n)),
    "sorted, int -> int": lambda n: ((k, 3 * k) for k in scattered(n)),
    "sorted, in order": lambda n: ((k, 3 * k) for k in range(n)),
    "sorted, str -> int": lambda n: ((f"user:{k:09}", k) for k in scattered(n)),
    "sorted, (int, int) -> int": lambda n: (((k % 1000, k), k) for k in scattered(n)),
}


def run(way: str, kind: str, n: int, memory: int) -> None:
    """Make one version and print the row about it."""
    collection = "sortedmap" if kind.startswith("sorted") else "map"
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder, durable="none") as store:
        if way == "build":
            version = store.build(KINDS[kind](n), collection, memory=memory << 20)
        elif way == "save":
            make = pstructs.psortedmap if collection == "sortedmap" else pstructs.pmap
            version = store.save(make(KINDS[kind](n)))
        else:
            version = store.save(pstructs.m())
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10  # Linux: KiB
    print(f"| {way} | {kind} | {seconds:.2f} | {peak} | {version.nbytes / n:.1f} |", flush=True)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("entries", type=int, nargs="?", default=200_000)
    parser.add_argument("--memory", type=int, default=256, help="MiB that the builder may take")
    parser.add_argument("--alone", action="store_true", help="leave out the map made in memory")
    parser.add_argument("--only", default="", help="kinds that begin with this")
    parser.add_argument("--row", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.row:
        run(*given.row, given.entries, given.memory)
        return
    print(f"{given.entries:,} entries, {given.memory} MiB")
    print(
        "| way | entries | s | peak RSS, MiB | bytes an entry |\n| --- | --- | --- | --- | --- |"
    )
    rows = [("nothing", "int -> int")]
    kinds = [kind for kind in KINDS if kind.startswith(given.only)]
    rows += [(way, kind) for kind in kinds for way in ("build", "save")[: 1 if given.alone else 2]]
    for row in rows:
        command = [sys.executable, __file__, str(given.entries), "--memory", str(given.memory)]
        subprocess.run([*command, "--row", *row], check=True)


if __name__ == "__main__":
    main()
