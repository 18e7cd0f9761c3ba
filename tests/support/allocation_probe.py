"""Fails the i-th allocation of an operation, for every i until it succeeds."""

from __future__ import annotations

import _testcapi  # type: ignore[import-not-found]
import gc
import sys

from support.collection_operations import KINDS, OPERATIONS, Case

LIMIT = 5000


def fail_each(kind: str, name: str) -> int:
    """Number of allocations that failed one by one before the operation succeeded."""
    case = Case(KINDS[kind])
    do = OPERATIONS[kind, name]
    do(case)  # imports and caches
    gc.collect()
    for i in range(LIMIT):
        failed = False
        _testcapi.set_nomemory(i, i + 1)
        try:
            do(case)
        except MemoryError:
            failed = True
        finally:
            _testcapi.remove_mem_hooks()
        if not failed and i > 3:
            # The allocator may have failed where a fallback exists: go on until i is past all.
            quiet = all(succeeds(case, do, j) for j in range(i, i + 3))
            if quiet:
                case.check_unchanged()
                return i
        if i % 16 == 0:
            case.check_unchanged()
    raise AssertionError(f"{kind} {name}: more than {LIMIT} allocations")


def succeeds(case: Case, do: object, i: int) -> bool:
    """Whether the operation succeeds although allocation i fails."""
    _testcapi.set_nomemory(i, i + 1)
    try:
        do(case)  # type: ignore[operator]
    except MemoryError:
        return False
    finally:
        _testcapi.remove_mem_hooks()
    return True


def probe(names: list[tuple[str, str]]) -> None:
    """Fail each allocation of each operation; print how many operations there were."""
    gc.disable()
    total = 0
    for kind, name in names:
        print(kind, name, flush=True)
        total += fail_each(kind, name)
    assert total > len(names), "no allocation failed: the probe is blind"
    print(f"probed {len(names)}")
    sys.exit(0)
