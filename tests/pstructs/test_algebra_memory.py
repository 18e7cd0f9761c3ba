"""Operations on two trees survive a failure of every single allocation, and leak nothing."""

from __future__ import annotations

import gc
import operator
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from pstructs import ABSENT, _core, diff, pmap, pset
from support.failing_allocations import fail_every_allocation
from support.keys import Fault, Key, Ledger

colliding = [Key(n, hash=n % 3) for n in range(20)]
a = pset([*range(200), *colliding[:14]])
b = pset([*range(100, 300), *colliding[6:]])
x = pmap({k: [k] for k in a})
y = pmap({k: [k] if n % 2 else 0 for n, k in enumerate(b)})
ours = x.set(3, 1).remove(5)
theirs = x.set(7, 1).remove(9).set(colliding[19], 0).set(3, 2)
difference = diff(x, y)
packed_a, packed_b = (
    _core.Pack.from_buffer(_core.PackWriter(pset(range(n, n + 200))).image).root() for n in (0, 99)
)

OPERATIONS: dict[str, Callable[[], Any]] = {
    **{op.__name__: lambda op=op: op(a, b) for op in (operator.or_, operator.and_, operator.sub)},
    "xor": lambda: a ^ b,
    "eq": lambda: a == b,
    "le": lambda: a <= b,
    "update": lambda: x.update(y),
    "diff": lambda: _core._diff(x, y),
    "patch": lambda: _core._patch(x, *difference),
    "merge": lambda: _core._merge(x, ours, theirs, None, ABSENT),
    "merge unrelated": lambda: _core._merge(x, y, theirs, None, ABSENT),
    "packed or": lambda: packed_a | packed_b,
    "packed xor": lambda: packed_a ^ packed_b,
    "packed diff": lambda: _core._diff(packed_a, packed_b),
}
ALLOCATES_NOTHING = {"eq", "le"}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_failing_allocation_ends_in_memory_error(name: str) -> None:
    failures = fail_every_allocation(OPERATIONS[name])
    assert (failures > 0) == (name not in ALLOCATES_NOTHING)
    for collection in (a, b, x, y, ours, theirs, packed_a, packed_b):
        _core._check(collection)


def test_operations_leak_nothing() -> None:
    ledger = Ledger()
    bad = [pset([Key(n, hash=n % 3, ledger=ledger) for n in range(k, k + 9)]) for k in (0, 4)]

    def once() -> None:
        for operation in OPERATIONS.values():
            operation()
        for op in (operator.or_, operator.and_, operator.sub, operator.xor, operator.eq):
            for nth in (1, 2, 3):
                ledger.reset(fail_comparison=nth)
                with pytest.raises(Fault):
                    op(*bad)

    tracemalloc.start()
    try:
        for _ in range(5):
            once()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            once()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 20 * 40, f"{grown} bytes in 20 rounds"
