"""Damage is told and never believed: flipped bits, lost rows and files, cut files."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pstructs import pmap
from pstructs.cache import SnapshotStore, Version
from pstructs.errors import (
    DamagedPackError,
    PackError,
    PstructsError,
    StoreDamagedError,
    StoreError,
)


class Sample(NamedTuple):
    folder: Path
    values: dict[int, Any]
    log: list[Version]
    heads: dict[str, Version]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A store with a pack in a file, a dozen in rows, two heads and an undo."""
    folder = tmp_path_factory.mktemp("sample") / "a.store"
    value = pmap({n: f"{n:012}" for n in range(4000)})
    values = {}
    with SnapshotStore(folder) as store:
        values[store.save(value, message="the first").number] = value
        for n in range(12):
            value = value.set(n * 300, f"changed {n}")
            values[store.save(value).number] = value
        side = pmap({"side": list(range(50))})
        values[store.save(side, head="side").number] = side
        values[store.undo().number] = values[12]
        assert len(list((folder / "packs").iterdir())) == 1
        return Sample(folder, values, store.log(), store.heads())


@pytest.fixture
def copy(sample: Sample, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample.folder, tmp_path / "copy"))


def answers(sample: Sample, folder: Path) -> int:
    """Ask everything; each answer is right or a clear error. Return how many errors."""
    errors = 0
    asked: list[tuple[Callable[[SnapshotStore], object], object]] = [
        (lambda store: store.log(), sample.log),
        (lambda store: store.heads(), sample.heads),
        (lambda store: dict(store.load("side")), dict(sample.values[14])),
    ]
    for number, value in sample.values.items():
        asked.append((lambda store, n=number: dict(store.load(n)), dict(value)))  # type: ignore[misc]
    try:
        with SnapshotStore(folder) as store:
            for ask, answer in asked:
                try:
                    assert ask(store) == answer
                except PstructsError as error:
                    assert str(error)
                    errors += 1
    except StoreError:
        errors += len(asked)
    return errors


def flip(path: Path, bit: int) -> None:
    with open(path, "r+b") as file:
        file.seek(bit // 8)
        old = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([old ^ 1 << bit % 8]))


def test_the_sample_is_sound(sample: Sample, copy: Path) -> None:
    assert answers(sample, copy) == 0
    with SnapshotStore(copy) as store:
        assert store.verify().versions == 15


def test_a_flipped_bit_in_a_pack_is_found_by_verify_with_the_versions_it_reaches(
    copy: Path,
) -> None:
    (pack,) = (copy / "packs").iterdir()
    flip(pack, 8 * (pack.stat().st_size // 2))
    with SnapshotStore(copy) as store:
        with pytest.raises(StoreDamagedError, match=pack.stem[:16]) as caught:
            store.verify()
        assert any("version 1 " in problem for problem in caught.value.problems)
        with pytest.raises(StoreDamagedError):
            store.verify(version=1)
        assert store.verify(version="side").versions == 1


@pytest.mark.parametrize("keep", [0, 1, 63, 64, 4096, -1])
def test_a_cut_pack_is_told(sample: Sample, copy: Path, keep: int) -> None:
    (pack,) = (copy / "packs").iterdir()
    os.truncate(pack, keep if keep >= 0 else pack.stat().st_size + keep)
    assert answers(sample, copy) > 0
    with SnapshotStore(copy) as store, pytest.raises(StoreDamagedError):
        store.verify()


def test_a_lost_pack_is_told(sample: Sample, copy: Path) -> None:
    (pack,) = (copy / "packs").iterdir()
    pack.unlink()
    with SnapshotStore(copy) as store:
        with pytest.raises(StoreDamagedError, match="file of a pack is missing"):
            store.load(1)
        assert store.load("side") == sample.values[14]
        with pytest.raises(StoreDamagedError, match="missing"):
            store.verify()


def test_packs_that_changed_places_are_told(copy: Path) -> None:
    """Both are sound packs, and each is checked to be the one that was asked for."""
    with closing(sqlite3.connect(copy / "cache.db")) as con, con:
        rows = con.execute("SELECT rowid, value FROM Cache WHERE filename IS NULL").fetchall()
        (one, first), (two, second) = rows[:2]
        con.execute("UPDATE Cache SET value = ? WHERE rowid = ?", (second, one))
        con.execute("UPDATE Cache SET value = ? WHERE rowid = ?", (first, two))
    with SnapshotStore(copy) as store:
        with pytest.raises(StoreDamagedError):
            store.load(2)
        with pytest.raises(StoreDamagedError):
            store.verify()


CHANGES = [
    "UPDATE pstructs_version SET message = 'forged' WHERE number = 1",
    "UPDATE pstructs_version SET time = time - 1 WHERE number = 3",
    "UPDATE pstructs_version SET root = zeroblob(16) WHERE number = 3",
    "UPDATE pstructs_version SET number = 99 WHERE number = 3",
    "UPDATE pstructs_version SET parents = x'' WHERE number = 3",
    "UPDATE pstructs_version SET entries = 'many' WHERE number = 3",
    "DELETE FROM pstructs_version WHERE number = 3",
    "DELETE FROM pstructs_version",
    "UPDATE pstructs_head SET number = 3, id = (SELECT id FROM pstructs_version WHERE number = 3)"
    " WHERE name = 'main'",
    "UPDATE pstructs_head SET name = 'mein' WHERE name = 'main'",
    "DELETE FROM pstructs_head WHERE name = 'side'",
    "DELETE FROM pstructs_head",
    "UPDATE pstructs_reflog SET move = 99 WHERE name = 'side'",
    "UPDATE pstructs_reflog SET action = 'x' WHERE name = 'main' AND move = 2",
    "DELETE FROM pstructs_reflog WHERE name = 'main' AND move = 2",
    "UPDATE pstructs_reflog SET name = CAST(name AS BLOB) WHERE name = 'side'",
    "DELETE FROM pstructs_reflog",
    "DELETE FROM Cache WHERE filename IS NULL AND rowid = 5",
    "UPDATE Cache SET filename = '../../../etc/passwd' WHERE filename IS NOT NULL",
    "UPDATE Cache SET value = 'text' WHERE rowid = 5",
    "UPDATE Cache SET key = zeroblob(16) WHERE rowid = 5",
    "DELETE FROM Cache",
    "DROP TABLE pstructs_head",
    "DROP TABLE pstructs_version",
    "DROP TABLE Cache",
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_catalog_is_told(sample: Sample, copy: Path, change: str) -> None:
    with closing(sqlite3.connect(copy / "cache.db")) as con, con:
        assert con.execute(change).rowcount
    answers(sample, copy)
    with pytest.raises(StoreDamagedError), SnapshotStore(copy) as store:
        store.verify()


@pytest.mark.parametrize("row", ["zeroblob(16), zeroblob(8), 0, 0", "zeroblob(3), 'me 1 2', 0, 0"])
def test_a_damaged_row_of_a_pack_being_written_is_told(copy: Path, row: str) -> None:
    files = sorted(copy.glob("packs/*"))
    with closing(sqlite3.connect(copy / "cache.db")) as con, con:
        con.execute(f"INSERT INTO pstructs_pending VALUES ({row})")
    with pytest.raises(StoreDamagedError, match="being written"):
        SnapshotStore(copy)
    assert sorted(copy.glob("packs/*")) == files


def test_a_sweep_leaves_the_file_of_a_pack_that_was_committed(copy: Path) -> None:
    with closing(sqlite3.connect(copy / "cache.db")) as con, con:
        ((pack,),) = con.execute("SELECT key FROM Cache WHERE filename IS NOT NULL LIMIT 1")
        con.execute("INSERT INTO pstructs_pending VALUES (?, 'nobody 1 2', 0, 0)", (pack,))
    with SnapshotStore(copy) as store:
        assert store.verify().swept == 1
        for version in store.versions:
            store.load(version)


def test_a_lost_head_is_not_taken_for_a_new_one(copy: Path) -> None:
    with closing(sqlite3.connect(copy / "cache.db")) as con, con:
        con.execute("DELETE FROM pstructs_head")
    with SnapshotStore(copy) as store:
        for call in (store.load, store.undo, lambda: store.save(pmap()), store.heads, store.log):
            with pytest.raises(StoreDamagedError, match="reflog"):
                call()


def test_lost_versions_are_not_numbered_again(copy: Path) -> None:
    with closing(sqlite3.connect(copy / "cache.db")) as con, con:
        con.execute("DELETE FROM pstructs_version WHERE number > 10")
    with SnapshotStore(copy) as store, pytest.raises(StoreDamagedError):
        store.save(pmap({"n": 1}))


@pytest.mark.parametrize("size", [0, 100, 512, 4096, 5000, 20000])
def test_a_cut_catalog_is_told(sample: Sample, copy: Path, size: int) -> None:
    os.truncate(copy / "cache.db", size)
    assert answers(sample, copy) > 0


def test_verify_reports_what_it_read_and_its_progress(sample: Sample, copy: Path) -> None:
    calls: list[tuple[int, int]] = []
    with SnapshotStore(copy) as store:
        report = store.verify(progress=lambda done, total: calls.append((done, total)))
        assert (report.versions, report.packs) == (15, 14)
        assert calls[-1] == (14, 14)
        assert [done for done, _ in calls] == list(range(1, 15))
        assert report.records >= 14
        assert report.nbytes >= (next((copy / "packs").iterdir())).stat().st_size
        assert report.unlisted == ()


def test_verify_names_files_that_are_not_the_stores_and_leaves_them(copy: Path) -> None:
    (copy / "packs" / "notes.txt").write_text("mine")
    with SnapshotStore(copy) as store:
        assert store.verify().unlisted == ("packs/notes.txt",)
    assert (copy / "packs" / "notes.txt").exists()


def test_values_that_are_open_stay_right_when_the_folder_is_removed(copy: Path) -> None:
    with SnapshotStore(copy) as store:
        value = store.load(1)
        shutil.rmtree(copy)
        assert value[7] == f"{7:012}"
        with pytest.raises((StoreError, PackError)):
            dict(store.load(9))
            store.save(pmap({n: f"{n:020}" for n in range(4000)}))


def test_a_pack_that_is_cut_while_it_is_read_raises(sample: Sample, copy: Path) -> None:
    (pack,) = (copy / "packs").iterdir()
    with SnapshotStore(copy) as store:
        value = store.load(1)
        assert value[7] == f"{7:012}"
        os.truncate(pack, 4096)
        with pytest.raises(DamagedPackError):
            dict(value)
        with pytest.raises(StoreDamagedError):
            store.verify()


@pytest.mark.parametrize("key", ["_directory", "sqlite_case_sensitive_like", "disk_x", b"x", None])
def test_a_setting_that_no_store_writes_is_refused(copy: Path, tmp_path: Path, key: Any) -> None:
    """A plain diskcache would take its folder, and pragmas, from there."""
    with closing(sqlite3.connect(copy / "cache.db")) as con, con:
        con.execute("UPDATE Settings SET key = coalesce(?, 7) WHERE key = 'size_limit'", (key,))
        con.execute(
            "UPDATE Settings SET value = ? WHERE key = '_directory'", (str(tmp_path / "x"),)
        )
    with pytest.raises(StoreDamagedError, match="settings"):
        SnapshotStore(copy)
    assert not (tmp_path / "x").exists()
