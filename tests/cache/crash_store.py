"""What the process does that the crash test kills: random actions on a store.

Each action is in `ACTIONS`. It changes the store and says before what each version that it makes
will hold, and after it returned that they are acknowledged.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from pstructs import pmap
from pstructs.cache import SnapshotStore, Version

#: What a child does until it is killed: with a folder, a seed, and where to say what was saved.
Work: TypeAlias = Callable[[str, int, int], None]


def act_until_killed(
    work: Work, folder: Path, seed: int, delay: float
) -> list[tuple[int, int, int]]:
    """Kill a child `delay` seconds after its first version, or, now and then, after its begin."""
    back, out = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(back)
            work(str(folder), seed, out)
        except BaseException as error:
            os.write(2, f"the child raised {error!r}\n".encode())
        finally:
            os._exit(code)
    os.close(out)
    text = b""
    try:
        if seed % 5:
            text = os.read(back, 1 << 16)
        time.sleep(delay)
    finally:
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    with open(back, "rb") as rest:
        text += rest.read()
    assert os.WIFSIGNALED(status), "the child ended by itself"
    lines = [line.split() for line in text.decode().splitlines(keepends=True) if line[-1] == "\n"]
    return [(int(number), int(seed), int(step)) for number, seed, step in lines]


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
