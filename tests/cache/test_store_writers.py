"""Many writers on one head, while versions expire and packs go and move, and readers hold on.

`make writers WRITERS=16 COMMITS=1000` is the full size; an ordinary test run is small.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

from writers_store import check, house, read, start, swap, write

from pstructs.cache import SnapshotStore
from pstructs.errors import ExpiredVersionError

WRITERS = int(os.environ.get("PSTRUCTS_WRITERS", "4"))
COMMITS = int(os.environ.get("PSTRUCTS_COMMITS", "20"))
READERS = 2
SPAWN = multiprocessing.get_context("spawn")


def join(processes: list[Any], until: float) -> None:
    """Wait for all; end at once when one has failed."""
    while any(process.is_alive() for process in processes):
        assert not any(process.exitcode for process in processes), "a process failed"
        assert time.monotonic() < until, "took too long"
        time.sleep(0.05)
    assert all(process.exitcode == 0 for process in processes)


def test_many_writers_lose_nothing_while_others_keep_house_and_read(folder: Path) -> None:
    with SnapshotStore(folder) as store:
        store.save(start(), message="0")
    path, go, end = str(folder), SPAWN.Event(), SPAWN.Event()
    begun = time.monotonic()
    until = begun + 60 + WRITERS * COMMITS
    writers = [
        SPAWN.Process(target=swap if who % 4 == 3 else write, args=(path, who, COMMITS, go))
        for who in range(WRITERS)
    ]
    others = [SPAWN.Process(target=house, args=(path, 0, end))]
    others += [SPAWN.Process(target=read, args=(path, n, end)) for n in range(READERS)]
    everyone = writers + others
    try:
        for process in everyone:
            process.start()
        go.set()
        while any(process.is_alive() for process in writers):
            assert not any(process.exitcode is not None for process in others), "one has failed"
            assert not any(process.exitcode for process in writers), "a writer has failed"
            assert time.monotonic() < until, "took too long"
            time.sleep(0.05)
        end.set()
        join(everyone, time.monotonic() + 120)
    finally:
        for process in everyone:
            if process.is_alive():
                process.kill()
    took = time.monotonic() - begun

    total = WRITERS * COMMITS
    told = [
        line.split()
        for who in range(WRITERS)
        for line in (folder.parent / f"told-{who}").read_text().splitlines()
    ]
    with SnapshotStore(folder) as store:
        versions = list(store.versions)
        assert len(told) == total == len(versions) - 1
        assert [version.number for version in versions] == [*range(1, total + 2)]
        assert sorted((v.number, v.id, v.write_id) for v in versions[1:]) == sorted(
            (int(number), vid, write_id) for number, vid, write_id in told
        )
        for earlier, later in itertools.pairwise(versions):
            assert later.parents == (earlier.id,)
        last = store.load()
        assert last["sum"] == total
        assert [last[f"w{who}"] for who in range(WRITERS)] == [COMMITS] * WRITERS
        there = 0
        for version in versions:
            try:
                value = store.load(version)
            except ExpiredVersionError:
                continue
            there += 1
            check(value, version)
        del last, value  # or the packs that they lie in stay
        assert store.verify().unlisted == ()
        store.compact()
        left = store.gc()
        assert (left.waiting, left.readers) == (0, ())
        assert store.verify().versions == total + 1
    expired, removed, moved = map(int, (folder.parent / "house").read_text().split())
    looks = [(folder.parent / f"read-{n}").read_text().split() for n in range(READERS)]
    print(
        f"{WRITERS} processes x {COMMITS} commits, each given twice: {total} versions, 0 lost, "
        f"0 twice, in {took:.1f} s. Meanwhile {expired} expired, {removed} packs removed "
        f"(and {left.removed} afterwards), "
        f"{moved} versions moved by compactions; {READERS} readers looked at "
        f"{sum(int(seen) for seen, _ in looks)} held values and met "
        f"{sum(int(gone) for _, gone in looks)} expired ones"
    )
    assert there + expired >= total + 1
    assert expired and removed + left.removed and all(int(seen) for seen, _ in looks)
