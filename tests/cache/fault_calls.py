"""Makes every i-th call of a store's methods to the operating system fail, and looks at the store.

    LD_PRELOAD=faults.so python fault_calls.py WORK STRIDE SEED

For each method and each kind of failure: the first call fails, then the second, until the method
makes no more of them. Whatever happens, the method raises an error of this library or does what
it should, and the store that is opened afterwards is sound and has all that was acknowledged.
Prints a line a method. With a STRIDE of 3, about every third failure is tried.
"""

from __future__ import annotations

import errno
import logging
import os
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pstructs import patch, pmap, psortedmap, pvector
from pstructs.cache import SnapshotStore
from pstructs.errors import PstructsError
from support.faults import Shim

BASE = pmap({n: f"{n:016}" for n in range(3000)})
MIXED = pmap({"v": pvector(range(500)), "s": psortedmap({n: str(n) for n in range(200)})})
LARGE = pmap({n: f"large {n:016}" for n in range(2500)})

#: kind: (errno or 0 for a short transfer, whether all later calls fail, too)
KINDS = {
    "EIO": (errno.EIO, False),
    "ENOSPC": (errno.ENOSPC, False),
    "EINTR": (errno.EINTR, False),
    "short": (0, False),
    "EIO from then on": (errno.EIO, True),
    "ENOSPC from then on": (errno.ENOSPC, True),
}

Known = dict[int, Any]  # what was acknowledged: version -> value as a dict
Method = Callable[[SnapshotStore, Known], None]


def saves(value: Any, **options: Any) -> Method:
    def call(store: SnapshotStore, known: Known) -> None:
        version = store.save(value, **options)
        known[version.number] = dict(value)

    return call


def builds(kind: str) -> Method:
    """Entries that fill the memory of the builder twice, and their last values."""

    def call(store: SnapshotStore, known: Known) -> None:
        pairs = [(n % 3000 * 7919 % 3001, f"{n:0400}") for n in range(5000)]
        version = store.build(pairs, kind, memory=1 << 20)
        known[version.number] = dict(pairs)

    return call


def undoes(store: SnapshotStore, known: Known) -> None:
    version = store.undo()
    known[version.number] = known[1]


def loads(store: SnapshotStore, known: Known) -> None:
    for number in (1, 2, 3):
        assert dict(store.load(number)) == known[number]


def looks(store: SnapshotStore, known: Known) -> None:
    assert [version.number for version in store.log()] == [2, 1]
    assert {name: version.number for name, version in store.heads().items()} == {
        "main": 2,
        "side": 3,
    }
    assert [version.number for version in store.versions] == [1, 2, 3]


def differs(store: SnapshotStore, known: Known) -> None:
    changes = store.diff(1, 2)
    assert dict(patch(store.load(1), changes)) == known[2]


def verifies(store: SnapshotStore, known: Known) -> None:
    assert store.verify().versions == len(known)


METHODS: dict[str, Method] = {
    "save": saves(BASE.set(7, "seven")),
    "save large": saves(LARGE, head="side"),
    "save mixed": saves(MIXED, head="new", expected=None),
    "build": builds("map"),
    "build sorted": builds("sortedmap"),
    "undo": undoes,
    "load": loads,
    "log": looks,
    "diff": differs,
    "verify": verifies,
}


def make(folder: Path) -> Known:
    """Make the store that all calls begin with."""
    with SnapshotStore(folder) as store:
        known: Known = {}
        for value, head in ((BASE, "main"), (BASE.set(1, "one"), "main"), (MIXED, "side")):
            known[store.save(value, head=head).number] = dict(value)
        return known


def look(folder: Path, known: Known, where: str) -> None:
    """The store at `folder` is sound and has what is known, and at most one version more."""
    with SnapshotStore(folder) as store:
        report = store.verify()
        assert 0 <= report.versions - len(known) <= 1, where
        assert [*known] == [*range(1, len(known) + 1)], where
        for number, value in known.items():
            assert dict(store.load(number)) == value, where
        assert store.save(pmap({"after": where})).number == report.versions + 1


def attempt(
    shim: Shim, sample: Path, known: Known, name: str, kind: str, nth: int, durable: str
) -> tuple[str, str | None]:
    """Run one method with one failure; return the call that failed and what was raised."""
    number, lasting = KINDS[kind]
    folder = sample.with_name("copy")
    shutil.copytree(sample, folder)
    mine = dict(known)
    where = f"{name}, {durable}: {kind} in call {nth}"
    raised = None
    method = METHODS.get(name)
    store = None
    try:
        if method is None:  # opening and closing
            shim.arm(nth, number, lasting)
            store = SnapshotStore(folder, durable=durable)  # type: ignore[arg-type]
            store.close()
        else:
            store = SnapshotStore(folder, durable=durable)  # type: ignore[arg-type]
            shim.arm(nth, number, lasting)
            method(store, mine)
    except PstructsError as error:
        raised = type(error).__name__
        assert str(folder) in str(error) or "pack" in str(error), f"{where}: {error}"
    except BaseException as error:
        raise AssertionError(f"{where} ({shim.fired()}) raised {error!r}") from error
    fired = shim.fired()
    shim.arm(0, 0)
    if store is not None:
        store.close()
    del store
    try:
        look(folder, mine, where)
    except BaseException as error:
        raise AssertionError(f"after {where} ({fired}, raised {raised}): {error!r}") from error
    shutil.rmtree(folder)
    return fired, raised


def main() -> None:
    work, stride, rng = Path(sys.argv[1]), int(sys.argv[2]), random.Random(sys.argv[3])
    logging.disable()
    shim = Shim(os.path.join(work, "copy"))
    sample = work / "sample"
    known = make(sample)
    total = 0
    for name in ["open", *METHODS]:
        tried: dict[str, int] = {}
        outcomes: dict[str, int] = {}
        for kind in KINDS:
            for durable in ("commit", "group") if "save" in name else ("commit",):
                nth = 1 + rng.randrange(stride)
                while True:
                    fired, raised = attempt(shim, sample, known, name, kind, nth, durable)
                    if not fired:
                        break
                    tried[fired] = tried.get(fired, 0) + 1
                    outcomes[raised or "went on"] = outcomes.get(raised or "went on", 0) + 1
                    nth += stride
        assert tried, f"no call of {name} reached the shim"
        total += sum(tried.values())
        print(f"{name}: {sum(tried.values())} failures in {tried}: {outcomes}", flush=True)
    print(f"{total} failures")


if __name__ == "__main__":
    main()
