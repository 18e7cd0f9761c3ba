"""Runs operations over and over in this process and fails when memory or references grow."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

from support.collection_operations import KINDS, OPERATIONS, Case

WARM_UP, ROUNDS, PERIODS = 30, 100, 3
# The interpreter itself keeps something now and then (caches, free lists). A leak grows in every
# period: no object is smaller than 16 bytes.
LEAK = 16 * ROUNDS


def references(case: Case) -> list[int]:
    """Reference counts of all that the case is made of."""
    counts = [
        sys.getrefcount(o) for o in (case.value, case.missing, case.map, case.set, case.other)
    ]
    counts += [sys.getrefcount(k) for k in case.keys + case.kind.other]
    return [*counts, sys.getrefcount(type(case.map)), sys.getrefcount(type(case.set))]


def growth(do: Callable[[Case], Any], case: Case) -> tuple[int, list[int]]:
    """Bytes and references that ROUNDS runs leave behind."""
    gc.collect()
    before, memory = references(case), tracemalloc.get_traced_memory()[0]
    for _ in range(ROUNDS):
        do(case)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - memory
    return grown, [b - a for a, b in zip(before, references(case), strict=True)]


def probe(names: list[tuple[str, str]]) -> None:
    """Repeat each operation; print how many there were."""
    tracemalloc.start()
    bad = []
    for kind, name in names:
        case = Case(KINDS[kind])
        do = OPERATIONS[kind, name]
        for _ in range(WARM_UP):
            do(case)
        periods = [growth(do, case) for _ in range(PERIODS)]
        memory = min(bytes_ for bytes_, _ in periods)
        references_ = [min(counts) for counts in zip(*(c for _, c in periods), strict=True)]
        if memory >= LEAK or max(references_) >= ROUNDS // 2:
            bad.append(f"{kind} {name}: {memory} bytes, references {references_}")
    for line in bad:
        print("LEAK", line)
    print(f"probed {len(names)}")
    sys.exit(1 if bad else 0)
