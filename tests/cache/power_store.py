"""The process whose calls the power-cut test records: saves and compresses versions, and marks
what it knows.

    LD_PRELOAD=faults.so python power_store.py FOLDER DURABLE LOG TRUTH

A mark says how many versions were acknowledged before. TRUTH becomes a pickle of their values.
"""

from __future__ import annotations

import pickle
import random
import sys
import threading
from typing import Any

from pstructs import pmap, pvector
from pstructs.cache import SnapshotStore, folder
from support.faults import Shim

ROUNDS, STEPS = 3, 8


def steps(rng: random.Random, value: Any) -> Any:
    """Return the next value: an increment, a large pack, or another collection."""
    kind = rng.random()
    if kind < 0.5:
        return value.set(rng.randrange(300), f"{rng.random()}")
    if kind < 0.75:
        many = {rng.randrange(10_000): f"{rng.random():040}" for _ in range(700)}
        return pmap({**dict(value), **many})
    return value.set("list", pvector(range(rng.randrange(200))))


def main() -> None:
    where, durable, log, truth = sys.argv[1:]
    folder._CHECKPOINT_PAGES = 40  # type: ignore[misc]
    shim = Shim(where)
    shim.record(log)
    rng = random.Random(7)
    value: Any = pmap({n: f"{n}" for n in range(300)})
    values: dict[int, dict[Any, Any]] = {}
    acknowledged = packs = 0
    for _ in range(ROUNDS):
        with SnapshotStore(f"{where}/s", durable=durable) as store:  # type: ignore[arg-type]
            if acknowledged:
                value = store.load()
            for step in range(STEPS):
                value = steps(rng, value)
                if step == 3 and acknowledged:
                    version = store.undo()
                    value = store.load(version)
                elif step == 5:
                    # another connection, which finds the log made already
                    done: list[Any] = []
                    other = threading.Thread(
                        target=lambda v=value, d=done: d.append(store.save(v, head="side"))  # type: ignore[misc]
                    )
                    other.start()
                    other.join()
                    (version,) = done
                else:
                    version = store.save(value)
                acknowledged = version.number
                values[version.number] = dict(value)
                shim.mark(acknowledged)
                if step == 6:
                    packs += store.compress(level=1).packs
        with SnapshotStore(f"{where}/s", durable=durable) as store:  # type: ignore[arg-type]
            if acknowledged == STEPS:
                store.decompress()
    assert packs, "nothing was compressed"
    with open(truth, "wb") as out:
        pickle.dump(values, out)


if __name__ == "__main__":
    main()
