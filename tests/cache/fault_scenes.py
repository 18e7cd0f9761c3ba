"""What the calls of fault_methods.py begin with: stores, and what else there is beside them.

A *scene* makes `store` in a folder, and whatever a call needs with it. It returns what is in the
store: version -> value as a dict, of those that have not expired.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pstructs import pmap, psortedmap, pvector
from pstructs.cache import SnapshotStore
from pstructs.cache.retention import KeepLast

World = dict[int, Any]  # version -> value as a dict

BASE = pmap({n: f"{n:016}" for n in range(3000)})
MIXED = pmap({"v": pvector(range(500)), "s": psortedmap({n: str(n) for n in range(200)})})
LARGE = pmap({n: f"large {n:016}" for n in range(2500)})
PARTS = [pmap({n: f"{who} {n:016}" for n in range(1500)}) for who in "abc"]
SMALL = pmap({"n": 1})
REMOTE = importlib.util.find_spec("fsspec") is not None

SCENES: dict[str, Callable[[Path], World]] = {}


def scene(make: Callable[[Path], World]) -> Callable[[Path], World]:
    SCENES[make.__name__] = make
    return make


def _fill(path: Path) -> World:
    """One large version and small changes of it, on two heads, and one apart."""
    known: World = {}
    with SnapshotStore(path) as store:

        def put(value: Any, head: str) -> None:
            known[store.save(value, head=head).number] = dict(value)

        put(BASE, "main")
        put(BASE.set(1, "one"), "main")
        put(MIXED, "side")
        store.branch("fork", at=1)
        put(BASE.set(2, "two"), "fork")
        store.tag("t1", at=1)
        store.pin(1, "p1")
        store.hold(2, "h1")
    return known


@scene
def plain(folder: Path) -> World:
    return _fill(folder / "store")


@scene
def apart(folder: Path) -> World:
    """Large versions that share nothing, and a small one in between."""
    values = [*PARTS[:2], SMALL, PARTS[2]]
    with SnapshotStore(folder / "store") as store:
        return {store.save(value).number: dict(value) for value in values}


@scene
def garbage(folder: Path) -> World:
    """The same, where only the last one has not expired."""
    known = apart(folder)
    with SnapshotStore(folder / "store") as store:
        store.expire(KeepLast(1))
    return {max(known): known[max(known)]}


@scene
def squeezed(folder: Path) -> World:
    known = apart(folder)
    with SnapshotStore(folder / "store") as store:
        assert store.compress(level=1).packs == 2
    return known


@scene
def cold(folder: Path) -> World:
    """The first two in an archive."""
    known = apart(folder)
    with SnapshotStore(folder / "store") as store:
        store.archive([1, 2], folder / "archive")
    return {number: value for number, value in known.items() if number > 2}


@scene
def two(folder: Path) -> World:
    """A store, and another one that went on from there, as it is and as a file."""
    known = _fill(folder / "store")
    with SnapshotStore(folder / "store") as store, SnapshotStore(folder / "other") as other:
        store.push(other)
        _ahead(other)
        other.export_to(folder / "file")
        if REMOTE:
            other.push(f"file://{folder}/remote")
    return known


def _ahead(store: SnapshotStore) -> None:
    store.save(LARGE)
    store.save(LARGE.set(1, "one"))
    store.tag("t2", at="main")


@scene
def ahead(folder: Path) -> World:
    """A store, and another one that it has gone on from."""
    known = _fill(folder / "store")
    with SnapshotStore(folder / "store") as store:
        store.push(folder / "other")
        if REMOTE:
            store.push(f"file://{folder}/remote")
        _ahead(store)
        for number in (5, 6):
            known[number] = dict(store.load(number))
    return known


@scene
def broken(folder: Path) -> World:
    """A store that lacks a large pack, where a small one is damaged, and a sound copy."""
    known = _fill(folder / "store")
    with SnapshotStore(folder / "store") as store:
        store.push(folder / "other")
        store.export_to(folder / "file")
        store.push(folder / "old")
        pack, small = (store.version(n).pack for n in (1, 3))
        store._folder.con.execute(
            "UPDATE Cache SET value = zeroblob(length(value)) WHERE key = ?",
            (bytes.fromhex(small),),
        )
    (folder / "store" / "packs" / f"{pack}.pack").unlink()
    with SnapshotStore(folder / "old") as store:  # where all could go into an archive
        for head in store.heads():
            store.save(SMALL, head=head)
        store.delete_tag("t1")
        store.archive([1, 2, 3, 4], folder / "archive")
    shutil.rmtree(folder / "old")
    return known
