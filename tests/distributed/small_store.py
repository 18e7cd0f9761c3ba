"""Run by `test_small_store.py` in a process of its own: shares more than the store can hold.

`spill N` shares N vectors in a store that may use the disk, `fill` as many as go in one that may
not. Prints one line of JSON.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_AUTH_MODE"] = "disabled"

import ray

from pstructs import PVector, m, pvector
from pstructs.distributed import Handle, Head, ShareError, head, share
from pstructs.distributed.opened import OPEN_PACKS
from pstructs.errors import HeadError

NUMBERS = 1_000_000  # 8 MB a vector
MEMORY = 80_000_000


def add_up(handle: Handle[PVector[int]]) -> int:
    return sum(handle.open(timeout=60)[:1000])


def spill(vectors: int) -> dict[str, object]:
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
    return result


def fill() -> dict[str, object]:
    result: dict[str, object] = {}
    handles: list[Handle[PVector[int]]] = []
    refused = pvector(range(NUMBERS))
    try:
        for i in range(1, 50):
            handles.append(share(pvector(range(i, NUMBERS + i))))
    except ShareError as error:
        result["full"] = str(error)
    began = time.monotonic()
    for _ in range(3):
        try:
            share(refused)
        except ShareError as error:
            result["still"] = str(error)
    counter: Head[Any] = head("counter", m(n=0), timeout=20)
    try:
        counter.reset(pvector(range(2 * NUMBERS)))
    except HeadError as error:
        result["head"] = str(error)
    result["counter"] = counter.reset(m(n=1))["n"]
    result["seconds"] = time.monotonic() - began
    task = ray.remote(add_up)
    result["passed"] = ray.get(task.options(max_retries=0).remote(share(refused[:10])), timeout=60)
    result["sums"] = [ray.get(task.remote(handle), timeout=60) for handle in handles]
    for handle in handles[:3]:
        handle.release()
    del handles[:3], handle
    OPEN_PACKS.clear()
    ray.get(ray.remote(close).remote(), timeout=60)
    gc.collect()
    until = time.monotonic() + 60
    while "after" not in result and time.monotonic() < until:
        try:
            result["after"] = ray.get(task.remote(share(refused)), timeout=60)
        except ShareError:
            time.sleep(0.2)
    return result


def close() -> None:
    """Let the one worker close the packs that it keeps open for its next task."""
    from pstructs.distributed.opened import OPEN_PACKS

    OPEN_PACKS.clear()


def main(what: str, *numbers: str) -> None:
    limits = {"automatic_object_spilling_enabled": False, "local_fs_capacity_threshold": 0.0001}
    ray.init(
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="FATAL",
        object_store_memory=MEMORY,
        _system_config=limits if what == "fill" else None,
    )
    print(json.dumps(fill() if what == "fill" else spill(*map(int, numbers))))
    ray.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
