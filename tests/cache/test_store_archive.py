"""Versions that moved into a cold file, and what the log and `load` say of them."""

from __future__ import annotations

import gc
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pstructs import pmap
from pstructs.cache import SnapshotStore
from pstructs.cache.retention import keep
from pstructs.errors import (
    ArchivedVersionError,
    DamagedPackError,
    ExpiredVersionError,
    HeldVersionError,
    MissingVersionError,
    PackError,
    StoreDamagedError,
    StorePathError,
)
from pstructs.packs import open_pack

MANY = {n: f"{n:030}" for n in range(3000)}


def fill(store: SnapshotStore, count: int = 6) -> list[dict[object, object]]:
    value = pmap(MANY)
    contents = []
    for n in range(count):
        value = value.set("n", n)
        store.save(value, message=f"{n}", head="main")
        contents.append(dict(value))
    return contents


def test_archived_versions_are_read_from_the_file_once_it_is_attached(
    store: SnapshotStore, tmp_path: Path
) -> None:
    contents = fill(store)
    log = store.log()
    cold = tmp_path / "cold.pack"
    old = store.expire(keep(last=2), dry_run=True).expired
    assert store.archive(old, cold) == 4
    assert store.log() == log
    with pytest.raises(ArchivedVersionError, match=r"cold\.pack"):
        store.load(1)
    moved = tmp_path / "elsewhere.pack"
    cold.rename(moved)
    assert store.attach_archive(moved) == 4
    assert [dict(store.load(n)) for n in range(1, 7)] == contents
    assert moved.stat().st_size < 2 * 40 * len(MANY), "what versions share is in it once"
    assert store.verify().versions == 6


def test_space_of_archived_versions_is_given_back(store: SnapshotStore, tmp_path: Path) -> None:
    for n in range(3):
        store.save(pmap({k: f"{n} {v}" for k, v in MANY.items()}))
    store.archive([1, 2], tmp_path / "cold.pack")
    gc.collect()
    assert store.gc().removed == 2
    store.attach_archive(tmp_path / "cold.pack", trusted=False)
    assert store.load(1)[5] == f"0 {MANY[5]}"


def test_an_archive_needs_no_store(folder: Path, tmp_path: Path) -> None:
    with SnapshotStore(folder) as store:
        contents = fill(store)
        first = store.version(1)
        store.archive([1, 2], tmp_path / "cold.pack")
    pack = open_pack(tmp_path / "cold.pack", trusted=False)
    assert pack.imports == ()
    root = pack.root()
    assert root["versions"][first.id]["message"] == "0"
    assert dict(root["values"][first.root]) == contents[0]


def test_a_value_from_an_archive_can_be_saved_again(store: SnapshotStore, tmp_path: Path) -> None:
    contents = fill(store)
    store.archive([2], tmp_path / "cold.pack")
    store.attach_archive(tmp_path / "cold.pack")
    version = store.save(store.load(2).set("back", True), head="back")
    assert version.nbytes > 30 * len(MANY)
    store.verify()
    assert dict(store.load("back")) == {**contents[1], "back": True}


def test_what_has_to_stay_is_not_archived(store: SnapshotStore, tmp_path: Path) -> None:
    fill(store)
    store.hold(2, "case 7")
    cold = tmp_path / "cold.pack"
    for names, said in [([1, 6], "head 'main'"), ([2], "held by 'case 7'")]:
        with pytest.raises(HeldVersionError, match=said):
            store.archive(names, cold)
    store.expire(keep(last=3))
    with pytest.raises(ExpiredVersionError):
        store.archive([1], cold)
    with pytest.raises(MissingVersionError):
        store.archive([99], cold)
    with pytest.raises(ValueError, match="nothing"):
        store.archive([], cold)
    assert not cold.exists()
    cold.write_text("mine")
    with pytest.raises(StorePathError, match="already"):
        store.archive([4], cold)
    assert cold.read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["a.store", "cold.pack"]
    store.load(4)


def test_an_archive_whose_commit_failed_leaves_no_file(
    store: SnapshotStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store)

    def fail(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pstructs.cache.pins.expire", fail)
    with pytest.raises(KeyboardInterrupt):
        store.archive([1], tmp_path / "cold.pack")
    assert not (tmp_path / "cold.pack").exists()
    store.load(1)


def test_other_files_are_no_archives(store: SnapshotStore, tmp_path: Path) -> None:
    fill(store)
    with pytest.raises(StorePathError, match="no such archive"):
        store.attach_archive(tmp_path / "none.pack")
    (tmp_path / "text").write_text("hello" * 100)
    with pytest.raises(PackError):
        store.attach_archive(tmp_path / "text")
    (pack,) = Path(store.path, "packs").iterdir()
    with pytest.raises(StorePathError, match="no archive"):
        store.attach_archive(pack)


def test_a_damaged_archive_is_told(store: SnapshotStore, tmp_path: Path) -> None:
    fill(store)
    cold = tmp_path / "cold.pack"
    store.archive([1], cold)
    data = bytearray(cold.read_bytes())
    for place in range(100, len(data) - 8, len(data) // 40):
        flipped = bytearray(data)
        flipped[place] ^= 4
        cold.write_bytes(flipped)
        with pytest.raises((DamagedPackError, StoreDamagedError)):
            store.attach_archive(cold, trusted=False)


def test_a_changed_row_of_an_archived_version_is_told(folder: Path, tmp_path: Path) -> None:
    with SnapshotStore(folder) as store:
        fill(store)
        store.archive([1], tmp_path / "cold.pack")
    with closing(sqlite3.connect(folder / "cache.db")) as con, con:
        con.execute("UPDATE pstructs_archived SET file = '/etc/passwd'")
    with SnapshotStore(folder) as store:
        for call in (store.verify, lambda: store.load(1)):
            with pytest.raises(StoreDamagedError):
                call()
