"""`kill -9` at random moments of saving: nothing acknowledged is lost, nothing is half there.

`make crash KILLS=200` runs more of them than an ordinary test run does.
"""

from __future__ import annotations

import itertools
import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from crash_store import KEPT, model

from pstructs.cache import SnapshotStore
from pstructs.errors import ExpiredVersionError

KILLS = int(os.environ.get("PSTRUCTS_KILLS", "20"))
DRIVER = Path(__file__).with_name("crash_store.py")


def save_until_killed(
    folder: Path, seed: int, delay: float, *more: str
) -> list[tuple[int, int, int]]:
    """Run the driver and kill it `delay` seconds after it began; return what it acknowledged."""
    child = subprocess.Popen(
        [sys.executable, str(DRIVER), str(folder), str(seed), *more],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    try:
        # now and then a kill falls into opening the store, before anything was saved
        if seed % 5:
            assert select.select([child.stdout], [], [], 60)[0], "no version in a minute"
        time.sleep(delay)
        os.kill(child.pid, signal.SIGKILL)
        text = child.stdout.read().decode()
    finally:
        child.kill()
        child.stdout.close()
        code = child.wait(60)
    assert code == -signal.SIGKILL, "the driver ended by itself"
    lines = [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [(int(number), int(seed), int(step)) for number, seed, step in lines]


def value_at(seed: int, step: int) -> Any:
    return next(itertools.islice(model(seed), step, None))[2]


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_kill_loses_no_acknowledged_version(folder: Path) -> None:
    rng = random.Random(f"{KILLS} kills")
    acknowledged: dict[int, tuple[int, int]] = {}
    swept = extra = 0
    for seed in range(KILLS):
        for number, who, step in save_until_killed(folder, seed, rng.random() * 0.08):
            assert number not in acknowledged, "a number was given twice"
            acknowledged[number] = (who, step)
        with SnapshotStore(folder) as store:
            report = store.verify()
            assert report.unlisted == ()
            swept += report.swept
            assert report.versions == len(store.versions)
            for version in store.versions:
                # each version is whole and is what its message says, acknowledged or not
                assert version.message is not None
                who, step = map(int, version.message.split())
                if who == seed:
                    assert store.load(version) == value_at(who, step)
                    extra += version.number not in acknowledged
                    acknowledged.setdefault(version.number, (who, step))
            present = {version.number for version in store.versions}
            assert acknowledged.keys() == present
            for head in store.heads():
                store.load(head)
    with SnapshotStore(folder) as store:
        for number, (who, step) in acknowledged.items():
            assert store.version(number).message == f"{who} {step}"
    print(
        f"{KILLS} kills, {len(acknowledged) - extra} acknowledged versions, 0 lost; {extra} whole "
        f"ones beyond, {swept} unfinished packs swept"
    )


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_kill_while_versions_expire_and_packs_move_loses_nothing_that_stays(
    folder: Path,
) -> None:
    rng = random.Random(f"{KILLS} kills of keepers")
    acknowledged: dict[int, str] = {}
    values: dict[tuple[int, int], Any] = {}
    expired = 0
    for seed in range(KILLS):
        for number, who, step in save_until_killed(folder, seed, rng.random() * 0.3, "keep"):
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
