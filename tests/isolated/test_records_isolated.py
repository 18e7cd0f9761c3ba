"""Records leak nothing, and a failing allocation is a MemoryError that loses nothing.

Each probe runs in a process of its own, so that nothing else is counted.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from pstructs import _core
from support.record_operations import SAFE, THROUGH_PYTHON


def run(probe: str) -> str:
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        f"from support.record_operations import {probe}\n{probe}()"
    )
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


def test_repeating_an_operation_on_records_leaks_nothing() -> None:
    assert run("probe_leaks") == f"probed {len(SAFE | THROUGH_PYTHON)}"


@pytest.mark.skipif(
    "asan" in _core.BUILD, reason="PYTHONMALLOC=malloc runs around the failing allocator"
)
def test_a_failing_allocation_loses_no_record() -> None:
    pytest.importorskip("_testcapi", reason="this Python has none to fail allocations with")
    assert run("probe_allocations") == f"probed {len(SAFE)}"
