"""Run by `test_second_cluster.py` in a process of its own: leaves a cluster and joins another.

Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import pickle
import threading
import time
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_AUTH_MODE"] = "disabled"

import ray

from pstructs import m, pmap
from pstructs.distributed import ClusterTier, head, share
from pstructs.errors import HeadGoneError


def start() -> None:
    ray.init(
        address="local",
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="FATAL",
        object_store_memory=80_000_000,
    )


def read(names: bytes) -> int:
    return len(pickle.loads(names).open(timeout=20))


def main() -> None:
    result: dict[str, Any] = {}
    collections = m(a=1), pmap({i: i for i in range(20_000)})
    start()
    handles = [share(each) for each in collections]
    for handle in handles:
        pickle.dumps(handle)
    counter = head("counter", m(n=1))
    counter.swap(lambda value: value.set("n", 2))
    tier = ClusterTier("results")
    ray.shutdown()

    try:
        counter.deref()
    except HeadGoneError as error:
        result["head"] = str(error)
    result["tier"] = tier.get(b"k" * 16)  # type: ignore[arg-type]
    result["open"] = [len(handle.open()) for handle in handles]
    time.sleep(1)
    result["started"] = ray.is_initialized()
    result["threads"] = [t.name for t in threading.enumerate() if t.name.startswith("pstructs")]

    start()
    names = [pickle.dumps(share(each)) for each in collections]
    result["read"] = ray.get([ray.remote(read).remote(each) for each in names], timeout=60)
    result["new head"] = dict(head("counter", m(n=10)).value)
    result["old object"] = dict(counter.deref())
    print(json.dumps(result))
    ray.shutdown()


if __name__ == "__main__":
    main()
