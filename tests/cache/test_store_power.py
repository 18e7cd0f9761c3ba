"""Power cuts: whatever the disk kept, the store is at the last acknowledged version or the next.

Every call that changes the disk is recorded while a process saves; then the calls up to some
moment are replayed onto a disk that forgets what was not synced (support/power_cut.py).
`make powerloss STATES=20000` tries more states than an ordinary test run does.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pstructs.cache import SnapshotStore
from pstructs.errors import PackError, StoreDamagedError, StoreError
from support import faults, power_cut

STATES = int(os.environ.get("PSTRUCTS_STATES", "1000"))
DRIVER = Path(__file__).with_name("power_store.py")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with faults.quick_folder() as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def shim(work: Path) -> Path:
    return faults.build(work)


def record(work: Path, shim: Path, durable: str) -> tuple[list[faults.Call], Any, str]:
    place = work / durable
    place.mkdir(exist_ok=True)
    log, truth = work / f"{durable}.log", work / f"{durable}.truth"
    faults.run(shim, DRIVER, place, durable, log, truth)
    shutil.rmtree(place)
    values = pickle.loads(truth.read_bytes())
    return list(faults.calls(log)), values, str(place)


def distinct_states(
    recorded: list[faults.Call], root: str, count: int, seed: object
) -> Iterator[tuple[power_cut.Disk, power_cut.State, int]]:
    """Yield states that differ, with how many versions were acknowledged before each."""
    rng = random.Random(f"{seed} {count}")
    seen: set[bytes] = set()
    while len(seen) < count:
        disk, acknowledged, before = power_cut.Disk(root), 0, len(seen)
        each = max(1, round(count / len(recorded)))
        for call in recorded:
            if call.op == faults.MARK:
                acknowledged = call.inode
            else:
                disk.do(call)
            for _ in range(each):
                state = disk.cut(rng)
                name = hashlib.blake2b(repr(sorted(state.items())).encode()).digest()
                if name not in seen and rng.random() < count / len(recorded):
                    seen.add(name)
                    yield disk, state, acknowledged
                    if len(seen) == count:
                        return
        assert len(seen) > before, "there are no more states"


def check(store: SnapshotStore, values: Any, acknowledged: int, rng: random.Random) -> None:
    report = store.verify()
    last = report.versions
    assert acknowledged <= last <= acknowledged + 1
    for number in {last, acknowledged, rng.randint(1, max(1, last))} - {0}:
        if number <= last:
            assert dict(store.load(number)) == values[number]
    if last:
        assert store.log()


@pytest.mark.parametrize("durable", ["commit", "group"])
def test_a_power_cut_loses_no_acknowledged_version(work: Path, shim: Path, durable: str) -> None:
    recorded, values, root = record(work, shim, durable)
    rng = random.Random(1)
    tried = beyond = 0
    for disk, state, acknowledged in distinct_states(recorded, root, STATES // 2, durable):
        place = work / "cut"
        disk.make(state, place)
        with SnapshotStore(place / "s") as store:
            check(store, values, acknowledged, rng)
            beyond += len(store.versions) > acknowledged
            if tried % 10 == 0:  # and it goes on
                store.save(values[1])
                store.verify()
        shutil.rmtree(place)
        tried += 1
    assert tried >= STATES // 2
    print(
        f"{durable}: {tried} states after {len(recorded)} calls, {beyond} of them with one whole "
        "version beyond the acknowledged ones"
    )


@pytest.mark.parametrize("forgotten", ["cache.db-wal", "s", "packs", ".pack"])
def test_the_check_notices_when_a_sync_is_left_out(work: Path, shim: Path, forgotten: str) -> None:
    recorded, values, root = record(work, shim, "commit")
    recorded = [c for c in recorded if c.op != faults.SYNC or not c.path.endswith(forgotten)]
    rng = random.Random(2)
    for disk, state, acknowledged in distinct_states(recorded, root, 2000, forgotten):
        place = work / "cut"
        disk.make(state, place)
        try:
            with SnapshotStore(place / "s") as store:
                check(store, values, acknowledged, rng)
        except (AssertionError, StoreError):
            return
        finally:
            shutil.rmtree(place)
    pytest.fail("a store without that sync passed all power cuts")


def test_without_syncs_a_power_cut_leaves_a_store_that_tells_what_is_damaged(
    work: Path, shim: Path
) -> None:
    recorded, values, root = record(work, shim, "none")
    tried = damaged = 0
    for disk, state, _ in distinct_states(recorded, root, STATES // 8, "none"):
        place = work / "cut"
        disk.make(state, place)
        with SnapshotStore(place / "s") as store:
            try:
                store.verify()
            except StoreDamagedError:
                damaged += 1
            for version in store.versions:
                try:
                    value = dict(store.load(version))
                except (StoreDamagedError, PackError):
                    continue
                assert value == values[version.number]
        shutil.rmtree(place)
        tried += 1
    print(f"none: {tried} states, {damaged} of them with packs that verify calls damaged")
