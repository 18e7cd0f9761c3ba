"""Several nodes: what crosses the network, and what the death of a node leaves readable."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

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


def test_a_pack_crosses_once_and_saved_snapshots_outlive_the_node_of_their_publisher(
    tmp_path: Path,
) -> None:
    pytest.importorskip("ray")
    n = 60_000
    with SnapshotStore(tmp_path / "store") as store:
        store.save(pmap({i: i for i in range(n)}))
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("three_nodes.py")), str(tmp_path / "store")],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("{"))
    result = json.loads(line)  # among what Ray says of the dead node
    assert [entries for entries, _ in result["read"]] == [n + 1] * 3
    assert len(result["before"]) == 1
    assert len(result["after"]) == 2  # three readers on that node, one copy; none on the third
    assert set(result["before"]) < set(result["after"])
    assert result["saved"][0] == result["names"][0] == n
    assert result["derived"][0] == n + 1
    assert max(result[kind][1] for kind in ("saved", "names", "derived")) < 60
