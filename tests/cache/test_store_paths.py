"""Paths that can't be a store, and folders that are another one's."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import diskcache
import pytest

from pstructs import pmap
from pstructs.cache import SnapshotStore
from pstructs.cache.catalog import seal
from pstructs.errors import FutureStoreError, StoreDamagedError, StoreError, StorePathError


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    with SnapshotStore(tmp_path / "x" / "y" / "z.store") as store:
        store.save(pmap({"n": 1}))
    assert (tmp_path / "x" / "y" / "z.store" / "cache.db").is_file()


def test_a_relative_path_means_the_same_folder_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with SnapshotStore("s") as store:
        monkeypatch.chdir("/")
        store.save(pmap({"n": 1}))
        assert store.load()["n"] == 1
        assert store.path == str(tmp_path / "s")


def test_a_file_is_no_store_and_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text("a,b\n")
    for path in (file, file / "inside"):
        with pytest.raises(StorePathError, match="is a file; choose a new or empty folder"):
            SnapshotStore(path)
    assert file.read_text() == "a,b\n"


def test_a_broken_link_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorePathError):
        SnapshotStore(tmp_path / "link")


def test_a_folder_with_other_things_is_left_alone(folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.tex").write_text("...")
    with pytest.raises(StorePathError, match=r"holds something else \('thesis.tex'\)"):
        SnapshotStore(folder)
    assert os.listdir(folder) == ["thesis.tex"]


def test_the_cache_of_another_program_is_left_alone(folder: Path) -> None:
    with diskcache.Cache(folder) as cache:
        cache["x"] = {"pickled": object}
    with pytest.raises(StorePathError, match="another program"):
        SnapshotStore(folder)


def test_a_database_that_is_none_is_told(folder: Path) -> None:
    folder.mkdir()
    (folder / "cache.db").write_bytes(b"hello" * 1000)
    with pytest.raises(StoreDamagedError, match="not a SQLite database"):
        SnapshotStore(folder)
    (folder / "cache.db").unlink()
    (folder / "cache.db").mkdir()
    with pytest.raises(StorePathError, match="is no file"):
        SnapshotStore(folder)


def test_packs_without_a_catalog_are_not_taken_for_a_new_store(folder: Path) -> None:
    with SnapshotStore(folder) as store:
        store.save(pmap({n: f"{n:020}" for n in range(4000)}))
    (folder / "cache.db").unlink()
    with pytest.raises(StoreDamagedError, match="no catalog"):
        SnapshotStore(folder)
    (folder / "cache.db").write_bytes(b"")
    with pytest.raises(StoreDamagedError, match="no catalog"):
        SnapshotStore(folder)


def test_dollars_in_a_path_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELSEWHERE", str(tmp_path / "elsewhere"))
    with pytest.raises(StorePathError, match=r"\$"):
        SnapshotStore(str(tmp_path) + "/$ELSEWHERE")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name == "nt" or not Path("/proc").is_dir(), reason="needs /proc")
def test_a_folder_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="/proc/nowhere"):
        SnapshotStore("/proc/nowhere/x")


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs users")
def test_a_folder_without_write_access_is_told(folder: Path) -> None:
    """In a process without the rights that root has."""
    SnapshotStore(folder).close()
    code = (
        "import os, sys\n"
        "from pstructs.errors import StorePathError\n"
        "from pstructs.cache import SnapshotStore\n"
        "os.chdir(sys.argv[1])\n"  # the folders above may be closed to others
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "from pstructs.cache import layout\n"
        "layout.os.path.abspath = lambda path: path\n"
        "try: SnapshotStore('.')\n"
        "except StorePathError as error: print(error)\n"
    )
    os.chmod(folder, 0o555)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.chmod(folder, 0o755)
    assert "give this user write access" in done.stdout, done.stderr


def rewrite_format(folder: Path, number: int, sealed: bool) -> None:
    with closing(sqlite3.connect(folder / "cache.db")) as con, con:
        (old,) = con.execute("SELECT * FROM pstructs_store").fetchall()
        row = (number, old[1], old[2])
        total = seal(b"", "store", *row) if sealed else old[3]
        con.execute("UPDATE pstructs_store SET format = ?, sum = ?", (number, total))


def test_a_store_of_a_later_format_says_what_to_update(folder: Path) -> None:
    SnapshotStore(folder).close()
    rewrite_format(folder, 2, sealed=True)
    with pytest.raises(FutureStoreError, match=r"format 2 .* update pstructs"):
        SnapshotStore(folder)


def test_a_damaged_format_is_not_taken_for_a_later_one(folder: Path) -> None:
    SnapshotStore(folder).close()
    rewrite_format(folder, 2, sealed=False)
    with pytest.raises(StoreDamagedError, match="format is damaged"):
        SnapshotStore(folder)


def test_a_moved_store_and_a_copied_one_are_told_apart(tmp_path: Path) -> None:
    import shutil

    value = pmap({n: n for n in range(50)})
    with SnapshotStore(tmp_path / "a") as store:
        store.save(value)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    with SnapshotStore(tmp_path / "a") as a, SnapshotStore(tmp_path / "b") as b:
        later = a.load().set("k", 1)
        a.save(later)
        b.save(later.set("l", 2))  # must not point into the pack that only `a` has
        assert b.verify().versions == 2
        assert b.load()["k"] == 1
    shutil.move(tmp_path / "b", tmp_path / "c")
    with SnapshotStore(tmp_path / "c") as c:
        assert dict(c.load()) == {**dict(value), "k": 1, "l": 2}
