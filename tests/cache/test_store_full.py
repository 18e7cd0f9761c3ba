"""A full disk, a failing one, and what goes on afterwards."""

from __future__ import annotations

import errno
import gc
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pstructs import pmap
from pstructs.cache import SnapshotStore, disk, trouble
from pstructs.errors import StoreClosedError, StoreError, StoreFullError, StorePathError
from support.stores import BIG, SMALL


def nothing_was_committed(store: SnapshotStore, before: int) -> None:
    assert len(store.versions) == before
    assert store.load(1) == SMALL
    report = store.verify()
    assert (report.versions, report.packs, report.unlisted) == (before, before, ())
    assert os.listdir(os.path.join(store.path, "packs")) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("after", [0, 5000])
def test_a_disk_that_fills_up_while_a_pack_is_written(
    store: SnapshotStore, monkeypatch: pytest.MonkeyPatch, number: int, after: int
) -> None:
    store.save(SMALL)
    real = open

    class Full:
        def __init__(self, path: str) -> None:
            self.file = real(path, "xb", buffering=0)

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *error: object) -> None:
            self.file.close()

        def write(self, view: memoryview) -> int:
            if self.file.tell() >= after:
                raise OSError(number, os.strerror(number))
            return self.file.write(view[: after or None])

    with monkeypatch.context() as patch:
        patch.setattr(disk, "open", lambda path, *_, **__: Full(path), raising=False)
        with pytest.raises(StoreFullError, match="nothing was committed") as caught:
            store.save(BIG)
    assert caught.value.errno == number
    nothing_was_committed(store, 1)
    assert store.load(store.save(BIG)) == BIG


@pytest.mark.parametrize("value", [SMALL, BIG], ids=["row", "file"])
def test_a_disk_that_fills_up_in_the_commit(store: SnapshotStore, value: Any) -> None:
    store.save(SMALL)
    con = store._folder.con
    (pages,) = con.execute("PRAGMA page_count").fetchone()
    con.execute(f"PRAGMA max_page_count = {pages}")
    saved = 1
    with pytest.raises(StoreFullError, match="disk or a quota is full"):
        while saved < 2000:
            store.save(pmap({n: f"{saved} {n}" for n in range(300)}))
            saved += 1
    assert len(store.versions) == saved
    assert store.load(1) == SMALL
    assert store.verify().versions == saved
    con.execute("PRAGMA max_page_count = 1000000")
    assert store.load(store.save(value)) == value


@pytest.mark.parametrize("which", ["file", "folder"])
def test_after_a_failed_sync_a_handle_takes_no_more_writes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    store = SnapshotStore(folder)
    store.save(SMALL)
    real = os.fsync

    def fail(handle: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{handle}") == (which == "folder"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(StoreClosedError, match="could not confirm a write"):
            store.save(BIG)
    calls: list[Any] = [lambda: store.save(SMALL), store.undo]
    for call in calls:
        with pytest.raises(StoreClosedError, match="takes no more writes"):
            call()
    assert store.load() == SMALL
    assert store.log()[0].number == 1
    store.close()
    with SnapshotStore(folder) as again:
        assert again.load(again.save(BIG)) == BIG
        assert again.verify().versions == 2


def error_of(name: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("injected")
    error.sqlite_errorname = name
    return error


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("SQLITE_FULL", StoreFullError),
        ("SQLITE_IOERR_WRITE", StoreFullError),
        ("SQLITE_IOERR_FSYNC", StoreClosedError),
        ("SQLITE_IOERR_READ", StoreError),
        ("SQLITE_BUSY", StoreError),
        ("SQLITE_READONLY_DBMOVED", StorePathError),
        ("SQLITE_CANTOPEN", StorePathError),
        ("SQLITE_NOMEM", StoreError),
    ],
)
def test_an_error_of_the_catalog_in_a_commit(
    store: SnapshotStore, monkeypatch: pytest.MonkeyPatch, name: str, kind: type[StoreError]
) -> None:
    store.save(SMALL)

    def fail(*args: object) -> None:
        raise error_of(name)

    for value in (SMALL, BIG):
        with monkeypatch.context() as patch:
            patch.setattr(type(store._catalog), "append", fail)
            with pytest.raises(kind):
                store.save(value)
        if kind is StoreClosedError:
            with pytest.raises(StoreClosedError, match="takes no more writes"):
                store.save(SMALL)
            return
        nothing_was_committed(store, 1)
    assert store.save(SMALL).number == 2


def test_every_error_of_the_layers_below_keeps_its_cause() -> None:
    cause = error_of("SQLITE_FULL")
    with pytest.raises(StoreFullError) as caught, trouble.Explained("/s"):
        raise cause
    assert caught.value.__cause__ is cause
    assert "/s" in str(caught.value)


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 4 MB."""
    mount = shutil.which("mount")
    point = tmp_path / "tiny"
    point.mkdir()
    if mount is None or os.getuid() != 0:
        pytest.skip("only root can mount a small filesystem")
    made = [mount, "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(point)]
    if subprocess.run(made, capture_output=True, check=False).returncode:
        pytest.skip("no filesystem can be mounted here")
    try:
        yield point
    finally:
        subprocess.run(["umount", "-l", str(point)], check=True)


@pytest.mark.parametrize("entries", [50, 3000], ids=["rows", "files"])
def test_a_full_filesystem_keeps_all_versions_and_goes_on_when_there_is_space(
    tiny: Path, entries: int
) -> None:
    ballast = tiny / "ballast"
    ballast.write_bytes(b"x" * (1 << 20))
    model = {}
    with SnapshotStore(tiny / "s") as store:
        for n in range(100_000):
            value = pmap({k: f"{n} {k}" for k in range(entries)})
            try:
                model[store.save(value).number] = value
            except StoreFullError:
                break
        else:
            pytest.fail("the filesystem never got full")
        assert len(model) > 5
        for _ in range(3):
            with pytest.raises(StoreFullError):
                store.save(pmap({k: f"{k}" for k in range(60_000)}))
        for number in (1, len(model) // 2, len(model)):
            assert store.load(number) == model[number]
        assert store.verify().versions == len(model)
        ballast.unlink()
        assert store.save(SMALL).number == len(model) + 1
    with SnapshotStore(tiny / "s") as store:
        assert store.load() == SMALL
        assert all(store.load(number) == value for number, value in model.items())
        report = store.verify()
        assert (report.versions, report.unlisted) == (len(model) + 1, ())


@pytest.mark.parametrize("free", [0, 64 * 1024])
def test_opening_a_store_on_a_full_filesystem(tiny: Path, free: int) -> None:
    with SnapshotStore(tiny / "s") as store:
        store.save(pmap(dict(SMALL)))
    del store
    gc.collect()  # or the store would be open still
    space = os.statvfs(tiny)
    ballast = tiny / "ballast"
    ballast.write_bytes(bytes(space.f_bavail * space.f_bsize - free))
    if free:  # room for SQLite's index of its log
        with SnapshotStore(tiny / "s") as store:
            assert store.load() == SMALL
    else:
        with pytest.raises(StoreFullError, match="saved versions are untouched"):
            SnapshotStore(tiny / "s")
    ballast.unlink()
    with SnapshotStore(tiny / "s") as store:
        assert store.load() == SMALL
        assert store.save(BIG).number == 2
