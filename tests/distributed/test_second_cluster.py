"""A process that leaves its cluster gets clear errors, starts nothing, and can join another."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.ray


def test_nothing_of_a_cluster_that_was_left_stands_in_the_way_of_the_next() -> None:
    pytest.importorskip("ray")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("second_cluster.py"))],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert "a cluster that the process has left" in result["head"]
    assert result["tier"] is None
    assert result["open"] == result["read"] == [1, 20_000]
    assert result["started"] is False  # Ray starts a cluster for whoever calls it without one
    assert not {"pstructs-tier-results"} & set(result["threads"])
    assert result["new head"] == result["old object"] == {"n": 10}
