"""What a save costs with each `durable`, alone and from several threads: prints a table.

    python asv_bench/durability.py [FOLDER]

FOLDER is where the stores are made: the cost is that of its disk. Each round saves one changed key
of a map of 100,000 entries; rounds of the modes alternate, and the table has medians.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from pstructs import pmap
from pstructs.cache import SnapshotStore

MODES = ("none", "group", "commit")
THREADS = (1, 4, 16)
ROUNDS, SAVES = 7, 160  # saves of all threads together in a round
BASE = pmap({f"key {n}": n for n in range(100_000)})


def one_round(store: SnapshotStore, threads: int, turn: int) -> float:
    """Return the seconds that a save took: the time of the round over its number of saves."""
    base = store.load()
    ready = threading.Barrier(threads + 1)

    def work(who: int) -> None:
        ready.wait()
        value = base
        for step in range(SAVES // threads):
            value = value.set(f"key {who * 1000 + step}", (turn, step))
            store.save(value, head=f"thread-{who}")

    workers = [threading.Thread(target=work, args=(who,)) for who in range(threads)]
    for worker in workers:
        worker.start()
    ready.wait()
    begun = time.perf_counter()
    for worker in workers:
        worker.join()
    return (time.perf_counter() - begun) / SAVES


def main() -> None:
    where = sys.argv[1] if len(sys.argv) > 1 else "."
    with tempfile.TemporaryDirectory(dir=where) as folder:
        stores = {mode: SnapshotStore(Path(folder) / mode, durable=mode) for mode in MODES}
        for store in stores.values():
            store.save(BASE)
        print(f"{'threads':>8}" + "".join(f"{mode:>12}" for mode in MODES) + "   us a save")
        for threads in THREADS:
            times: dict[str, list[float]] = {mode: [] for mode in MODES}
            for turn in range(ROUNDS):
                for mode in MODES:
                    times[mode].append(one_round(stores[mode], threads, turn))
            row = "".join(f"{statistics.median(times[mode]) * 1e6:>12.0f}" for mode in MODES)
            print(f"{threads:>8}{row}", flush=True)
        for store in stores.values():
            store.close()


if __name__ == "__main__":
    main()
