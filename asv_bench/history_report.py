"""What a kept step of a large state costs, beside copies; and what undo, redo and swaps cost.

    python asv_bench/history_report.py [--entries 1000,100000,1000000] [--swaps 100000]

A step changes one random key of a map str -> int and keeps the version before. The rivals keep
it as one would by hand: `copy.deepcopy` or `dict.copy` of a dict, or the old pmap of pyrsistent,
in a list. Time is the median of the steps, taken without tracing and with the collector off; bytes
are what tracemalloc sees a step keep, in a run before. The collector is measured by itself, with
20 versions kept. Undo, redo and record are medians over stretches of up to 1,000 calls, at each
size of the state and of the history. The swaps of threads are checked to add up.
"""

from __future__ import annotations

import argparse
import copy
import gc
import random
import statistics
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any, NamedTuple

import pyrsistent

from pstructs import Atom, History, pmap

clock = time.perf_counter_ns


class Way(NamedTuple):
    """One way to keep versions."""

    start: Callable[[dict[str, int]], Any]
    step: Callable[[Any, str, int], None]
    steps: Callable[[int], int]  # how many to take, for a state of n entries


def own_step(history: History[Any], key: str, value: int) -> None:
    history.record(history.state.set(key, value))


def own_record(history: History[Any], states: Iterator[Any]) -> None:
    history.record(next(states))


def copied(copier: Callable[[Any], Any]) -> Callable[[Any, str, int], None]:
    def step(versions: Any, key: str, value: int) -> None:
        versions.append(copier(versions[-1]))
        versions[-1][key] = value

    return step


def pyrsistent_step(versions: Any, key: str, value: int) -> None:
    versions.append(versions[-1].set(key, value))


WAYS = {
    "pstructs History": Way(lambda d: History(pmap(d)), own_step, lambda n: 2000),
    "pyrsistent, a list": Way(lambda d: [pyrsistent.pmap(d)], pyrsistent_step, lambda n: 200),
    "dict.copy, a list": Way(lambda d: [dict(d)], copied(dict.copy), lambda n: 5),
    "deepcopy, a list": Way(lambda d: [dict(d)], copied(copy.deepcopy), lambda n: 3),
}


def keep_steps(name: str, entries: int) -> tuple[float, float]:
    """(nanoseconds, bytes) of a step. Runs in a fresh process: some libraries cache nodes."""
    way = WAYS[name]
    source = {f"key {i}": i for i in range(entries)}
    keys = list(source)
    choose = random.Random(1)
    edits = [(choose.choice(keys), 10**9 + i) for i in range(way.steps(entries))]
    gc.disable()

    versions = way.start(source)
    tracemalloc.start()
    way.step(versions, *edits[0])
    before = tracemalloc.get_traced_memory()[0]
    for key, value in edits[1:]:
        way.step(versions, key, value)
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    versions = way.start(source)
    way.step(versions, *edits[0])  # warm
    times = []
    for key, value in edits[1:]:
        began = clock()
        way.step(versions, key, value)
        times.append(clock() - began)
    return statistics.median(times), kept / (len(edits) - 1)


def collect(way: Way, entries: int) -> float:
    """Nanoseconds that the collector takes more with 20 versions kept."""
    source = {f"key {i}": i for i in range(entries)}

    def passes() -> float:
        times = []
        for _ in range(3):
            began = clock()
            gc.collect()
            times.append(clock() - began)
        return min(times)

    gc.disable()
    idle = passes()
    versions = way.start(source)
    for number in range(20):
        way.step(versions, f"key {number}", -1)
    more = passes() - idle
    del versions
    gc.enable()
    return max(0, more)


def stretches(call: Callable[[], object], calls: int) -> list[float]:
    """Nanoseconds of a call, for each stretch of up to 1,000 of them."""
    found = []
    for first in range(0, calls, 1000):
        many = min(1000, calls - first)
        began = clock()
        for _ in range(many):
            call()
        found.append((clock() - began) / many)
    return found


def moves(entries: int, steps: int) -> tuple[float, float, float]:
    """Nanoseconds of undo, redo and record, of a history of so many steps."""
    start = pmap({f"key {i}": i for i in range(entries)})
    states = [start.set("key 0", 10**9 + i) for i in range(steps)]
    undo, redo, record = [], [], []
    for _ in range(max(3, min(200, 20_000 // steps))):
        history = History(start)
        record += stretches(partial(own_record, history, iter(states)), steps)
        undo += stretches(history.undo, steps)
        redo += stretches(history.redo, steps)
    return statistics.median(undo), statistics.median(redo), statistics.median(record)


def swaps(threads: int, each: int) -> float:
    """Seconds of so many swaps; the sum is checked."""
    atom = Atom(0)
    barrier = threading.Barrier(threads + 1)

    def work() -> None:
        barrier.wait()
        for _ in range(each):
            atom.swap(lambda n: n + 1)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    barrier.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - began
    assert atom.value == threads * each, atom.value
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", default="1000,100000,1000000")
    parser.add_argument("--swaps", type=int, default=100_000, help="by each of 8 threads")
    options = parser.parse_args()
    sizes = [int(size) for size in options.entries.split(",")]

    print("| a kept step, one changed key | " + " | ".join(f"{n:,}" for n in sizes) + " |")
    print("| --- |" + " ---: |" * len(sizes))
    fresh = ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1)
    for name in WAYS:
        cells = []
        for n in sizes:
            nanoseconds, kept = fresh.submit(keep_steps, name, n).result()
            cells.append(f"{nanoseconds / 1000:,.1f} µs, {kept:,.0f} B")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)

    print("\n| gc.collect(), 20 versions kept | " + " | ".join(f"{n:,}" for n in sizes) + " |")
    print("| --- |" + " ---: |" * len(sizes))
    for name in "pstructs History", "pyrsistent, a list":
        cells = [f"{collect(WAYS[name], n) / 1e6:,.1f} ms" for n in sizes]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)

    print("\n| entries | steps | undo | redo | record |\n| ---: | ---: | ---: | ---: | ---: |")
    for n in sizes:
        for steps in (10, 1000, 100_000):
            undo, redo, record = moves(n, steps)
            print(
                f"| {n:,} | {steps:,} | {undo:.0f} ns | {redo:.0f} ns | {record:.0f} ns |",
                flush=True,
            )

    seconds = swaps(8, options.swaps)
    total = 8 * options.swaps
    print(f"\n8 threads x {options.swaps:,} swaps: {total:,} exactly, {seconds:.2f} s")


if __name__ == "__main__":
    main()
