"""All public calls of a store, for tests that let the system fail or kill the process in them.

A call begins in a scene (fault_scenes.py). It works on a `Bench`, and may be made twice: again
after it failed, when it may have done its work all the same.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fault_scenes import BASE, LARGE, MIXED, PARTS, REMOTE, SMALL, World

from pstructs import patch
from pstructs.cache import SnapshotStore
from pstructs.cache.retention import keep
from pstructs.errors import (
    ExpiredVersionError,
    MissingVersionError,
    NameTakenError,
    PstructsError,
    StoreDamagedError,
    StorePathError,
)


@dataclass
class Bench:
    """What a call works on: the store in a folder, and in which states it may be.

    `worlds` are what versions may hold: one of these. `total` is how many versions there were.
    """

    folder: Path
    store: SnapshotStore
    worlds: list[World]
    total: int
    again: bool = False

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def made(self, number: int, value: Any) -> None:
        """Remember a version that was acknowledged."""
        for world in self.worlds:
            world[number] = dict(value)

    @contextlib.contextmanager
    def or_done(self, kind: type[PstructsError]) -> Iterator[None]:
        """Pass over that it is done already, when a call before may have done it."""
        try:
            yield
        except kind:
            if not self.again:
                raise


@dataclass(frozen=True)
class Call:
    """A call: of which public name, where it begins, and how many versions it makes.

    A store that is `broken` may be so after the call failed, too.
    """

    name: str
    scene: str
    run: Callable[[Bench], None]
    makes: int = 0
    durables: tuple[str, ...] = ("commit",)
    broken: bool = False


# ---- saving
def saves(value: Any, **options: Any) -> Callable[[Bench], None]:
    def run(at: Bench) -> None:
        with at.or_done(PstructsError):
            at.made(at.store.save(value, **options).number, value)

    return run


def commits(at: Bench) -> None:
    for version in at.store.commit({"main": SMALL, "new": LARGE}, write_id="w").values():
        at.made(version.number, SMALL if version.head == "main" else LARGE)


def builds(kind: str) -> Callable[[Bench], None]:
    def run(at: Bench) -> None:
        items = ((-n, f"{n:0900}") for n in range(1500))
        version = at.store.build(items, kind, head="built", memory=1 << 20)
        at.made(version.number, {-n: f"{n:0900}" for n in range(1500)})

    return run


def undoes(at: Bench) -> None:
    if not at.again:
        at.made(at.store.undo().number, BASE)
    else:
        at.made(at.store.undo(to=1).number, BASE)


def reverts(at: Bench) -> None:
    with at.or_done(PstructsError):
        at.made(at.store.revert(2, write_id="r").number, BASE)


def merges(at: Bench) -> None:
    version = at.store.merge("fork", write_id="m")
    at.made(version.number, BASE.set(1, "one").set(2, "two"))


def transacts(at: Bench) -> None:
    with at.store.transaction(write_id="t") as t:
        t.value = t.value.set(5, "five")
    assert t.version is not None
    at.made(t.version.number, BASE.set(1, "one").set(5, "five"))


def swaps(at: Bench) -> None:
    version = at.store.swap("main", lambda value: value.set(5, "five"), write_id="s")
    at.made(version.number, BASE.set(1, "one").set(5, "five"))


# ---- reading
def loads(at: Bench) -> None:
    for number, value in at.worlds[0].items():
        assert dict(at.store.load(number)) == value


def looks(at: Bench) -> None:
    assert [version.number for version in at.store.log()] == [2, 1]
    heads = {name: version.number for name, version in at.store.heads().items()}
    assert heads == {"main": 2, "side": 3, "fork": 4}
    assert [version.number for version in at.store.versions] == [1, 2, 3, 4]
    assert at.store.version("fork").number == 4
    assert at.store.tags()["t1"].version.number == 1
    assert [mark.name for mark in at.store.pins] == ["p1", "h1"]
    assert [move.action for move in at.store.reflog("fork")] == ["branch", "save"]


def traces(at: Bench) -> None:
    first, second = at.store.version(1), at.store.version(2)
    assert at.store.as_of(first) == first
    assert at.store.since(first) == [second]
    assert [change.version for change in at.store.history(1)] == [second, first]
    assert at.store.blame(1) == second
    assert at.store.blame_keys()[7] == first


def differs(at: Bench) -> None:
    assert dict(patch(at.store.load(1), at.store.diff(1, 2))) == at.worlds[0][2]


def verifies(at: Bench) -> None:
    assert at.store.verify().versions == at.total


def reports(at: Bench) -> None:
    assert len(at.store.report().versions) == at.total


# ---- names and marks
def branches(at: Bench) -> None:
    with at.or_done(NameTakenError):
        at.store.branch("b1", at=1)
    assert at.store.version("b1").number == 1


def renames(at: Bench) -> None:
    with at.or_done(MissingVersionError):
        at.store.rename_head("fork", "spoon")
    assert {"spoon"} == at.store.heads().keys() - {"main", "side"}


def deletes_head(at: Bench) -> None:
    with at.or_done(MissingVersionError):
        at.store.delete_head("fork")
    assert at.store.heads().keys() == {"main", "side"}


def tags(at: Bench) -> None:
    with at.or_done(NameTakenError):
        at.store.tag("t2", at=2)
    assert at.store.version("t2").number == 2


def deletes_tag(at: Bench) -> None:
    with at.or_done(MissingVersionError):
        at.store.delete_tag("t1")
    assert at.store.tags() == {}


def marks(at: Bench) -> None:
    at.store.pin(3, "p2")
    at.store.hold(4, "h2")
    assert {mark.name for mark in at.store.pins} == {"p1", "p2", "h1", "h2"}


def unmarks(at: Bench) -> None:
    with at.or_done(MissingVersionError):
        at.store.unpin(1, "p1")
    with at.or_done(MissingVersionError):
        at.store.release_hold(2, "h1")
    assert at.store.pins == []


# ---- keeping
def expires(at: Bench) -> None:
    for number in (1, 2, 3):
        at.worlds[0].pop(number, None)
    at.store.expire(keep(last=1), dry_run=True)
    at.store.expire(keep(last=1))
    try:
        at.store.load(1)
        raise AssertionError("it has not expired")
    except ExpiredVersionError:
        pass


def collects(at: Bench) -> None:
    report = at.store.gc()
    if report.waiting and not at.again:  # for a lease that could not move on
        return
    packs = {version.pack for version in at.store.versions[-1:]}
    assert {name.partition(".")[0] for name in os.listdir(at.path("store/packs"))} == packs


def compacts(at: Bench) -> None:
    assert at.store.compact().left == 0
    loads(at)


def erases(at: Bench) -> None:
    old = at.worlds[0]
    new = {n: {key: item for key, item in v.items() if key != 7} for n, v in old.items()}
    at.worlds = [old, new]
    if not at.again:
        at.store.release_hold(2, "h1")
    else:
        with contextlib.suppress(MissingVersionError):
            at.store.release_hold(2, "h1")
    gc.collect()
    report = at.store.erase(7)
    assert not report.traces
    at.worlds = [new]


def archives(at: Bench) -> None:
    at.worlds[0].pop(1, None)
    with at.or_done(ExpiredVersionError):
        try:
            at.store.archive([1], at.path("archive"))
        except StorePathError:  # a first try has written it, and could not take it back
            if not at.again:
                raise
            os.unlink(at.path("archive"))
            at.store.archive([1], at.path("archive"))
    assert at.store.attach_archive(at.path("archive")) == 1
    assert dict(at.store.load(1)) == dict(PARTS[0])


def attaches(at: Bench) -> None:
    assert at.store.attach_archive(at.path("archive")) == 2
    assert dict(at.store.load(2)) == dict(PARTS[1])


def compresses(at: Bench) -> None:
    at.store.compress(level=1)
    assert sum(name.endswith(".zst") for name in os.listdir(at.path("store/packs"))) == 2
    loads(at)


def decompresses(at: Bench) -> None:
    at.store.decompress()
    assert not any(name.endswith(".zst") for name in os.listdir(at.path("store/packs")))
    loads(at)


# ---- exchange
def _holds_all(path: str, at: Bench) -> None:
    """The store at `path` is sound and has what `at` has, or had before."""
    with SnapshotStore(path) as other:
        other.verify()
        for number, value in at.worlds[0].items():
            version = at.store.version(number)
            assert dict(other.load(version.id)) == value


def exports(at: Bench) -> None:
    try:
        at.store.export_to(at.path("out"))
    except StorePathError:
        if not at.again:
            raise
        at.store.export_to(at.path("out"), overwrite=True)
    assert [name for name in os.listdir(at.folder) if "part" in name] == []


def imports(at: Bench) -> None:
    at.store.import_from(at.path("file"), prefix="")
    _came(at)


def pulls(where: str) -> Callable[[Bench], None]:
    def run(at: Bench) -> None:
        at.store.pull(where.format(at.folder), prefix="")
        _came(at)

    return run


def _came(at: Bench) -> None:
    assert dict(at.store.load("main")) == dict(LARGE.set(1, "one"))
    at.made(5, LARGE)
    at.made(6, LARGE.set(1, "one"))


def pushes(where: str) -> Callable[[Bench], None]:
    def run(at: Bench) -> None:
        place = where.format(at.folder)
        at.store.push(place)
        if at.again and "://" not in where:
            _holds_all(place, at)

    return run


def repairs(name: str) -> Callable[[Bench], None]:
    def run(at: Bench) -> None:
        report = at.store.repair(at.path(name))
        if report.problems:
            raise StoreDamagedError(f"{at.folder}: {report.problems}", report.problems)
        assert not os.path.exists(at.path("store/damaged"))

    return run


BOTH = ("commit", "group")
CALLS: list[Call] = [
    Call("save", "plain", saves(BASE.set(7, "seven")), 1, BOTH),
    Call("save", "plain", saves(LARGE, head="side"), 1, BOTH),
    Call("save", "plain", saves(MIXED, head="new", expected=None), 1, BOTH),
    Call("commit", "plain", commits, 2, BOTH),
    Call("build", "plain", builds("map"), 1),
    Call("build", "plain", builds("sortedmap"), 1),
    Call("undo", "plain", undoes, 1),
    Call("revert", "plain", reverts, 1),
    Call("merge", "plain", merges, 1),
    Call("transaction", "plain", transacts, 1),
    Call("swap", "plain", swaps, 1),
    Call("load", "plain", loads),
    Call("load", "squeezed", loads),
    Call("log heads versions version tags pins reflog", "plain", looks),
    Call("as_of since history blame blame_keys", "plain", traces),
    Call("diff", "plain", differs),
    Call("verify", "plain", verifies),
    Call("report", "plain", reports),
    Call("branch", "plain", branches),
    Call("rename_head", "plain", renames),
    Call("delete_head", "plain", deletes_head),
    Call("tag", "plain", tags),
    Call("delete_tag", "plain", deletes_tag),
    Call("pin hold", "plain", marks),
    Call("unpin release_hold", "plain", unmarks),
    Call("expire", "apart", expires),
    Call("gc", "garbage", collects),
    Call("compact", "plain", compacts),
    Call("erase", "plain", erases),
    Call("archive", "apart", archives),
    Call("attach_archive", "cold", attaches),
    Call("compress", "apart", compresses),
    Call("decompress", "squeezed", decompresses),
    Call("export_to", "plain", exports),
    Call("import_from", "two", imports, 2),
    Call("pull", "two", pulls("{}/other"), 2),
    Call("push", "ahead", pushes("{}/other")),
    Call("repair", "broken", repairs("other"), broken=True),
    Call("repair", "broken", repairs("file"), broken=True),
    Call("repair", "broken", repairs("archive"), broken=True),
]
if REMOTE:
    CALLS += [
        Call("pull", "two", pulls("file://{}/remote"), 2),
        Call("push", "ahead", pushes("file://{}/remote")),
    ]
