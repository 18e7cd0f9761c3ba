"""`kill -9` at random moments: nothing acknowledged is lost, nothing is half there.

`make crash KILLS=10000` runs more of them than an ordinary test run does. The child is forked, so
that a kill costs little more than what the child did and the look at the store afterwards.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from crash_store import act_until_killed, value_of, work

from pstructs.cache import SnapshotStore
from support import faults

KILLS = int(os.environ.get("PSTRUCTS_KILLS", "200"))
KILLS_A_STORE = 15
LONGEST = 0.03  # seconds until a kill


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_kill_loses_no_acknowledged_version() -> None:
    rng = random.Random(f"{KILLS} kills")
    swept = extra = total = 0
    with faults.quick_folder() as where:
        for first in range(0, KILLS, KILLS_A_STORE):
            folder = Path(where) / str(first)
            known: dict[int, tuple[int, int]] = {}
            for seed in range(first, min(KILLS, first + KILLS_A_STORE)):
                for number, who, step in act_until_killed(
                    work, folder, seed, rng.random() * LONGEST
                ):
                    assert number not in known, "a number was given twice"
                    known[number] = (who, step)
                    total += 1
                with SnapshotStore(folder) as store:
                    report = store.verify()
                    assert report.unlisted == ()
                    swept += report.swept
                    assert [version.number for version in store.versions] == [
                        *range(1, report.versions + 1)
                    ]
                    for version in store.versions[max(0, len(known) - 12) :]:
                        # each version is whole and is what its message says, acknowledged or not
                        assert version.message is not None
                        who, step = map(int, version.message.split())
                        extra += version.number not in known
                        assert known.setdefault(version.number, (who, step)) == (who, step)
                        assert dict(store.load(version)) == value_of(who, step)
                    assert [*sorted(known)] == [*range(1, report.versions + 1)]
                    for head in store.heads():
                        store.load(head)
            with SnapshotStore(folder) as store:
                for number, (who, step) in known.items():
                    assert store.version(number).message == f"{who} {step}"
                    assert dict(store.load(number)) == value_of(who, step)
    print(
        f"{KILLS} kills, {total} acknowledged versions, 0 lost; {extra} whole ones beyond, "
        f"{swept} unfinished packs swept"
    )
    assert total
