"""What sharing promises, measured in one run beside the ways that Ray users have today.

    python asv_bench/ray_targets.py [read] [versions] [map_reduce]
    python asv_bench/ray_targets.py read --entries 1000000 --workers 1,2,4,8
    python asv_bench/ray_targets.py map_reduce --entries 5000000

read         fresh worker processes open the map and look 1,000 keys up, all at the same time: the
             first time, and again. Memory is what only that process has (USS) beyond what it had
             just before, with the map still there.
versions     bytes sent for a whole map, after 1 % of it changed, and after one key.
map_reduce   one sum over all values; memory is the peak of the driver, the workers and Ray's own
             processes together, the object store among it, beyond what they had just before. It
             is measured in a run of its own.

Answers are compared; figures are medians, and ratios are to pstructs.
"""

from __future__ import annotations

import argparse
import gc
import logging
import operator
import os
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")

import ray

from pstructs import pmap
from pstructs.distributed import parallel, share
from pstructs.distributed.owner import Owner

LOOKUPS = 1000
CHUNKS = 64
PATIENCE = 20.0
"""Seconds after which a slow way of reading is not repeated any more."""


def memory(pid: str, *kinds: str) -> int:
    """Bytes of memory of a process, of kinds that `/proc/PID/smaps_rollup` knows."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    lines = (line.split() for line in rollup.splitlines()[1:])
    return sum(int(line[1]) * 1024 for line in lines if line[0].rstrip(":") in kinds)


def uss() -> int:
    """Bytes of memory that only this process has."""
    return memory("self", "Private_Clean", "Private_Dirty")


def used() -> int:
    """Bytes of this process and all that it has started, each page counted once."""
    found, todo = 0, [str(os.getpid())]
    while todo:
        pid = todo.pop()
        found += memory(pid, "Pss")
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                todo.extend(task.read_text().split())
            except OSError:
                continue
    return found


@contextmanager
def peak_used() -> Iterator[list[int]]:
    """The most bytes that were `used` meanwhile, beyond what was before."""
    gc.collect()
    before = used()
    peak, over = [0], threading.Event()

    def sample() -> None:
        while not over.wait(0.05):
            peak[0] = max(peak[0], used() - before)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


# ---- read


def from_handle(what: Any) -> Callable[[str], int]:
    return what.open().__getitem__


def from_reference(what: Any) -> Callable[[str], int]:
    return ray.get(what[0]).__getitem__


def from_array(what: Any) -> Callable[[str], int]:
    import numpy

    table = ray.get(what[0])
    names, values = table["name"], table["value"]
    return lambda key: int(values[numpy.searchsorted(names, key.encode())])


def from_actor(what: Any) -> Callable[[str], int]:
    return lambda key: ray.get(what[0].get.remote(key))


class Reader:
    """A worker process of its own."""

    def warm(self) -> None:
        import numpy  # noqa: F401

        import pstructs.distributed  # noqa: F401

        for name in ("pyrsistent", "immutables"):
            try:
                __import__(name)
            except ImportError:
                continue
        ray.get(ray.put(b"x" * 1000))

    def read(self, how: Any, what: Any, keys: list[str]) -> tuple[int, float, int]:
        before = uss()
        start = time.perf_counter()
        get = how(what)
        total = sum([get(key) for key in keys])
        return total, time.perf_counter() - start, uss() - before


class Table:
    """The actor that others ask."""

    def __init__(self, entries: int) -> None:
        self.table = source(entries)

    def get(self, key: str) -> int:
        return self.table[key]


def source(entries: int) -> dict[str, int]:
    return {f"key {i}": i for i in range(entries)}


def read(options: argparse.Namespace) -> None:
    import numpy

    entries = options.entries or 1_000_000
    table = source(entries)
    keys = random.Random(1).sample(list(table), LOOKUPS)
    expected = sum(table[key] for key in keys)
    names = numpy.array(
        sorted((key.encode(), value) for key, value in table.items()),
        dtype=[("name", "S16"), ("value", "i8")],
    )
    ways: list[tuple[str, Any, Any]] = [
        ("pstructs handle", from_handle, share(pmap(table))),
        ("dict", from_reference, [ray.put(table)]),
        ("numpy structured array", from_array, [ray.put(names)]),
    ]
    for library, make in (("pyrsistent", "pmap"), ("immutables", "Map")):
        try:
            module = __import__(library)
        except ImportError:
            print(f"({library} is not installed)")
            continue
        ways.append((library, from_reference, [ray.put(getattr(module, make)(table))]))
    del table, names
    actor = ray.remote(num_cpus=0)(Table).remote(entries)
    ways.append(("lookups by an actor", from_actor, [actor]))
    print(
        f"\n{entries:,} entries str -> int, {LOOKUPS:,} lookups, fresh workers; ms and MB a worker"
    )
    print(f"{'workers':>7}  {'':24}{'first':>10}{'':10}{'later':>10}{'':10}{'USS':>8}")
    for workers in options.workers:
        base: tuple[float, float] | None = None
        for name, how, what in ways:
            first, later, grown = [], [], []
            until = time.monotonic() + PATIENCE
            for repeat in range(options.repeat):
                if repeat and time.monotonic() > until:
                    break
                readers = [ray.remote(num_cpus=0)(Reader).remote() for _ in range(workers)]
                ray.get([r.warm.remote() for r in readers], timeout=120)
                for times in (first, later):
                    answers = ray.get(
                        [r.read.remote(how, what, keys) for r in readers], timeout=600
                    )
                    assert all(total == expected for total, _, _ in answers)
                    times.extend(seconds for _, seconds, _ in answers)
                    if times is first:
                        grown.extend(more for _, _, more in answers)
                for reader in readers:
                    ray.kill(reader)
            at = statistics.median(first) * 1e3, statistics.median(later) * 1e3
            base = base or at
            print(
                f"{workers:7}  {name:24}{at[0]:10.2f}{at[0] / base[0]:9.1f}x"
                f"{at[1]:10.2f}{at[1] / base[1]:9.1f}x{max(grown) / 1e6:8.1f}",
                flush=True,
            )


# ---- versions


def sent(value: Any) -> int:
    """Bytes that Ray sends for a value, without what its references lead to."""
    context = ray._private.worker.global_worker.get_serialization_context()
    return int(context.serialize(value).total_bytes)


def versions(options: argparse.Namespace) -> None:
    entries = options.entries or 1_000_000
    m = pmap(source(entries))
    owner = Owner.connect()
    dice = random.Random(2)
    print(f"\n{entries:,} entries str -> int: bytes put and sent, ms to share")
    whole = 0
    changes = [
        ("the whole map", m),
        (
            "1 % of the keys changed",
            m.update({f"key {i}": -i for i in dice.sample(range(entries), entries // 100)}),
        ),
        ("one key changed", m.set("key 7", -1)),
    ]
    for name, value in changes:
        before = owner.stats()["put"]
        start = time.perf_counter()
        handle = share(value)
        seconds = time.perf_counter() - start
        put = owner.stats()["put"] - before
        nbytes = put + sent(handle)
        whole = whole or nbytes
        print(f"{name:28}{nbytes:14,}{nbytes / whole:9.3%}{seconds * 1e3:10.2f}", flush=True)


# ---- map_reduce


def add_values(part: Any) -> int:
    return sum(part.values())


def map_reduce(options: argparse.Namespace) -> None:
    entries = options.entries or 5_000_000
    table = source(entries)
    expected = sum(table.values())
    keys = list(table)
    m = pmap(table)
    start = time.perf_counter()
    handle = share(m)
    shared = time.perf_counter() - start
    del m

    def chunked() -> int:
        """The chunks are pickled again each time, as for tasks that get a new dict."""
        task = ray.remote(add_values)
        step = -(-entries // CHUNKS)
        refs = []
        for i in range(0, entries, step):
            refs.append(task.remote({key: table[key] for key in keys[i : i + step]}))
        return sum(ray.get(refs, timeout=600))

    ways: list[tuple[str, Callable[[], int]]] = [
        ("pstructs, shared before", lambda: parallel(handle).map_reduce(add_values, operator.add)),
        ("tasks on pickled chunks", chunked),
    ]
    try:
        import pandas
        import ray.data
    except ImportError:
        print("(Ray Data or pandas is not installed)")
    else:
        logging.getLogger("ray.data").setLevel("ERROR")
        ray.data.DataContext.get_current().enable_progress_bars = False
        frame = pandas.DataFrame({"key": keys, "value": list(table.values())})
        step = -(-entries // CHUNKS)
        data = ray.data.from_pandas(
            [frame.iloc[i : i + step] for i in range(0, entries, step)]
        ).materialize()
        del frame
        ways.append(("Ray Data, loaded before", lambda: int(data.sum("value"))))
    print(f"\nsum of {entries:,} values; publishing the map took {shared * 1e3:.0f} ms")
    base = 0.0
    for name, work in ways:
        with peak_used() as peak:
            assert work() == expected
        times = []
        for _ in range(options.repeat):
            start = time.perf_counter()
            assert work() == expected
            times.append(time.perf_counter() - start)
        seconds = statistics.median(times)
        base = base or seconds
        print(
            f"{name:28}{seconds * 1e3:10.0f} ms{seconds / base:7.1f}x{peak[0] / 1e6:9.0f} MB",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = {"read": read, "versions": versions, "map_reduce": map_reduce}
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(parts)}; all by default")
    parser.add_argument("--entries", type=int, help="1,000,000, or 5,000,000 for map_reduce")
    parser.add_argument("--workers", default="1,2,4,8", help="numbers of readers")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--store", type=int, default=2000, help="object store, MB")
    options = parser.parse_args()
    options.workers = [int(n) for n in options.workers.split(",")]
    if unknown := set(options.parts) - parts.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=options.store * 1_000_000,
    )
    for name, part in parts.items():
        if name in options.parts or not options.parts:
            part(options)
    ray.shutdown()


if __name__ == "__main__":
    main()
