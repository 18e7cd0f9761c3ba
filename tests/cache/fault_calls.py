"""Makes every i-th call of a store's methods to the operating system fail, and looks at the store.

    LD_PRELOAD=faults.so python fault_calls.py WORK STRIDE SEED [NAME ...]

For each call (fault_methods.py) and each kind of failure: the first call to the system fails,
then the second, until there are no more of them. Whatever happens, the call raises an error that
says where, or does what it should; the store that is opened afterwards is sound and has all that
was acknowledged; and the call, made again, does what it should. Prints a line a call. With a
STRIDE of 3, about every third failure is tried; with NAMEs, only these calls are.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import random
import shutil
import sys
from pathlib import Path

from fault_methods import CALLS, SCENES, Bench, Call, World

from pstructs import pmap
from pstructs.cache import SnapshotStore
from pstructs.errors import PstructsError, StoreDamagedError
from support.faults import Shim

#: kind: (errno or 0 for a short transfer, whether all later calls fail, too)
KINDS = {
    "EIO": (errno.EIO, False),
    "ENOSPC": (errno.ENOSPC, False),
    "EINTR": (errno.EINTR, False),
    "short": (0, False),
    "EIO from then on": (errno.EIO, True),
    "ENOSPC from then on": (errno.ENOSPC, True),
}


def opens(at: Bench) -> None:
    """Opening and closing: the driver does it."""


def look(at: Bench, makes: set[int]) -> None:
    """The store is sound, is in one of its worlds, and has so many versions more."""
    with SnapshotStore(at.path("store")) as store:
        report = store.verify()
        assert report.versions - at.total in makes, (report, makes)
        found: list[tuple[int, object]] = []
        for world in at.worlds:
            wrong = [n for n, value in world.items() if dict(store.load(n)) != value]
            if not wrong:
                return
            found.append((len(world), wrong))
    raise AssertionError(f"versions hold something else: {found}")


def says_where(at: Bench, error: Exception) -> bool:
    text = str(error)
    return str(at.folder) in text or "pack" in text


def attempt(
    shim: Shim, sample: Path, known: World, call: Call, kind: str, nth: int, durable: str
) -> tuple[str, str | None]:
    """Make a call with one failure, look, and make it again; return what failed and was raised."""
    number, lasting = KINDS[kind]
    folder = sample.with_name("copy")
    shutil.copytree(sample, folder)
    with SnapshotStore(folder / "store") as store:
        total = len(store.versions)
    where = f"{call.name} ({call.scene}), {durable}: {kind} in call {nth}"
    raised = None
    at = Bench(folder, store, [dict(known)], total)
    try:
        if call.run is opens:
            shim.arm(nth, number, lasting)
        at.store = SnapshotStore(folder / "store", durable=durable)  # type: ignore[arg-type]
        if call.run is opens:
            at.store.close()
        else:
            shim.arm(nth, number, lasting)
            call.run(at)
    except PstructsError as error:
        raised = type(error).__name__
        assert says_where(at, error), f"{where} ({shim.fired()}): {error!r}"
    except OSError as error:
        raised = type(error).__name__
        named = str(error.filename).startswith(str(folder))
        assert named, f"{where} ({shim.fired()}) raised {error!r}"
    except BaseException as error:
        raise AssertionError(f"{where} ({shim.fired()}) raised {error!r}") from error
    fired = shim.fired()
    shim.arm(0, 0)
    at.store.close()
    gc.collect()
    try:
        check(at, call, raised)
    except BaseException as error:
        raise AssertionError(f"after {where} ({fired}, raised {raised}): {error!r}") from error
    shutil.rmtree(folder)
    return fired, raised


def check(at: Bench, call: Call, raised: str | None) -> None:
    """Look at the store, make the call again, and look once more."""
    try:
        look(at, {0, call.makes} if raised else {call.makes})
    except StoreDamagedError:
        if not (call.broken and raised):
            raise
    at.again = True
    with SnapshotStore(at.path("store")) as at.store:
        call.run(at)
    gc.collect()
    look(at, {call.makes, 2 * call.makes})
    with SnapshotStore(at.path("store")) as store:
        assert store.verify().unlisted == ()
        last = len(store.versions)
        assert store.save(pmap({"after": 1})).number == last + 1


def main() -> None:
    work, stride, rng = Path(sys.argv[1]), int(sys.argv[2]), random.Random(sys.argv[3])
    wanted = set(sys.argv[4:])
    logging.disable()
    shim = Shim(os.path.join(work, "copy"))
    samples: dict[str, tuple[Path, World]] = {}
    total = 0
    for call in [Call("open close", "plain", opens), *CALLS]:
        if wanted and not wanted & set(call.name.split()):
            continue
        if call.scene not in samples:
            folder = work / call.scene
            folder.mkdir()
            samples[call.scene] = folder, SCENES[call.scene](folder)
            gc.collect()
            gc.freeze()  # what collections have no need to look at again
        tried: dict[str, int] = {}
        outcomes: dict[str, int] = {}
        for kind in KINDS:
            for durable in call.durables:
                nth = 1 + rng.randrange(stride)
                while True:
                    fired, raised = attempt(shim, *samples[call.scene], call, kind, nth, durable)
                    if not fired:
                        break
                    tried[fired] = tried.get(fired, 0) + 1
                    outcomes[raised or "went on"] = outcomes.get(raised or "went on", 0) + 1
                    nth += stride
        total += sum(tried.values())
        text = f"{sum(tried.values())} failures in {tried}: {outcomes}"
        print(f"{call.name} ({call.scene}): {text}", flush=True)
    print(f"{total} failures")


if __name__ == "__main__":
    main()
