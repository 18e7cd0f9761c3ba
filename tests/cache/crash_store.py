"""What the process does that the crash test kills: random actions on a store.

Each action is in `ACTIONS`. It changes the store and says before what each version that it makes
will hold, and after it returned that they are acknowledged.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

from pstructs import pmap
from pstructs.cache import SnapshotStore, Version


class Witness:
    """Tells the test what was acknowledged: a line `number seed step` for each version."""

    def __init__(self, out: int, seed: int) -> None:
        self.out, self.seed = out, seed

    def acknowledge(self, version: Version, step: int) -> None:
        os.write(self.out, f"{version.number} {self.seed} {step}\n".encode())


def value_of(seed: int, step: int) -> dict[int, str]:
    """Return what a version with the message `seed step` holds."""
    rng = random.Random(f"{seed} {step}")
    count = 900 if rng.random() < 0.3 else 20
    return {n: f"{seed} {step} {n:030}" for n in range(count)}


def save_new(store: SnapshotStore, rng: random.Random, seed: int, step: int) -> Version:
    """A value of its own: a row, or a file."""
    return store.save(
        pmap(value_of(seed, step)),
        head=rng.choice(["main", "main", "side"]),
        message=f"{seed} {step}",
    )


def save_change(store: SnapshotStore, rng: random.Random, seed: int, step: int) -> Version:
    """A value with the same content that shares nodes with one that was loaded."""
    target = value_of(seed, step)
    value = store.load() if store.heads().get("main") else pmap()
    evolver = value.evolver()
    for key in list(value):
        if key not in target:
            evolver.remove(key)
    for key, item in target.items():
        evolver[key] = item
    return store.save(evolver.persistent(), message=f"{seed} {step}")


ACTIONS: list[Callable[[SnapshotStore, random.Random, int, int], Version]] = [
    save_new,
    save_change,
]


def work(folder: str, seed: int, out: int) -> None:
    """Do random actions until the process is killed."""
    rng = random.Random(seed)
    witness = Witness(out, seed)
    with SnapshotStore(folder, durable=rng.choice(["commit", "group", "none"])) as store:  # type: ignore[arg-type]
        step = 0
        while True:
            version = rng.choice(ACTIONS)(store, rng, seed, step)
            witness.acknowledge(version, step)
            step += 1
