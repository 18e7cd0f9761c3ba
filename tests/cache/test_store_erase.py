"""Erased keys are gone from every version, every file, and nothing else is."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sqlite3
from contextlib import closing
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pytest

from pstructs import pmap, pset, psortedmap, v
from pstructs.cache import SnapshotStore
from pstructs.cache.erasing import without
from pstructs.cache.retention import keep
from pstructs.errors import (
    ExpiredVersionError,
    HeldVersionError,
    MissingVersionError,
    StoreBusyError,
    StoreDamagedError,
)

SPAWN = multiprocessing.get_context("spawn")
MANY = {n: f"{n:030}" for n in range(3000)}
SECRET, PLACE = "ann-the-subject", "12 Elm Street, Springfield"


def fill(store: SnapshotStore, many: dict[Any, Any] = MANY) -> list[dict[Any, Any]]:
    """Save eight versions; 3 to 6 hold the secret. Return the contents without it."""
    value = pmap(many)
    contents = []
    for n in range(1, 9):
        value = value.set("n", n)
        if n == 3:
            value = value.set(SECRET, pmap({"street": PLACE, "n": 1}))
        if n == 7:
            value = value.remove(SECRET)
        store.save(value, message=f"v{n}", head="main")
        contents.append({k: value[k] for k in value if k != SECRET})
    del value
    gc.collect()
    return contents


def grep(folder: Path, text: str) -> list[str]:
    wanted = text.encode()
    return [p.name for p in folder.rglob("*") if p.is_file() and wanted in p.read_bytes()]


@pytest.mark.parametrize("many", [MANY, {}], ids=["files", "rows"])
def test_an_erased_key_is_gone_from_all_versions_and_files(
    folder: Path, store: SnapshotStore, many: dict[Any, Any]
) -> None:
    contents = fill(store, many)
    assert grep(folder, SECRET) and grep(folder, PLACE)
    ids = [version.id for version in store.versions]
    report = store.erase(SECRET)
    assert report.versions == (3, 4, 5, 6)
    assert (dict(report.traces), report.searched, report.too_short) == ({}, 3, 2)
    assert grep(folder, SECRET) == grep(folder, PLACE) == []
    assert [dict(store.load(version)) for version in store.versions] == contents
    assert [version.message for version in store.log()] == [f"v{n}" for n in range(8, 0, -1)]
    now = [version.id for version in store.versions]
    assert now[:2] == ids[:2] and not set(now[2:]) & set(ids)
    assert store.verify().unlisted == ()


def test_old_ids_lead_to_the_same_versions(store: SnapshotStore) -> None:
    fill(store)
    before = list(store.versions)
    store.tag("t", 4)
    store.erase(SECRET)
    for old in before:
        assert store.version(old.id).number == old.number
        assert store.version(old.id[:10]).number == old.number
        assert store.version(old).number == old.number
    assert store.version("t").number == 4
    made = store.save(pmap({"n": 9}), expected=before[-1])
    assert made.parents == (store.version(8).id,)
    del made
    gc.collect()
    store.erase(SECRET)  # twice is no harm
    assert store.version(before[4].id).number == 5
    with pytest.raises(MissingVersionError):
        store.version("0123456789abcdef")
    store.verify()


def test_undone_versions_keep_their_origin(store: SnapshotStore) -> None:
    contents = fill(store)
    store.undo()
    store.undo(to=4)
    store.erase(SECRET)
    assert store.version(9).restores == store.version(7).id
    assert store.version(10).restores == store.version(4).id
    assert dict(store.load()) == contents[3]
    store.verify()


def test_what_expired_before_is_gone_as_well(folder: Path, store: SnapshotStore) -> None:
    contents = fill(store)
    store.expire(keep(last=2))
    report = store.erase(SECRET)
    assert report.versions == () and report.removed > 0
    assert grep(folder, SECRET) == grep(folder, PLACE) == []
    assert [dict(store.load(n)) for n in (7, 8)] == contents[6:]
    with pytest.raises(ExpiredVersionError):
        store.load(3)
    store.verify()


def test_traces_that_stay_are_told(store: SnapshotStore) -> None:
    store.save(pmap({SECRET: PLACE, "other": PLACE}))
    gc.collect()
    report = store.erase(SECRET)
    assert list(report.traces.values()) == [1]
    assert store.load()["other"] == PLACE


def test_a_held_version_is_not_changed(folder: Path, store: SnapshotStore) -> None:
    fill(store)
    store.hold(4, "case 7")
    store.hold(8, "case 8")  # does not hold the secret
    before = list(store.versions)
    with pytest.raises(HeldVersionError, match=r"version 4 .*held by 'case 7'"):
        store.erase(SECRET)
    assert list(store.versions) == before
    assert store.verify().unlisted == ()
    assert store.load(4)[SECRET]["street"] == PLACE
    store.release_hold(4, "case 7")
    gc.collect()
    assert store.erase(SECRET).versions == (3, 4, 5, 6)


def test_values_of_this_process_are_in_the_way(store: SnapshotStore) -> None:
    fill(store)
    loaded = store.load(5)
    before = list(store.versions)
    with pytest.raises(StoreBusyError, match="Let go"):
        store.erase(SECRET)
    assert list(store.versions) == before and loaded[SECRET]["street"] == PLACE
    del loaded
    gc.collect()
    assert dict(store.erase(SECRET).traces) == {}


def hold_open(path: str, ready: Event, end: Event) -> None:
    with SnapshotStore(path):
        ready.set()
        end.wait(60)


def test_another_process_is_in_the_way_and_is_named(folder: Path) -> None:
    with SnapshotStore(folder) as store:
        fill(store)
        ready, end = SPAWN.Event(), SPAWN.Event()
        other = SPAWN.Process(target=hold_open, args=(str(folder), ready, end))
        other.start()
        assert ready.wait(60)
        with pytest.raises(StoreBusyError, match=f" {other.pid} "):
            store.erase(SECRET)
        assert store.verify().unlisted == ()
        end.set()
        other.join(60)
        assert dict(store.erase(SECRET).traces) == {}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_was_forked_is_in_the_way_and_nothing_is_changed(folder: Path) -> None:
    with SnapshotStore(folder) as store:
        fill(store)
        before = list(store.versions)
        wait, end = os.pipe()
        child = os.fork()
        if child == 0:  # it shares the lease of its parent, and never uses the store
            os.close(end)
            os.read(wait, 1)
            os._exit(0)
        os.close(wait)
        try:
            with pytest.raises(StoreBusyError, match=r"was forked from this one.*Nothing was ch"):
                store.erase(SECRET)
            assert list(store.versions) == before
            assert store.verify().unlisted == ()
        finally:
            os.close(end)
            assert os.waitpid(child, 0)[1] == 0
        assert dict(store.erase(SECRET).traces) == {}
    assert os.listdir(folder / "leases") == []


@pytest.mark.parametrize(
    ("value", "path", "left", "gone"),
    [
        (pmap({"a": 1, "b": 2}), ["a"], pmap({"b": 2}), [1]),
        ({"a": 1, "b": 2}, ["a"], {"b": 2}, [1]),
        (pmap({"a": pmap({"b": 1})}), ["a", "b"], pmap({"a": pmap()}), [1]),
        ({"a": [0, pmap({"b": 1})]}, ["a", 1, "b"], {"a": [0, pmap()]}, [1]),
        (v(pmap({"b": 1})), [0, "b"], v(pmap()), [1]),
        (({"b": 1}, 2), [0, "b"], ({}, 2), [1]),
        (pset(["a", "b"]), ["a"], pset(["b"]), []),
        ({"s": frozenset("ab")}, ["s", "a"], {"s": frozenset("b")}, []),
        (psortedmap({"a": 1, "b": 2}), ["a"], psortedmap({"b": 2}), [1]),
        (pmap({"a": 1}), ["x"], pmap({"a": 1}), []),
        (pmap({"a": 1}), ["a", "b"], pmap({"a": 1}), []),
        (v(1), [5, "b"], v(1), []),
        (7, ["a"], 7, []),
    ],
)
def test_paths_lead_through_collections(value: Any, path: Any, left: Any, gone: Any) -> None:
    found: list[Any] = []
    fresh = without(value, path, found)
    assert (fresh, found) == (left, gone)
    assert type(fresh) is type(value)
    assert (fresh is value) == (fresh == value)


def test_elements_of_vectors_are_not_erased(store: SnapshotStore) -> None:
    store.save(v(1, 2, 3))
    gc.collect()
    with pytest.raises(TypeError, match="can't erase 0 from a PVector"):
        store.erase(0)
    with pytest.raises(ValueError, match="empty"):
        store.erase([])
    assert list(store.load()) == [1, 2, 3]


def test_an_erasing_that_fails_changes_nothing(
    store: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store)
    before = list(store.versions)

    def fail(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pstructs.cache.erasing._rename", fail)
    with pytest.raises(KeyboardInterrupt):
        store.erase(SECRET)
    monkeypatch.undo()
    assert list(store.versions) == before
    assert store.verify().unlisted == ()
    assert store.load(3)[SECRET]["street"] == PLACE


def test_a_changed_row_of_an_old_id_is_told(folder: Path) -> None:
    with SnapshotStore(folder) as store:
        fill(store)
        old = store.version(3)
        store.erase(SECRET)
    with closing(sqlite3.connect(folder / "cache.db")) as con, con:
        con.execute("UPDATE pstructs_erased SET new = randomblob(16)")
    with SnapshotStore(folder) as store, pytest.raises(StoreDamagedError):
        store.version(old)
    assert os.listdir(folder / "leases") == []
