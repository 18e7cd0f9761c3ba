"""Run by `test_nodes.py` in a process of its own: a cluster of three nodes on this machine.

A pack is published on one node and read on the others; then the publisher's node is killed.
Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import time
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_health_check_initial_delay_ms"] = "500"
os.environ["RAY_health_check_period_ms"] = "500"
os.environ["RAY_health_check_timeout_ms"] = "1000"
os.environ["RAY_health_check_failure_threshold"] = "3"

import ray
from ray.cluster_utils import Cluster

N = 60_000
MEMORY = 100_000_000


class Process:
    """A worker process of a node."""

    def publish(self, folder: str, name: str) -> dict[str, Any]:
        """Share a snapshot of a store, and a version derived from it."""
        from pstructs.cache import SnapshotStore
        from pstructs.distributed import enable, share

        enable(owner=name)
        with SnapshotStore(folder) as store:
            value = store.load()
        handle = share(value)
        return {"saved": handle, "names": pickle.dumps(handle), "derived": share(value.set(-1, 0))}

    def read(self, handle: Any) -> tuple[int, float]:
        """Entries, and seconds to open and read."""
        start = time.monotonic()
        value = (pickle.loads(handle) if isinstance(handle, bytes) else handle).open(timeout=20)
        assert sum(v for k, v in value.items()) == sum(range(N))
        return len(value), time.monotonic() - start


def on(node: str) -> Any:
    return ray.remote(num_cpus=0)(Process).options(resources={node: 1}).remote()


def holders(handle: Any) -> list[str]:
    """The nodes that have a copy of the large pack that a small one points into."""
    (piece,) = handle._piece.imports.values()
    places: dict[str, Any] = ray.experimental.get_object_locations([piece.ref])[piece.ref]
    return sorted(places["node_ids"])


def main(folder: str) -> None:
    cluster = Cluster()
    cluster.add_node(num_cpus=1, object_store_memory=MEMORY)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    publishing = cluster.add_node(
        num_cpus=1, object_store_memory=MEMORY, resources={"publishing": 9}
    )
    cluster.add_node(num_cpus=1, object_store_memory=MEMORY, resources={"reading": 9})
    cluster.wait_for_nodes()
    result: dict[str, Any] = {}
    published = ray.get(on("publishing").publish.remote(folder, "three nodes"), timeout=60)
    readers = [on("reading") for _ in range(3)]
    result["before"] = holders(published["derived"])
    result["read"] = ray.get([r.read.remote(published["derived"]) for r in readers], timeout=60)
    result["after"] = holders(published["derived"])

    cluster.remove_node(publishing, allow_graceful=False)
    fresh = [on("reading") for _ in range(3)]
    result["saved"] = ray.get(fresh[0].read.remote(published["saved"]), timeout=120)
    result["names"] = ray.get(fresh[1].read.remote(published["names"]), timeout=120)
    result["derived"] = ray.get(fresh[2].read.remote(published["derived"]), timeout=120)
    print(json.dumps(result))
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
