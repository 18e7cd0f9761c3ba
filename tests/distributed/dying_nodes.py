"""Run by `test_nodes.py` in a process of its own: nodes die while others read and swap.

The dying node has the actor of a head with a store, the owner of shared packs and their
publisher. Prints one line of JSON: what was read, what was acknowledged and what is there, and
how long the slowest call took.
"""

from __future__ import annotations

import json
import os
import random
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

N = 20_000
MEMORY = 100_000_000
AFTER = 10
"""Swaps of each writer after the death."""


class Publisher:
    """On the node that dies."""

    def begin(self, folder: str, name: str, owner: str) -> tuple[Any, Any]:
        """Open the head here, and share a snapshot of the store and a version derived from it."""
        from pstructs import pmap
        from pstructs.cache import SnapshotStore
        from pstructs.distributed import enable, head, share

        enable(owner=owner)
        head(name, pmap(), store=folder)
        with SnapshotStore(folder) as store:
            saved = store.load("saved")
        return share(saved), share(saved.set(-1, 0))


class Client:
    """A process on the node that stays."""

    def __init__(self) -> None:
        self.slowest = 0.0

    def timed(self, work: Any) -> Any:
        begin = time.monotonic()
        try:
            return work()
        finally:
            self.slowest = max(self.slowest, time.monotonic() - begin)

    def read(self, handle: Any, until: float) -> tuple[list[Any], float]:
        """What came of reading again and again with nothing open: sums, or errors."""
        from pstructs.distributed import ShareError
        from pstructs.distributed.opened import OPEN_PACKS

        found: list[Any] = []
        while time.time() < until:
            OPEN_PACKS.clear()
            try:
                value = self.timed(lambda: sum(handle.open(timeout=10).values()))
            except ShareError as error:
                value = str(error)
            if value not in found:
                found.append(value)
        return found, self.slowest

    def swap(self, folder: str, name: str, key: str, until: float) -> tuple[int, int, float]:
        """Count a key up until then, and some times more; acknowledged ones, and errors."""
        from pstructs.distributed import head
        from pstructs.errors import HeadError, HeadGoneError

        h: Any = head(name, store=folder, timeout=10, merge=True)
        done = more = errors = 0
        while more < AFTER:
            count = h.using(write_id=f"{key} {os.getpid()} {time.monotonic_ns()}")
            for _ in range(20):
                try:
                    self.timed(lambda: count.swap(lambda v: v.set(key, v.get(key, 0) + 1)))
                    break
                except HeadGoneError as error:  # says what to do
                    assert error.write_id == count._write_id and "store=" in str(error)
                    errors += 1
                except HeadError:
                    errors += 1
                try:  # the folder is here as well
                    self.timed(lambda: head(name, store=folder, timeout=10))
                except HeadError:
                    errors += 1
            else:
                raise RuntimeError(f"{errors} errors in a row")
            done += 1
            more += time.time() > until
        return done, errors, self.slowest


def main(folder: str, rounds: int) -> None:
    from pstructs import pmap
    from pstructs.cache import SnapshotStore
    from pstructs.distributed import head

    with SnapshotStore(folder) as store:
        store.save(pmap({i: i for i in range(N)}), "saved")
    cluster = Cluster()
    cluster.add_node(num_cpus=1, object_store_memory=MEMORY, resources={"stays": 99})
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    dice = random.Random(5)
    clients = [
        ray.remote(num_cpus=0)(Client).options(resources={"stays": 1}).remote() for _ in range(4)
    ]
    acknowledged, errors, slowest = 0, 0, 0.0
    read: dict[str, list[Any]] = {"saved": [], "derived": []}
    for i in range(rounds):
        node = cluster.add_node(num_cpus=1, object_store_memory=MEMORY, resources={"dying": 9})
        publisher = ray.remote(num_cpus=0)(Publisher).options(resources={"dying": 1}).remote()
        handles = ray.get(publisher.begin.remote(folder, "head", f"owner {i}"), timeout=60)
        death = time.time() + 0.5 + dice.random()
        reading = [
            client.read.remote(handle, death + 2)
            for client, handle in zip(clients, handles, strict=False)
        ]
        swapping = [
            client.swap.remote(folder, "head", f"key {i % 3} of {k}", death)
            for k, client in enumerate(clients[2:])
        ]
        time.sleep(max(0.0, death - time.time()))
        cluster.remove_node(node, allow_graceful=False)
        for kind, (found, took) in zip(read, ray.get(reading, timeout=120), strict=True):
            read[kind] += [value for value in found if value not in read[kind]]
            slowest = max(slowest, took)
        for done, failed, took in ray.get(swapping, timeout=120):
            acknowledged, errors = acknowledged + done, errors + failed
            slowest = max(slowest, took)
        h: Any = head("head", store=folder)
        total = sum(h.value.values())
        assert total == acknowledged, f"round {i}: {acknowledged} acknowledged, {total} there"
        h.end()
    result = {"read": read, "acknowledged": acknowledged, "errors": errors, "slowest": slowest}
    print(json.dumps(result))
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
