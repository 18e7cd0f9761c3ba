"""Many threads and processes on one store."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from pstructs import pmap
from pstructs.cache import SnapshotStore, pending
from pstructs.cache.folder import _folders
from pstructs.errors import HeadMovedError, StoreError
from support.stores import BIG

SPAWN = multiprocessing.get_context("spawn")


def append(path: str, who: int, times: int) -> None:
    with SnapshotStore(path, durable="none") as store:
        for n in range(times):
            store.save(pmap({"who": who, "n": n}), message=f"{who}:{n}")


def count_up(path: str, who: int, times: int) -> None:
    with SnapshotStore(path, durable="none") as store:
        done = 0
        while done < times:
            seen = store.version()
            try:
                store.save(pmap({"count": store.load(seen)["count"] + 1}), expected=seen)
                done += 1
            except HeadMovedError:
                continue


def save_both(path: str, who: int) -> None:
    """Save small packs and files, to a head that others move as well and to new ones."""
    with SnapshotStore(path, durable="none") as store:
        for n in range(10):
            store.save(pmap({"who": who, "n": n}))
            store.save(pmap({k: f"{who} {n} {k:020}" for k in range(2000)}))
            store.save(pmap({"n": n}), head=f"{who}-{n}")


def run(target: object, path: Path, processes: int, times: int) -> None:
    workers = [
        SPAWN.Process(target=target, args=(str(path), who, times)) for who in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(110)
        assert worker.exitcode == 0


def test_processes_that_open_a_new_store_together_make_one(folder: Path) -> None:
    run(append, folder, 4, 25)
    with SnapshotStore(folder) as store:
        log = store.log()
        assert len(log) == 100
        assert {version.message for version in log} == {
            f"{who}:{n}" for who in range(4) for n in range(25)
        }
        assert [version.number for version in log] == list(range(100, 0, -1))
        for later, earlier in itertools.pairwise(log):
            assert later.parents == (earlier.id,)
            assert later.time > earlier.time
        assert store.verify().versions == 100


def test_no_update_is_lost_with_expected(folder: Path) -> None:
    with SnapshotStore(folder) as store:
        store.save(pmap({"count": 0}))
        run(count_up, folder, 3, 20)
        assert store.load()["count"] == 60
        assert len(store.log()) == 61


def test_a_store_can_be_verified_while_others_save(folder: Path) -> None:
    with SnapshotStore(folder, durable="none") as store:
        store.save(BIG)
        workers = [SPAWN.Process(target=save_both, args=(str(folder), who)) for who in range(2)]
        for worker in workers:
            worker.start()
        seen = []
        while any(worker.is_alive() for worker in workers):
            report = store.verify()
            assert (report.unlisted, report.swept) == ((), 0)
            seen.append(report.versions)
        for worker in workers:
            worker.join(60)
            assert worker.exitcode == 0
        assert store.verify().versions == 61
        assert seen == sorted(seen)


def test_threads_share_a_handle(folder: Path) -> None:
    with SnapshotStore(folder, durable="none") as store:
        base = pmap({n: n for n in range(1000)})
        store.save(base)

        def work(who: int) -> None:
            for n in range(30):
                value = base.set(who, n)
                version = store.save(value, message=f"{who}:{n}")
                assert store.load(version) == value
                assert store.load() is not None

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        assert len(store.log()) == 241
        assert store.verify().versions == 241


def test_a_reader_does_not_wait_for_a_writer(folder: Path) -> None:
    with SnapshotStore(folder) as store:
        store.save(pmap({"n": 1}))
        with closing(sqlite3.connect(folder / "cache.db", isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            assert store.load()["n"] == 1
            assert len(store.log()) == 1
            writer.execute("ROLLBACK")


def test_opening_a_store_writes_nothing_and_waits_for_nobody(folder: Path) -> None:
    contents = dict(BIG)
    with SnapshotStore(folder) as store:
        store.save(pmap(contents))
    del store
    gc.collect()
    assert str(folder) not in [path for path, _ in _folders]  # or it would be open still
    before = (folder / "cache.db").read_bytes()
    with closing(sqlite3.connect(folder / "cache.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with SnapshotStore(folder) as store:
            assert dict(store.load()) == contents
        writer.execute("ROLLBACK")
    assert (folder / "cache.db").read_bytes() == before


def test_a_writer_waits_for_another_one(folder: Path) -> None:
    with SnapshotStore(folder) as store:
        store.save(pmap({"n": 1}))
        blocker = sqlite3.connect(
            folder / "cache.db", isolation_level=None, check_same_thread=False
        )
        with closing(blocker):
            blocker.execute("BEGIN IMMEDIATE")
            threading.Timer(0.3, blocker.execute, ["COMMIT"]).start()
            assert store.save(pmap({"n": 2})).number == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_store_can_be_used_on_both_sides_of_a_fork(folder: Path) -> None:
    code = (
        "import os, sys\n"
        "from pstructs import pmap\n"
        "from pstructs.cache import SnapshotStore\n"
        "store = SnapshotStore(sys.argv[1])\n"
        "value = pmap({n: n for n in range(3000)})\n"
        "store.save(value)\n"
        "child = os.fork()\n"
        "who = 'parent' if child else 'child'\n"
        "for n in range(20):\n"
        "    value = value.set(n, who)\n"
        "    assert store.load(store.save(value, head=who)) == value\n"
        "if child:\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "else:\n"
        "    store.close()\n"
        "    os._exit(0)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        check=True,
        timeout=60,
    )
    with SnapshotStore(folder) as store:
        assert len(store.log("parent")) == len(store.log("child")) == 20
        assert store.verify().versions == 41


# ---- what dead writers leave
def leave_behind(folder: Path, owner: str, state: int = pending.WRITING) -> Path:
    """Put a file and its pending row into a store, as a crash in a save does."""
    pack = os.urandom(16)
    lease = time.time_ns() + 10**12
    with closing(sqlite3.connect(folder / "cache.db")) as con, con:
        row = (pack, owner, lease, state)
        con.execute("INSERT INTO pstructs_pending VALUES (?, ?, ?, ?)", row)
    path = folder / "packs" / f"{pack.hex()}.pack"
    path.write_bytes(b"half a pack")
    return path


def dead_owner() -> str:
    """Return the owner text of a process that has ended."""
    code = "from pstructs.cache import pending; print(pending.owner())"
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.strip()


def test_what_a_dead_process_left_is_swept_when_the_store_is_opened(folder: Path) -> None:
    with SnapshotStore(folder) as store:
        store.save(BIG)
    owner = dead_owner()
    left = [leave_behind(folder, owner), leave_behind(folder, owner, pending.SWEEPING)]
    left[1].unlink()
    with SnapshotStore(folder) as store:
        assert not left[0].exists()
        assert store.load() == BIG
        assert store.verify().swept == 2
        assert store.verify().swept == 0
        assert len(os.listdir(folder / "packs")) == 1


def test_what_dies_while_the_store_is_open_is_swept_by_verify(folder: Path) -> None:
    with SnapshotStore(folder) as store:
        store.save(BIG)
        left = leave_behind(folder, dead_owner())
        assert store.verify().swept == 1
        assert not left.exists()


@pytest.mark.parametrize("owner", ["ours", "other host"])
def test_what_a_live_process_is_writing_is_left_alone(folder: Path, owner: str) -> None:
    with SnapshotStore(folder) as store:
        store.save(BIG)
    left = leave_behind(folder, pending.owner() if owner == "ours" else "elsewhere/7f/x 12 345")
    with SnapshotStore(folder) as store:
        report = store.verify()
        assert (report.swept, report.unlisted) == (0, ())
        assert left.exists()


def test_a_number_of_a_process_that_is_used_again_is_not_its_owner() -> None:
    machine, pid, started = pending.owner().rsplit(" ", 2)
    far = time.time_ns() + 10**12
    assert not pending.is_dead(f"{machine} {pid} {started}", far)
    if started != "?":
        assert pending.is_dead(f"{machine} {pid} {int(started) + 1}", far)
    assert not pending.is_dead(f"other {pid} {started}", far)
    assert pending.is_dead(f"other {pid} {started}", 0)


def test_a_save_that_was_swept_by_mistake_fails_and_commits_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pstructs.cache.disk import RawDisk

    with SnapshotStore(folder) as store, SnapshotStore(folder) as other:
        store.save(pmap({"n": 1}))
        write = RawDisk.write

        def slow(disk: RawDisk, key: bytes, value: object, *, sync: bool) -> object:
            done = write(disk, key, value, sync=sync)
            with monkeypatch.context() as patch:
                patch.setattr(pending, "is_dead", lambda owner, lease: True)
                other._folder.sweep()
            return done

        with monkeypatch.context() as patch:
            patch.setattr(RawDisk, "write", slow)
            with pytest.raises(StoreError, match="took its owner for dead"):
                store.save(BIG)
        assert store.load()["n"] == 1
        report = store.verify()
        assert (report.versions, report.unlisted) == (1, ())
        assert store.load(store.save(BIG)) == BIG
