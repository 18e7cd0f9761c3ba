"""Repeat an operation, each time with another allocation that fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

testcapi = pytest.importorskip("_testcapi")


def fail_every_allocation(operation: Callable[[], Any], quiet: int = 60) -> int:
    """Fail the first allocation of `operation`, then the second, and so on; count the failures.

    Each run ends in `MemoryError` or gives the same result as ever. The search ends after `quiet`
    runs in a row without a failure: CPython hides some, which have a fallback.
    """
    expected = operation()
    failures = streak = nth = 0
    while streak < quiet:
        nth += 1
        result = None
        testcapi.set_nomemory(nth, nth + 1)
        try:
            result = operation()
        except MemoryError:
            failures += 1
            streak = 0
        finally:
            testcapi.remove_mem_hooks()
        if result is not None:
            assert result == expected
            streak += 1
    assert operation() == expected
    return failures
