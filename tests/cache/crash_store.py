"""The process that the crash test kills: saves versions, and says which ones were acknowledged.

    python crash_store.py FOLDER SEED [keep]

Each line `N SEED STEP` on standard output says: version N was saved, with the value that `model`
gives for SEED and STEP. The line is written only after `save` returned. With `keep`, versions
expire, packs are collected and compacted in between; the last `KEPT` versions of each head stay.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from typing import Any

from pstructs import pmap
from pstructs.cache import SnapshotStore
from pstructs.cache.retention import keep

KEPT = 5


def model(seed: int) -> Iterator[tuple[int, str, Any]]:
    """Yield step, head and the value to save there: increments, and now and then a large pack."""
    rng = random.Random(seed)
    value = pmap({n: f"{seed} {n}" for n in range(200)})
    step = 0
    while True:
        if rng.random() < 0.3:
            many = {1000 + rng.randrange(10_000): f"{seed} {step} {n:030}" for n in range(900)}
            value = pmap({**dict(value), **many})
        else:
            value = value.set(rng.randrange(200), f"{seed} {step}")
        yield step, rng.choice(["main", "main", "side"]), value
        step += 1


def chore(store: SnapshotStore, rng: random.Random) -> None:
    match rng.randrange(6):
        case 0 | 1:
            store.expire(keep(last=KEPT))
        case 2 | 3:
            store.gc(grace=rng.choice([0, 3]))
        case 4:
            store.compact(keep_above=rng.choice([None, 60_000]))
        case 5:
            store.pin(rng.choice(list(store.heads().values())), "kept")


def main() -> None:
    folder, seed = sys.argv[1], int(sys.argv[2])
    chores = random.Random(-seed) if sys.argv[3:] == ["keep"] else None
    with SnapshotStore(folder) as store:
        for step, head, value in model(seed):
            version = store.save(value, head=head, message=f"{seed} {step}")
            os.write(1, f"{version.number} {seed} {step}\n".encode())
            if chores is not None:
                chore(store, chores)


if __name__ == "__main__":
    main()
