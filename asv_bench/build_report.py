"""Time and memory of `SnapshotStore.build`, beside a save of the same map made in memory.

    python asv_bench/build_report.py                    200,000 entries
    python asv_bench/build_report.py 20000000 --alone   only the builder

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

KINDS: dict[str, Callable[[int], Iterator[tuple[Any, int]]]] = {
    "int -> int": lambda n: ((k, 3 * k) for k in range(n)),
    "str -> int": lambda n: ((f"user:{k:09}", k) for k in range(n)),
}


def run(way: str, kind: str, n: int, memory: int) -> None:
    """Make one version and print the row about it."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder, durable="none") as store:
        if way == "build":
            version = store.build(KINDS[kind](n), memory=memory << 20)
        elif way == "save":
            version = store.save(pstructs.pmap(dict(KINDS[kind](n))))
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
    rows += [(way, kind) for kind in KINDS for way in ("build", "save")[: 1 if given.alone else 2]]
    for row in rows:
        command = [sys.executable, __file__, str(given.entries), "--memory", str(given.memory)]
        subprocess.run([*command, "--row", *row], check=True)


if __name__ == "__main__":
    main()
