"""What a kept step of a large state costs, beside copies; and what undo, redo and swaps cost.

    python asv_bench/history_report.py [--entries 1000,100000,1000000] [--swaps 100000]

A step changes one random key of a map str -> int and keeps the version before. The rivals keep
it as one would by hand: `copy.deepcopy` or `dict.copy` of a dict, or the old pmap of pyrsistent,
in a list. Time is the median of the steps, taken without tracing and with the collector off; bytes
are what tracemalloc sees a step keep, in a second run. The collector is measured by itself, with
20 versions kept. Undo and redo are the best of many rounds, at each size of the state and of the
history. The swaps of threads are checked to add up.
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
from collections.abc import Callable
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


def keep_steps(way: Way, entries: int) -> tuple[float, float]:
    """(nanoseconds, bytes) of a step."""
    source = {f"key {i}": i for i in range(entries)}
    keys = list(source)
    choose = random.Random(1)
    edits = [(choose.choice(keys), 10**9 + i) for i in range(way.steps(entries))]

    versions = way.start(source)
    gc.collect()
    gc.disable()
    way.step(versions, *edits[0])  # warm
    times = []
    for key, value in edits[1:]:
        began = clock()
        way.step(versions, key, value)
        times.append(clock() - began)

    del versions
    versions = way.start(source)
    tracemalloc.start()
    way.step(versions, *edits[0])
    before = tracemalloc.get_traced_memory()[0]
    for key, value in edits[1:]:
        way.step(versions, key, value)
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    gc.enable()
    return statistics.median(times), kept / (len(edits) - 1)


def collect(way: Way, entries: int) -> float:
    """Nanoseconds that the collector takes more with 20 versions kept."""
    source = {f"key {i}": i for i in range(entries)}

    def passes() -> float:
        gc.collect()
        began = clock()
        gc.collect()
        return clock() - began

    idle = passes()
    versions = way.start(source)
    for number in range(20):
        way.step(versions, f"key {number}", -1)
    return max(0, passes() - idle)


def best(call: Callable[[], object], again: Callable[[], object], calls: int) -> float:
    """Nanoseconds of a call, the best of many rounds of `calls`; `again` goes back between."""
    found = float("inf")
    for _ in range(max(3, 20_000 // calls)):
        began = clock()
        for _ in range(calls):
            call()
        found = min(found, (clock() - began) / calls)
        again()
    return found


def moves(entries: int, steps: int) -> tuple[float, float, float]:
    """Nanoseconds of undo, redo and record, of a history of so many steps."""
    state = pmap({f"key {i}": i for i in range(entries)})
    history = History(state)
    states = [state.set("key 0", 10**9 + i) for i in range(steps)]
    began = clock()
    for state in states:
        history.record(state)
    record = (clock() - began) / steps
    undo = best(history.undo, lambda: history.goto(steps), steps)
    history.goto(0)
    redo = best(history.redo, lambda: history.goto(0), steps)
    return undo, redo, record


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
    for name, way in WAYS.items():
        cells = []
        for n in sizes:
            nanoseconds, kept = keep_steps(way, n)
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
