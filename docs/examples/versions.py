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

# or let a transaction do that: it merges, and tries again, when somebody was faster
with SnapshotStore(path) as mine, SnapshotStore(path) as theirs:
    with mine.transaction() as t:
        t.value = t.value.set("item 3", 33)
        theirs.save(theirs.load().set("item 4", 44))
    assert mine.load()["item 3"] == 33
    assert mine.load()["item 4"] == 44
    mine.swap("main", lambda prices: prices.set("item 5", prices["item 5"] + 1))

# branches, tags, merges
with SnapshotStore(path) as store:
    store.tag("v1", message="as printed")
    store.branch("sale")
    store.save(store.load("sale").set("item 9", 9), head="sale", meta={"by": "ann"})
    store.save(store.load().set("item 8", 88))
    merged = store.merge("sale")
    assert len(merged.parents) == 2
    assert store.load()["item 8"] == 88
    assert store.load()["item 9"] == 9
    assert store.load("v1")["item 9"] == 90
    store.revert("sale")  # what that one version changed is taken back, the rest stays
    assert store.load()["item 9"] == 90

    # who changed it, and when
    for change in store.history(["item 9"]):
        print(change.version.number, change.old, change.new)
    assert store.blame(["item 8"]).number == merged.number - 1
    assert store.as_of(merged.when) == merged
    assert store.since("v1")[-1] == store.version("main")

    # several heads in one step, and a commit that can be tried again
    store.commit({"main": store.load(), "copy": store.load()}, write_id="job 17")
    store.commit({"main": store.load(), "copy": store.load()}, write_id="job 17")
    assert len(store.reflog("copy")) == 1

# check every byte, now and then
with SnapshotStore(path) as store:
    try:
        report = store.verify()
    except StoreDamagedError as damage:
        print(*damage.problems, sep="\n")
        raise
    print(report.versions, "versions in", report.nbytes, "bytes are sound")
