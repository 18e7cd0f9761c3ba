"""Run by `test_small_store.py` in a process of its own: shares more than the store can hold.

Prints one line of JSON.
"""

from __future__ import annotations

import gc
import json
import os
import sys

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_AUTH_MODE"] = "disabled"

import ray

from pstructs import PVector, pvector
from pstructs.distributed import Handle, ShareError, share
from pstructs.distributed.opened import OPEN_PACKS

NUMBERS = 1_000_000  # 8 MB a vector
MEMORY = 80_000_000


def add_up(handle: Handle[PVector[int]]) -> int:
    return sum(handle.open(timeout=60)[:1000])


def main(vectors: int) -> None:
    ray.init(
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="FATAL",
        object_store_memory=MEMORY,
    )
    result: dict[str, object] = {}
    handles = []
    for i in range(vectors):
        handles.append(share(pvector(range(i, NUMBERS + i))))
        gc.collect()
        OPEN_PACKS.clear()  # this process reads none of them
    task = ray.remote(add_up)
    result["sums"] = [ray.get(task.remote(handle), timeout=120) for handle in handles]
    held = []
    try:
        for handle in handles:  # a process that has all of them open at once
            held.append(handle.open(timeout=20))
        result["held"] = [sum(vector[:1000]) for vector in held]
    except ShareError as error:
        result["full"] = str(error)
    del held
    gc.collect()
    result["after"] = ray.get(task.remote(handles[0]), timeout=120)
    print(json.dumps(result))
    ray.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
