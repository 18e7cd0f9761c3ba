"""A pack comes back while another process is about to remove the file of its last life."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pstructs.cache import SnapshotStore, collecting, pending
from pstructs.cache.folder import Folder
from pstructs.cache.retention import KeepLast
from support.stores import BIG, SMALL


@pytest.fixture
def a(tmp_path: Path) -> Iterator[SnapshotStore]:
    with SnapshotStore(tmp_path / "a", durable="none") as opened:
        opened.save(BIG)
        yield opened


@pytest.fixture
def b(tmp_path: Path) -> Iterator[SnapshotStore]:
    with SnapshotStore(tmp_path / "b", durable="none") as opened:
        yield opened


def large(store: SnapshotStore) -> str:
    return next(version.pack for version in store.versions if version.nbytes > 32768)


def by_pull(a: SnapshotStore, b: SnapshotStore) -> None:
    b.pull(a)


def by_import(a: SnapshotStore, b: SnapshotStore) -> None:
    b.import_from(Path(a.path).with_name("file"))


COMES: list[Callable[[SnapshotStore, SnapshotStore], None]] = [by_pull, by_import]


def half_received(a: SnapshotStore, b: SnapshotStore) -> None:
    """Leave what a kill leaves between the move of a pack to its place and the commit."""
    name = f"{large(a)}.pack"
    Path(b.path, "packs", name).write_bytes(Path(a.path, "packs", name).read_bytes())
    dead = pending.owner().rsplit(" ", 1)[0] + " 1"  # our number, of an earlier process
    with closing(sqlite3.connect(Path(b.path, "cache.db"))) as con, con:
        row = (bytes.fromhex(large(a)), dead, time.time_ns() + 10**15, pending.WRITING)
        con.execute("INSERT INTO pstructs_pending VALUES (?, ?, ?, ?)", row)


def half_collected(a: SnapshotStore, b: SnapshotStore, patch: pytest.MonkeyPatch) -> None:
    """Leave what a kill leaves between the end of a pack and the end of its file.

    The pack comes back with a version that `b` has not had.
    """
    b.pull(a)
    b.branch("main", at="origin/main")
    b.save(SMALL)
    b.delete_head("origin/main")
    b.expire(KeepLast(0))
    with patch.context() as context:
        context.setattr(collecting, "finish", lambda folder, sync: None)
        assert b.gc().removed == 1
    a.save(a.load().set("one", "more"))
    a.undo()


class Comes:
    """Lets the pack come back, in a thread, in the middle of something else."""

    def __init__(self, come: Callable[[], None]) -> None:
        self.thread = threading.Thread(target=self._run, args=(come,))
        self.error: BaseException | None = None
        self.begun = False

    def _run(self, come: Callable[[], None]) -> None:
        try:
            come()
        except BaseException as error:
            self.error = error

    def here(self, seconds: float) -> None:
        """Begin, and give it that long before the other goes on."""
        if not self.begun:
            self.begun = True
            self.thread.start()
            self.thread.join(seconds)

    def end(self) -> None:
        assert self.begun
        self.thread.join(60)
        assert self.error is None, self.error


def whole(a: SnapshotStore, b: SnapshotStore) -> None:
    with SnapshotStore(b.path) as anew:
        assert anew.verify().unlisted == ()
        assert anew.load(a.version().id) == BIG
        assert f"{large(a)}.pack" in os.listdir(Path(b.path, "packs"))


@pytest.mark.parametrize("come", COMES)
@pytest.mark.parametrize("leftover", ["half received", "half collected"])
def test_no_file_goes_that_came_back_meanwhile(
    a: SnapshotStore,
    b: SnapshotStore,
    monkeypatch: pytest.MonkeyPatch,
    leftover: str,
    come: Callable[[SnapshotStore, SnapshotStore], None],
) -> None:
    """The pack comes in between the look at the journal and the removal of the file."""
    if leftover == "half received":
        half_received(a, b)
    else:
        half_collected(a, b, monkeypatch)
    a.export_to(Path(a.path).with_name("file"))
    unlink, name = os.unlink, os.path.join(b.path, "packs", f"{large(a)}.pack")
    other = Comes(lambda: come(a, b))

    def slow(path: Any, **options: Any) -> None:
        if path == name and threading.current_thread() is not other.thread:
            other.here(1)
        unlink(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", slow)
        b._folder.sweep()
        other.end()
    whole(a, b)


@pytest.mark.parametrize("come", COMES)
def test_no_file_goes_that_came_back_before_the_lock_was_taken(
    a: SnapshotStore,
    b: SnapshotStore,
    monkeypatch: pytest.MonkeyPatch,
    come: Callable[[SnapshotStore, SnapshotStore], None],
) -> None:
    half_collected(a, b, monkeypatch)
    a.export_to(Path(a.path).with_name("file"))
    transaction = Folder.transaction
    other = Comes(lambda: come(a, b))

    def late(folder: Folder, *, sync: bool) -> Any:
        if threading.current_thread() is not other.thread:
            other.here(60)
        return transaction(folder, sync=sync)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "transaction", late)
        b._folder.sweep()
        other.end()
    whole(a, b)
