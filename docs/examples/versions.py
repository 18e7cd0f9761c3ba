"""Keep versions of a map in a folder."""

import tempfile
from pathlib import Path

from pstructs import merge, pmap
from pstructs.cache import SnapshotStore
from pstructs.errors import HeadMovedError, StoreDamagedError

path = Path(tempfile.mkdtemp()) / "prices.store"

# save and load
with SnapshotStore(path) as store:
    prices = pmap({f"item {n}": n * 10 for n in range(10_000)})
    first = store.save(prices, message="the list")
    prices = prices.set("item 7", 75)
    second = store.save(prices, message="item 7 is dearer")
    assert second.nbytes < first.nbytes / 50  # only what is new

    # name a version: the version itself, its number, its id, a head, or steps back from one
    assert store.load(first)["item 7"] == 70
    assert store.load(1) == store.load("main~1") == store.load(first.short)

    # look at the history
    for version in store.log(limit=10):
        print(version.number, version.short, version.when, version.message, version.nbytes)
    assert store.diff(1, 2).changed["item 7"] == (70, 75)

    # undo: a new version with the value of an earlier one
    store.undo()
    assert store.load() == store.load(first)
    assert len(store.log()) == 3

# two writers: `expected` keeps one from overwriting what the other has saved
with SnapshotStore(path) as mine, SnapshotStore(path) as theirs:
    seen = mine.version("main")
    base = mine.load(seen)
    theirs.save(theirs.load().set("item 1", 11), message="theirs")

    ours = base.set("item 2", 22)
    try:
        mine.save(ours, expected=seen)
    except HeadMovedError as moved:
        both = merge(base, ours, mine.load(moved.actual))
        mine.save(both, message="merged", expected=moved.actual)
    assert mine.load()["item 1"] == 11
    assert mine.load()["item 2"] == 22

# check every byte, now and then
with SnapshotStore(path) as store:
    try:
        report = store.verify()
    except StoreDamagedError as damage:
        print(*damage.problems, sep="\n")
        raise
    print(report.versions, "versions in", report.nbytes, "bytes are sound")
