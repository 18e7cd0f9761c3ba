"""`kill -9` while versions move: nothing half visible, and the same call, made again, completes.

Each call begins in a scene of fault_methods.py, in a child that is killed at some moment between
its begin and its end. Both stores are looked at, the call is made again, and nothing that the
child has left may be there then. `make crash KILLS=10000` runs more of them.
"""

from __future__ import annotations

import gc
import os
import random
import select
import shutil
import signal
import time
from pathlib import Path

import pytest
from fault_calls import check
from fault_methods import CALLS, Bench, Call
from fault_scenes import SCENES, World

from pstructs.cache import SnapshotStore
from support import faults

KILLS = max(1, int(os.environ.get("PSTRUCTS_KILLS", "200")) // 60)
NAMES = {
    "export_to",
    "import_from",
    "push",
    "pull",
    "repair",
    "archive",
    "compress",
    "decompress",
}
MOVING = [call for call in CALLS if call.name in NAMES]


def start(call: Call, folder: Path, known: World, total: int) -> tuple[int, int]:
    """Fork a child that makes the call, and says `b` before and `e` after, through a pipe."""
    back, out = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(back)
            with SnapshotStore(folder / "store") as store:
                at = Bench(folder, store, [dict(known)], total)
                os.write(out, b"b")
                call.run(at)
                os.write(out, b"e")
                signal.pause()
        except BaseException as error:
            os.write(2, f"the child raised {error!r}\n".encode())
        finally:
            os._exit(code)
    os.close(out)
    return child, back


def killed(call: Call, folder: Path, known: World, total: int, delay: float) -> float:
    """Kill a child `delay` seconds after its call began; return how long this took, if it ended.

    0 stands for a call that did not end.
    """
    child, back = start(call, folder, known, total)
    said = b""
    try:
        assert os.read(back, 1) == b"b"
        began = time.monotonic()
        if select.select([back], [], [], delay)[0]:
            said = os.read(back, 1)
        took = time.monotonic() - began
    finally:
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status), "the child ended by itself"
    with open(back, "rb") as rest:
        return took if said + rest.read() == b"e" else 0


def leftovers(folder: Path) -> list[str]:
    """What no sound store has, and no file beside one."""
    found = []
    for where, _, names in os.walk(folder):
        place = os.path.relpath(where, folder)
        for name in names:
            last = place.rpartition("/")[2]
            waits = last in ("incoming", "leases", "damaged") and name != "lock"
            if waits or "part" in name:
                found.append(f"{place}/{name}")
    return found


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
@pytest.mark.parametrize("call", MOVING, ids=lambda call: f"{call.name}-{CALLS.index(call)}")
def test_a_kill_while_versions_move_leaves_nothing_half_done(call: Call) -> None:
    rng = random.Random(f"{KILLS} kills of {call.name}")
    ended = 0
    with faults.quick_folder() as work:
        sample, folder = Path(work, "sample"), Path(work, "copy")
        sample.mkdir()
        known = SCENES[call.scene](sample)
        gc.collect()
        with SnapshotStore(sample / "store") as store:
            total = len(store.versions)
        shutil.copytree(sample, folder)
        longest = killed(call, folder, known, total, 60)
        assert longest
        shutil.rmtree(folder)
        for _ in range(KILLS):
            shutil.copytree(sample, folder)
            done = killed(call, folder, known, total, rng.random() * longest * 1.2)
            ended += bool(done)
            at = Bench(folder, None, [dict(known)], total)  # type: ignore[arg-type]
            if call.name == "archive":
                at.worlds[0].pop(1)
            check(at, call, None if done else "a kill")
            for name in ("store", "other"):
                if (folder / name).exists():
                    with SnapshotStore(folder / name) as store:
                        assert store.verify().unlisted == ()
                        store.gc()  # clears away the leases of the dead
            gc.collect()
            assert leftovers(folder) == []
            shutil.rmtree(folder)
    print(f"{call.name} ({call.scene}): {KILLS} kills, {ended} at its end; nothing lost or left")
