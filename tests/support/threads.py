"""Threads that really get into each other's way."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence


def run_together(works: Sequence[Callable[[], object]], timeout: float = 120) -> None:
    """Run each in a thread of its own, switching often; raise what the first one raised."""
    failures: list[BaseException] = []
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        barrier.wait()
        try:
            work()
        except BaseException as error:
            failures.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=run, args=(w,), daemon=True) for w in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout)
    finally:
        sys.setswitchinterval(interval)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    if failures:
        raise failures[0]
