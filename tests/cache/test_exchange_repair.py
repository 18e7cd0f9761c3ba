"""Repair from another store, a file or a remote folder."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pstructs import pmap
from pstructs.cache import SnapshotStore, repairing
from pstructs.errors import (
    DamagedExportError,
    PackError,
    StoreDamagedError,
    StoreError,
    StorePathError,
)
from pstructs.packs import PackWriter
from support.stores import BIG, SMALL, grown, same_versions, waiting


@pytest.fixture
def a(a: SnapshotStore) -> SnapshotStore:
    return grown(a)


def backup_store(a: SnapshotStore, tmp_path: Path) -> Any:
    a.push(tmp_path / "backup")
    return tmp_path / "backup"


def backup_file(a: SnapshotStore, tmp_path: Path) -> Any:
    a.export_to(tmp_path / "backup")
    return tmp_path / "backup"


def backup_remote(a: SnapshotStore, tmp_path: Path) -> Any:
    pytest.importorskip("fsspec")
    a.push(f"file://{tmp_path}/remote")
    return f"file://{tmp_path}/remote"


BACKUPS = [backup_store, backup_file, backup_remote]


def flip_file(a: SnapshotStore) -> None:
    path = large(a)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 16
    path.write_bytes(data)


def large(a: SnapshotStore) -> Path:
    (path,) = Path(a.path, "packs").iterdir()
    return path


def flip_row(a: SnapshotStore) -> None:
    con = a._folder.con
    ((key, value),) = con.execute(
        "SELECT key, value FROM Cache WHERE value IS NOT NULL LIMIT 1"
    ).fetchall()
    data = bytearray(value)
    data[-30] ^= 1
    con.execute("UPDATE Cache SET value = ? WHERE key = ?", (bytes(data), key))


def sql(*statements: str) -> Callable[[SnapshotStore], None]:
    def run(a: SnapshotStore) -> None:
        for statement in statements:
            a._folder.con.execute(statement)

    return run


DAMAGES: dict[str, Callable[[SnapshotStore], None]] = {
    "file flipped": flip_file,
    "file gone": lambda a: large(a).unlink(),
    "file cut": lambda a: os.truncate(large(a), 5000),
    "file empty": lambda a: os.truncate(large(a), 0),
    "row flipped": flip_row,
    "row gone": sql("DELETE FROM Cache WHERE value IS NOT NULL"),
    "all rows gone": sql("DELETE FROM Cache"),
    "key flipped": sql("UPDATE Cache SET key = zeroblob(16) WHERE rowid = 2"),
    "row pickled": sql("UPDATE Cache SET mode = 4 WHERE filename IS NOT NULL"),
    "version's message": sql("UPDATE pstructs_version SET message = 'x' WHERE number = 3"),
    "version's id": sql("UPDATE pstructs_version SET id = zeroblob(16) WHERE number = 2"),
    "version's seal": sql("UPDATE pstructs_version SET sum = zeroblob(8)"),
    "version gone": sql("DELETE FROM pstructs_version WHERE number = 2"),
    "last version gone": sql("DELETE FROM pstructs_version WHERE number = 5"),
    "several": sql(
        "UPDATE pstructs_version SET time = 5 WHERE number = 2",
        "UPDATE pstructs_version SET pack = zeroblob(16) WHERE number = 4",
        "UPDATE Cache SET value = zeroblob(300) WHERE value IS NOT NULL",
    ),
}


@pytest.mark.parametrize("backup", BACKUPS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_what_is_damaged_or_missing_is_taken_from_a_backup(
    a: SnapshotStore, tmp_path: Path, backup: Any, damage: Any
) -> None:
    source = backup(a, tmp_path)
    before = list(a.versions)
    values = [a.load(version) for version in before]
    contents = [dict(value) for value in values]
    del values
    damage(a)
    a.close()
    with SnapshotStore(a.path, durable="none") as again:
        with pytest.raises(StoreDamagedError):
            again.verify()
        report = again.repair(source)
        assert report.problems == ()
        assert report.packs or report.versions
        assert report.aside is None
        assert not Path(a.path, "damaged").exists()
        assert waiting(again) == []
        assert list(again.versions) == before
        assert [dict(again.load(version)) for version in before] == contents
        assert again.verify().unlisted == ()
        again.save(again.load().set("on", 1))


def test_a_whole_store_is_left_alone(a: SnapshotStore, tmp_path: Path) -> None:
    report = a.repair(backup_store(a, tmp_path))
    assert (report.packs, report.versions, report.problems) == ((), (), ())


def test_a_source_that_lacks_it_leaves_the_damage_and_says_so(
    a: SnapshotStore, tmp_path: Path
) -> None:
    with SnapshotStore(tmp_path / "other") as other:
        other.save(SMALL)
    large(a).unlink()
    flip_row(a)
    report = a.repair(tmp_path / "other")
    assert report.packs == ()
    assert report.problems
    with pytest.raises(StoreDamagedError):
        a.verify()


def test_an_old_backup_repairs_what_newer_versions_stand_on(
    a: SnapshotStore, tmp_path: Path
) -> None:
    source = backup_store(a, tmp_path)
    newest = a.save(a.load().set("newer", 1))
    flip_file(a)
    a.close()
    with SnapshotStore(a.path, durable="none") as again:
        report = again.repair(source)
        assert (report.problems, len(report.packs) >= 1) == ((), True)
        assert again.load(newest)["newer"] == 1


def test_a_source_that_is_damaged_elsewhere_still_helps(a: SnapshotStore, tmp_path: Path) -> None:
    source = backup_store(a, tmp_path)
    with SnapshotStore(source) as there:
        sql("UPDATE pstructs_version SET message = 'x' WHERE number = 3")(there)
        flip_row(there)
    flip_file(a)
    a.close()
    with SnapshotStore(a.path, durable="none") as again:
        assert again.repair(source).problems == ()


def test_two_damaged_stores_can_repair_each_other(a: SnapshotStore, tmp_path: Path) -> None:
    source = backup_store(a, tmp_path)
    with SnapshotStore(source) as b:
        flip_row(b)
    flip_file(a)
    a.close()
    with SnapshotStore(a.path, durable="none") as again, SnapshotStore(source) as b:
        assert again.repair(b).problems == ()
        assert b.repair(again).problems == ()
        assert same_versions(again, b)


def test_a_pack_that_was_made_up_does_not_replace_anything(
    a: SnapshotStore, tmp_path: Path
) -> None:
    """The same uuid and the same value, and nodes in other places than importers point to."""
    uuid = bytes.fromhex(a.version(1).pack)
    forged = PackWriter(pmap(dict(reversed(list(BIG.items())))), uuid=uuid)
    other = PackWriter(pmap({"evil": 1}), uuid=uuid)
    for image in (bytes(other.image), bytes(forged.image)[:-1]):
        with SnapshotStore(tmp_path / f"evil-{len(image)}", durable="none") as evil:
            evil.pull(a)
            large(evil).write_bytes(image)
            data = large(a).read_bytes()
            flip_file(a)
            a._folder.forget()
            report = a.repair(evil)
            assert report.problems
            assert uuid.hex() not in report.packs
            large(a).write_bytes(data)
            a._folder.forget()
            a.verify()


@pytest.mark.parametrize(
    "name", ["_fetch", "_announce", "_insert", "_put_aside", "_drop_strays", "_report"]
)
def test_a_repair_that_is_interrupted_goes_on_the_next_time(
    a: SnapshotStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    source = backup_store(a, tmp_path)
    before = list(a.versions)
    contents = [dict(a.load(version)) for version in before]
    DAMAGES["several"](a)
    flip_file(a)
    a.close()

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with SnapshotStore(a.path, durable="none") as again:
        with monkeypatch.context() as patch:
            patch.setattr(repairing._Repair, name, stop)
            with pytest.raises(KeyboardInterrupt):
                again.repair(source)
        assert waiting(again) == []
        assert again.repair(source).problems == ()
        assert [dict(again.load(version)) for version in before] == contents


def test_bits_that_flip_anywhere_in_packs_are_repaired(a: SnapshotStore, tmp_path: Path) -> None:
    source = backup_file(a, tmp_path)
    rng = random.Random(5)
    path = large(a)
    good = path.read_bytes()
    for _ in range(15):
        data = bytearray(good)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.unlink()
        path.write_bytes(data)
        a._folder.forget()
        report = a.repair(source)
        assert (report.problems, report.aside) == ((), None)
        assert path.read_bytes() == good


def test_a_catalog_that_can_not_be_read_is_said_to_be_so(a: SnapshotStore, tmp_path: Path) -> None:
    source = backup_file(a, tmp_path)
    a.close()
    with sqlite3.connect(Path(a.path, "cache.db")) as con:
        con.execute("DROP TABLE pstructs_version")
    with pytest.raises(StoreError), SnapshotStore(a.path) as again:
        again.repair(source)


# ---- archives
def archive_of(a: SnapshotStore, tmp_path: Path) -> Path:
    """Archive the versions of a copy of the store; its heads hold something else by then."""
    with SnapshotStore(tmp_path / "copy") as copy:
        a.push(copy)
        for head in list(copy.heads()):
            copy.save(SMALL.set("n", head), head=head)
        kept = [version.id for version in a.versions]
        copy.archive(kept, tmp_path / "archive")
    shutil.rmtree(tmp_path / "copy")
    return tmp_path / "archive"


@pytest.mark.parametrize("damage", ["file flipped", "file gone", "file cut", "row flipped"])
def test_values_come_from_an_archive(a: SnapshotStore, tmp_path: Path, damage: str) -> None:
    archive = archive_of(a, tmp_path)
    ids = {version.id: version.number for version in a.versions}
    values = {number: dict(a.load(number)) for number in ids.values()}
    path = a.path
    a.close()
    with SnapshotStore(path) as opened:
        DAMAGES[damage](opened)
    with SnapshotStore(path) as opened:
        with pytest.raises(StoreDamagedError):
            opened.verify()
        report = opened.repair(archive)
        assert report.problems == () and report.aside is None
        assert report.moved and set(report.moved) <= ids.keys()
        assert {version.id: version.number for version in opened.versions} == ids
        for number, value in values.items():
            assert dict(opened.load(number)) == value
        assert opened.verify().unlisted == ()
        opened.save(opened.load().set("after", 1))
        opened.gc()
        assert opened.verify().unlisted == ()
        assert waiting(opened) == []
    with SnapshotStore(path) as opened:
        assert opened.repair(archive).moved == ()
        assert dict(opened.load(1)) == values[1]


def test_rows_of_versions_come_from_an_archive(a: SnapshotStore, tmp_path: Path) -> None:
    archive = archive_of(a, tmp_path)
    ids = [version.id for version in a.versions]
    a._folder.con.execute("DELETE FROM pstructs_version WHERE number IN (1, 3)")
    report = a.repair(archive)
    assert set(report.versions) == {ids[0], ids[2]}
    assert report.problems == ()
    assert [version.id for version in a.versions] == ids


def test_an_archive_that_lacks_a_version_repairs_the_others(
    a: SnapshotStore, tmp_path: Path
) -> None:
    archive = archive_of(a, tmp_path)
    late = a.save(a.load().set("late", 1))
    lost, path = large(a), a.path
    a.close()
    lost.unlink()
    with SnapshotStore(path) as opened:
        report = opened.repair(archive)
        assert len(report.moved) == 5
        assert any(str(late) in problem for problem in report.problems), report
        assert dict(opened.load(1)) == dict(BIG)
        with pytest.raises(PackError):
            dict(opened.load(late))


def test_an_archive_that_is_damaged_or_none_repairs_nothing(
    a: SnapshotStore, tmp_path: Path
) -> None:
    archive = archive_of(a, tmp_path)
    large(a).unlink()
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    with pytest.raises(PackError):
        a.repair(archive)
    (tmp_path / "pack").write_bytes(PackWriter(BIG).image)
    with pytest.raises(StorePathError, match="no archive"):
        a.repair(tmp_path / "pack")
    evil = {"pstructs archive": 1, "versions": pmap({"x": {"number": "1"}}), "values": pmap()}
    (tmp_path / "evil").write_bytes(PackWriter(evil).image)
    a._folder.con.execute("DELETE FROM pstructs_version WHERE number = 1")
    with pytest.raises(DamagedExportError, match="something else than versions"):
        a.repair(tmp_path / "evil")


def test_a_wrong_value_in_an_archive_is_not_taken(a: SnapshotStore, tmp_path: Path) -> None:
    root = a.version(1).root
    wrong = {"pstructs archive": 1, "versions": pmap(), "values": pmap({root: SMALL})}
    (tmp_path / "wrong").write_bytes(PackWriter(wrong).image)
    large(a).unlink()
    report = a.repair(tmp_path / "wrong")
    assert report.moved == ()
    assert report.problems
