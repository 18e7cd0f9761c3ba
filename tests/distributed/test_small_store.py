"""Packs that don't fit into the object store are spilled to the disk and come back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.ray


def test_more_packs_than_the_object_store_holds_are_all_readable() -> None:
    pytest.importorskip("ray")
    count = 12  # 96 MB in a store of 80
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("small_store.py")), str(count)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    expected = [sum(range(i, i + 1000)) for i in range(count)]
    assert result["sums"] == expected
    assert result.get("held") == expected or "object store" in result["full"]
    assert result["after"] == expected[0]
