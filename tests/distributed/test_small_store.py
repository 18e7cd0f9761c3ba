"""Packs that don't fit into the object store are spilled to the disk and come back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.ray


def run(*args: str) -> Any:
    pytest.importorskip("ray")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("small_store.py")), *args],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_more_packs_than_the_object_store_holds_are_all_readable() -> None:
    count = 12  # 96 MB in a store of 80
    result = run("spill", str(count))
    expected = [sum(range(i, i + 1000)) for i in range(count)]
    assert result["sums"] == expected
    assert result.get("held") == expected or "object store" in result["full"]
    assert result["after"] == expected[0]


def test_a_full_object_store_refuses_a_pack_soon_and_loses_none_of_the_others() -> None:
    result = run("fill")
    for error in (result["full"], result["still"]):
        assert "object store is full" in error and "release()" in error
    assert result["seconds"] < 30
    assert result["passed"] == sum(range(10))
    assert len(result["sums"]) >= 4
    assert result["sums"] == [sum(range(i, i + 1000)) for i in range(1, len(result["sums"]) + 1)]
    assert result["after"] == sum(range(1000))  # there is room after a release
