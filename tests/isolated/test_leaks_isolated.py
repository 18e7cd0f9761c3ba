"""No operation leaks: memory and reference counts stay level when it is repeated.

Each operation runs in a process of its own, so that nothing else is counted.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.collection_operations import OPERATIONS

PROGRAM = """
import sys
sys.path[:0] = {path!r}
from support.leak_probe import probe
probe({names!r})
"""


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in OPERATIONS}))
def test_repeating_an_operation_leaks_nothing(kind: str) -> None:
    names = [(k, name) for k, name in OPERATIONS if k == kind]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(path=sys.path, names=names)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"probed {len(names)}"
