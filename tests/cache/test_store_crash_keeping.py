"""`kill -9` during expiry, collection, compaction and compression: what stays is whole.

The last `KEPT` versions of each head stay, and what is pinned.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crash_store import Witness, act_until_killed

from pstructs import pmap
from pstructs.cache import SnapshotStore
from pstructs.cache.retention import keep
from pstructs.errors import ExpiredVersionError

KILLS = max(1, int(os.environ.get("PSTRUCTS_KILLS", "200")) // 10)
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
    match rng.randrange(9):
        case 0 | 1:
            store.expire(keep(last=KEPT))
        case 2 | 3:
            store.gc(grace=rng.choice([0, 3]))
        case 4:
            store.compact(keep_above=rng.choice([None, 60_000]))
        case 5:
            store.pin(rng.choice(list(store.heads().values())), "kept")
        case 6 | 7:
            store.compress(level=1)
        case 8:
            store.decompress()


def work(folder: str, seed: int, out: int) -> None:
    """Save, and do a chore after each save, until the process is killed."""
    chores, witness = random.Random(-seed), Witness(out, seed)
    with SnapshotStore(folder) as store:
        for step, head, value in model(seed):
            witness.acknowledge(store.save(value, head=head, message=f"{seed} {step}"), step)
            chore(store, chores)


def value_at(seed: int, step: int) -> Any:
    return next(itertools.islice(model(seed), step, None))[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_kill_while_versions_expire_and_packs_move_loses_nothing_that_stays(
    folder: Path,
) -> None:
    rng = random.Random(f"{KILLS} kills of keepers")
    acknowledged: dict[int, str] = {}
    values: dict[tuple[int, int], Any] = {}
    expired = 0
    for seed in range(KILLS):
        for number, who, step in act_until_killed(work, folder, seed, rng.random() * 0.3):
            acknowledged[number] = f"{who} {step}"
        with SnapshotStore(folder) as store:
            assert store.verify().unlisted == ()
            assert acknowledged.items() <= {v.number: v.message for v in store.versions}.items()
            pinned = {mark.number for mark in store.pins}
            by_head: dict[str, list[int]] = {}
            for version in store.versions:
                by_head.setdefault(version.head, []).append(version.number)
            stay = pinned.union(*(numbers[-KEPT:] for numbers in by_head.values()))
            expired = 0
            for version in store.versions:
                assert version.message is not None
                who, step = map(int, version.message.split())
                if (who, step) not in values:
                    values[who, step] = value_at(who, step)
                try:
                    assert store.load(version) == values[who, step]
                except ExpiredVersionError:
                    assert version.number not in stay
                    expired += 1
    assert expired
    with SnapshotStore(folder) as store:
        store.compact()
        assert store.gc().waiting == 0
        assert store.verify().unlisted == ()
    print(f"{KILLS} kills, {len(acknowledged)} acknowledged versions, {expired} of them expired")
