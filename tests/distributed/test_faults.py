"""Owners and workers are killed while others read: answers are right or clear errors, never late.

`PSTRUCTS_FAULTS` says how often; `make faults` 50 times.
"""

from __future__ import annotations

import os
import pickle
import random
import threading
import time
from typing import Any

import pytest

from pstructs import pmap, pvector
from pstructs.distributed import ShareError, parallel, share
from pstructs.distributed.owner import Owner

pytestmark = pytest.mark.ray

ROUNDS = int(os.environ.get("PSTRUCTS_FAULTS", "2"))
N = 20_000
LIMIT = 30.0


class Reader:
    def read(self, handle: Any, rounds: int) -> list[Any]:
        """Sums of what was read, or the errors."""
        from pstructs.distributed.opened import OPEN_PACKS

        found: list[Any] = []
        for _ in range(rounds):
            OPEN_PACKS.clear()
            try:
                names = pickle.loads(handle) if isinstance(handle, bytes) else handle
                found.append(sum(names.open(timeout=20).values()))
            except ShareError as error:
                found.append(str(error))
        return found


def kill_owner() -> None:
    import ray

    ray.kill(Owner.connect().look_up())


def test_readers_survive_the_death_of_the_owner_in_mid_read(cluster: Any) -> None:
    cluster.by_value(Reader.read)
    dice = random.Random(11)
    m = pmap({i: i for i in range(N)})
    readers = [cluster.ray.remote(num_cpus=0)(Reader).remote() for _ in range(2)]
    for i in range(ROUNDS):
        m = m.set(i, 0)
        expected = sum(m.values())
        handle = share(m)
        sent = [handle, pickle.dumps(handle)]
        start = time.monotonic()
        reading = [r.read.remote(s, 5) for r, s in zip(readers, sent, strict=True)]
        time.sleep(dice.random() * 0.05)
        kill_owner()
        for found in cluster.get(reading):
            assert found == [expected] * 5
        assert time.monotonic() - start < LIMIT
        handle.release()
    for reader in readers:
        cluster.ray.kill(reader)


def test_sharing_survives_the_death_of_the_owner(cluster: Any) -> None:
    m = pmap({i: i for i in range(N)})
    for i in range(ROUNDS):
        share(m)
        kill_owner()
        m = m.update(dict.fromkeys(range(0, N, 7), -i))
        assert cluster.run_in_new_worker(lambda h: sum(h.open().values()), share(m)) == sum(
            m.values()
        )


def test_sharing_survives_the_death_of_the_owner_in_mid_publish(cluster: Any) -> None:
    dice = random.Random(3)
    for i in range(ROUNDS):
        Owner.connect().look_up()
        value = pvector(range(i, 10 * N + i))  # 1.6 MB
        killing = threading.Timer(dice.random() * 0.02, kill_owner)
        start = time.monotonic()
        killing.start()
        handle = share(value, timeout=20)
        killing.join()
        assert time.monotonic() - start < LIMIT
        assert cluster.run_in_new_worker(lambda h: sum(h.open()), handle) == sum(value)


def test_work_survives_the_death_of_a_worker(cluster: Any, tmp_path: Any) -> None:
    """Each of some parts kills its worker once."""
    marks = str(tmp_path)

    def die_once(part: Any) -> int:
        first = min(part)
        mark = os.path.join(marks, str(first))
        if first % 3 == 0 and not os.path.exists(mark):
            open(mark, "w").close()
            os._exit(1)
        return sum(part.values())

    m = pmap({i: i for i in range(1000)})
    for i in range(ROUNDS):
        start = time.monotonic()
        total = parallel(m.set(-i, i), partitions=6, timeout=60).map_reduce(
            die_once, lambda a, b: a + b
        )
        assert total == sum(m.values()) + i
        assert time.monotonic() - start < LIMIT
