"""Every allocation of every operation fails once: MemoryError, nothing lost, no crash."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pstructs import _core
from support.collection_operations import ALLOCATING

pytest.importorskip("_testcapi", reason="this Python has no _testcapi to fail allocations with")
if "asan" in _core.BUILD:
    pytest.skip("PYTHONMALLOC=malloc runs around the failing allocator", allow_module_level=True)

PROGRAM = """
import sys
sys.path[:0] = {path!r}
from support.allocation_probe import probe
probe({names!r})
"""


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in ALLOCATING}))
def test_a_failing_allocation_is_a_memory_error_and_loses_nothing(kind: str) -> None:
    names = [(k, name) for k, name in ALLOCATING if k == kind]
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", PROGRAM.format(path=sys.path, names=names)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == f"probed {len(names)}"
