"""What the processes of test_store_writers.py do: write, keep house, and read, on one store.

The value at the head counts: each commit adds one to the entry of its writer and to the sum, so
that a version's sum says how many commits it stands on. Now and then a commit brings bytes of its
own, so that packs become files.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections import deque
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from pstructs import pmap
from pstructs.cache import SnapshotStore, Version
from pstructs.cache.retention import keep
from pstructs.errors import ExpiredVersionError, HeadMovedError

HELD = 30


def start() -> Any:
    return pmap({"sum": 0, **{n: f"{n:030}" for n in range(200)}})


def bulk(who: int, n: int) -> bytes:
    return hashlib.shake_128(f"{who} {n}".encode()).digest(40_000)


def check(value: Any, version: Version) -> None:
    """The value is that of the version, whole."""
    counts = {key: count for key, count in value.items() if isinstance(key, str) and key[0] == "w"}
    assert sum(counts.values()) == value["sum"], version
    assert value["sum"] == version.number - 1, version
    assert all(value[n] == f"{n:030}" for n in range(200)), version
    for key, data in value.items():
        if isinstance(key, tuple):
            assert data == bulk(*key), (version, key)


def commit(store: SnapshotStore, who: int, n: int) -> Version:
    """Count one commit; given again, it is the same one."""
    while True:
        at = store.version("main")
        try:
            value = store.load(at)
        except ExpiredVersionError:  # the head has moved on
            continue
        more = {"sum": value["sum"] + 1, f"w{who}": value.get(f"w{who}", 0) + 1}
        if n % 25 == 0:
            more[who, 0] = bulk(who, 0) if (who, 0) not in value else value[who, 0]
        try:
            return store.save(
                value.update(more),
                expected=at,
                message=str(more["sum"]),
                write_id=f"{who}:{n}",
            )
        except HeadMovedError:
            time.sleep(random.uniform(0, 0.02))


def write(path: str, who: int, times: int, go: Event) -> None:
    """Commit, and give each commit once more, some commits later; tell what was acknowledged."""
    told: list[str] = []
    late: deque[tuple[int, Version]] = deque()

    def again() -> None:
        n, version = late.popleft()
        swapped = store.swap("main", lambda value: 1 / 0, write_id=f"{who}:{n}")
        assert swapped.id == version.id, (swapped, version)  # it can have moved to another pack

    with SnapshotStore(path, durable=("none", "group", "commit")[who % 3]) as store:  # type: ignore[arg-type]
        go.wait()
        for n in range(times):
            version = commit(store, who, n)
            told.append(f"{version.number} {version.id} {who}:{n}\n")
            late.append((n, version))
            if len(late) > 8:
                again()
        while late:
            again()
    Path(path).with_name(f"told-{who}").write_text("".join(told))


def swap(path: str, who: int, times: int, go: Event) -> None:
    """The same by `swap`, which tries again by itself; some with a value of two writers."""
    told: list[str] = []

    def count(value: Any) -> Any:
        return value.update({"sum": value["sum"] + 1, f"w{who}": value.get(f"w{who}", 0) + 1})

    with SnapshotStore(path, durable="none") as store:
        go.wait()
        for n in range(times):
            for _ in range(2):
                version = store.swap("main", count, write_id=f"{who}:{n}", retries=10_000)
            told.append(f"{version.number} {version.id} {who}:{n}\n")
    Path(path).with_name(f"told-{who}").write_text("".join(told))


def house(path: str, seed: int, end: Event) -> None:
    """Let versions expire, collect and compact, until the end; tell how much that was."""
    rng = random.Random(seed)
    expired = removed = moved = 0
    with SnapshotStore(path) as store:
        while not end.wait(0.02):
            expired += len(store.expire(keep(last=rng.choice([1, 2, 5, 20]))).expired)
            removed += store.gc(grace=rng.choice([0, 0, 3])).removed
            if rng.random() < 0.5:
                moved += store.compact().versions
    Path(path).with_name("house").write_text(f"{expired} {removed} {moved}")


def read(path: str, seed: int, end: Event) -> None:
    """Load versions and hold them, and look at all that is held, until the end."""
    rng = random.Random(seed)
    held: deque[tuple[Any, Version]] = deque(maxlen=HELD)
    seen = gone = 0
    with SnapshotStore(path) as store:
        while not end.is_set():
            head = store.load("main")  # never an expired one, wherever the head goes
            assert sum(c for k, c in head.items() if str(k)[0] == "w") == head["sum"]
            last = store.version("main").number
            version = store.version(max(1, last - rng.randrange(30)))
            try:
                held.append((store.load(version), version))
            except ExpiredVersionError:
                gone += 1
            for value, at in rng.sample(list(held), min(3, len(held))):
                check(value, at)
                seen += 1
        for value, at in held:
            check(value, at)
            seen += 1
    Path(path).with_name(f"read-{seed}").write_text(f"{seen} {gone}")
