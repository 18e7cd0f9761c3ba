"""persistent() of an evolver that the garbage collector changes meanwhile.

Before 3.12 an allocation runs the collector, and that callbacks and finalizers. A write that came
between the tree and its new collection was lost: persistent() gave the older contents again.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pstructs import pmap, pset, psortedmap, psortedset, pvector
from pstructs.errors import EvolverBusyError


@contextmanager
def collecting_all_the_time(callback: Callable[[], None]) -> Iterator[None]:
    def called(phase: str, info: dict[str, int]) -> None:
        callback()

    before = gc.get_threshold()
    gc.callbacks.append(called)
    gc.set_threshold(1)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(called)


@pytest.mark.parametrize(
    ("empty", "write"),
    [
        (pvector(), lambda e, n: e.append([n])),
        (pmap(), lambda e, n: e.set(n, [n])),
        (pset(), lambda e, n: e.add((n, object()))),
        (psortedmap(), lambda e, n: e.set(n, [n])),
        (psortedset(key=abs), lambda e, n: e.add(n)),
    ],
    ids=["vector", "map", "set", "sorted map", "sorted set"],
)
def test_no_write_of_the_collector_is_lost_by_persistent(
    empty: Any, write: Callable[[Any, int], Any]
) -> None:
    written = 0

    def write_once() -> None:
        nonlocal written
        try:
            write(evolver, written)
        except EvolverBusyError:
            return
        written += 1

    kept = []  # so that every collection is allocated, none is a spare one
    for _ in range(300):
        written, evolver = 0, empty.evolver()
        write_once()
        with collecting_all_the_time(write_once):
            kept.append(evolver.persistent())
        assert len(evolver.persistent()) == len(evolver) == written
