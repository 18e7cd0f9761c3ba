"""Runs operations over and over in this process and fails when memory or references grow."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

from support.collection_operations import KINDS, OPERATIONS, Case

WARM_UP, ROUNDS, MANY_ROUNDS = 30, 100, 2000
# No object is smaller than 16 bytes. The interpreter keeps something now and then (caches, free
# lists), but not in every round: what looks like a leak is measured again over many rounds.
LEAK = 16


def references(case: Case) -> list[int]:
    """Reference counts of all that the case is made of."""
    counts = [
        sys.getrefcount(o) for o in (case.value, case.missing, case.map, case.set, case.other)
    ]
    counts += [sys.getrefcount(k) for k in case.keys + case.kind.other]
    return [*counts, sys.getrefcount(type(case.map)), sys.getrefcount(type(case.set))]


def settle() -> None:
    """Empty what the interpreter keeps: garbage, free lists, names in its method cache."""
    getattr(sys, "_clear_type_cache", lambda: None)()
    gc.collect()


def leak(do: Callable[[Case], Any], case: Case, rounds: int) -> str:
    """What `rounds` runs leave behind, when it is as much as a leak would leave; else ""."""
    settle()
    before, memory = references(case), tracemalloc.get_traced_memory()[0]
    for _ in range(rounds):
        do(case)
    settle()
    grown = tracemalloc.get_traced_memory()[0] - memory
    more = max(b - a for a, b in zip(before, references(case), strict=True))
    if grown >= LEAK * rounds or more >= rounds:
        return f"{grown} bytes, {more} references in {rounds} runs"
    return ""


def probe(names: list[tuple[str, str]]) -> None:
    """Repeat each operation; print how many there were."""
    tracemalloc.start()
    bad = 0
    for kind, name in names:
        case = Case(KINDS[kind])
        do = OPERATIONS[kind, name]
        for _ in range(WARM_UP):
            do(case)
        if leak(do, case, ROUNDS) and (what := leak(do, case, MANY_ROUNDS)):
            print(f"LEAK {kind} {name}: {what}")
            bad += 1
    print(f"probed {len(names)}")
    sys.exit(1 if bad else 0)
