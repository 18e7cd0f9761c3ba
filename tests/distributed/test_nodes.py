"""Several nodes: what crosses the network, and what the death of a node leaves readable."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from pstructs import pmap
from pstructs.cache import SnapshotStore

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(
        "PSTRUCTS_NODES" not in os.environ,
        reason="starts three nodes and waits for the death of one, 40 s: make faults",
    ),
]


def run(name: str, *args: str, timeout: float) -> Any:
    """What a script says, among what Ray says of the dead nodes.

    Ray writes down the address of a `Cluster`, for any `ray.init()` to join; here where nobody
    else looks.
    """
    pytest.importorskip("ray")
    with tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as folder:
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name(name)), *args],
            env={**os.environ, "RAY_TMPDIR": folder},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("{"))
    return json.loads(line)


def test_a_pack_crosses_once_and_saved_snapshots_outlive_the_node_of_their_publisher(
    tmp_path: Path,
) -> None:
    n = 60_000
    with SnapshotStore(tmp_path / "store") as store:
        store.save(pmap({i: i for i in range(n)}))
    result = run("three_nodes.py", str(tmp_path / "store"), timeout=240)
    assert [entries for entries, _ in result["read"]] == [n + 1] * 3
    assert len(result["before"]) == 1
    assert len(result["after"]) == 2  # three readers on that node, one copy; none on the third
    assert set(result["before"]) < set(result["after"])
    assert result["saved"][0] == result["names"][0] == n
    assert result["derived"][0] == n + 1
    assert max(result[kind][1] for kind in ("saved", "names", "derived")) < 60


def test_nodes_that_die_in_mid_swap_and_mid_read_lose_nothing(tmp_path: Path) -> None:
    rounds = int(os.environ.get("PSTRUCTS_FAULTS", "2"))
    result = run("dying_nodes.py", str(tmp_path), str(rounds), timeout=60 + 60 * rounds)
    print(result)
    right = sum(range(20_000))
    assert result["read"]["saved"] == [right]
    # What was in no store can be gone with its publisher: that is said, and nothing wrong is read.
    assert result["read"]["derived"][0] == right
    assert all("share() again" in error for error in result["read"]["derived"][1:])
    assert result["acknowledged"] >= 20 * rounds
    assert result["slowest"] < 40
