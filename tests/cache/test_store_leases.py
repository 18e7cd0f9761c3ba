"""What other processes do can't take away what a reader has loaded, and nobody waits for it."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from pstructs import pmap
from pstructs.cache import SnapshotStore, leases
from pstructs.cache.retention import KeepLast, keep
from pstructs.errors import ExpiredVersionError

SPAWN = multiprocessing.get_context("spawn")
SECONDS = float(os.environ.get("PSTRUCTS_LEASE_SECONDS", "3"))
MANY = {n: f"{n:030}" for n in range(3000)}


def leased(folder: Path) -> list[leases.Held]:
    return leases.held(str(folder))


def history(store: SnapshotStore) -> dict[Any, Any]:
    """Save a large version, one on top of it, and an unrelated one; return the second's value."""
    base = pmap(MANY)
    store.save(base)
    store.save(base.set("x", 1))
    store.save(pmap({"n": 1}))
    return {**MANY, "x": 1}


def forget(store: SnapshotStore) -> None:
    store.expire(KeepLast(0))
    store.gc()


# ---------------------------------------------------------------- one reader elsewhere


def reader(path: str, channel: Connection) -> None:
    """Load version 2, and read from it when told to."""
    store = SnapshotStore(path)
    value = store.load(2)
    channel.send("loaded")
    while True:
        match channel.recv():
            case "read":
                channel.send(dict(value))
            case "drop":
                value = None
                gc.collect()
                channel.send("dropped")
            case "use":
                time.sleep(1.1)  # a store looks again for old values once a second
                channel.send(store.load("main")["n"])
            case "fork":
                pid = os.fork()
                if pid == 0:
                    channel.send(os.getpid())
                    continue  # the child listens from now on
                value = None
                gc.collect()
                store.close()
                os._exit(0)


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[tuple[multiprocessing.process.BaseProcess, Connection]]:
    channel, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=reader, args=(str(folder), theirs))
    process.start()
    try:
        assert channel.recv() == "loaded"
        yield process, channel
    finally:
        process.kill()
        process.join(60)


def ask(channel: Connection, what: str) -> Any:
    channel.send(what)
    assert channel.poll(60), f"no answer to {what!r} in a minute"
    return channel.recv()


def test_a_reader_elsewhere_keeps_what_it_may_still_need(folder: Path) -> None:
    with SnapshotStore(folder) as store:
        contents = history(store)
        gc.collect()
        with reading(folder) as (process, channel):
            store.expire(KeepLast(0))
            report = store.gc()
            assert (report.retired, report.removed, report.waiting) == (2, 0, 2)
            assert len(report.readers) == 1 and f" {process.pid} " in report.readers[0]
            # the pack below was not mapped when it was retired
            assert ask(channel, "read") == contents
            ask(channel, "drop")
            assert ask(channel, "use") == 1
            assert store.gc().removed == 2
        assert store.verify().unlisted == ()


def test_a_killed_reader_keeps_nothing(folder: Path) -> None:
    with SnapshotStore(folder) as store:
        history(store)
        gc.collect()
        with reading(folder) as (process, _):
            forget(store)
            assert len(leased(folder)) == 2
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join(60)
            assert store.gc().removed == 2
            assert len(os.listdir(folder / "leases")) == 1, "the dead lease was cleared away"


def test_a_forked_child_keeps_what_its_dead_parent_had(folder: Path) -> None:
    with SnapshotStore(folder) as store:
        contents = history(store)
        gc.collect()
        with reading(folder) as (process, channel):
            child = ask(channel, "fork")
            try:
                deadline = time.monotonic() + 60
                while process.exitcode is None and time.monotonic() < deadline:
                    time.sleep(0.01)  # join() would wait for the child, too
                assert process.exitcode == 0
                forget(store)
                assert store.gc().waiting == 2
                assert ask(channel, "read") == contents
            finally:
                os.kill(child, signal.SIGKILL)
            deadline = time.monotonic() + 60
            while store.gc().waiting and time.monotonic() < deadline:
                time.sleep(0.05)
            assert store.gc().waiting == 0


def test_a_reader_that_came_later_keeps_nothing_that_was_retired_before(folder: Path) -> None:
    with SnapshotStore(folder) as store:
        history(store)
        store.pin(2, "x")
        gc.collect()
        with reading(folder) as (_, channel):
            store.unpin(2, "x")
            store.expire(KeepLast(0))
            store.gc(grace=100)
            ask(channel, "drop")
            ask(channel, "use")
            assert store.gc().removed == 2


# ---------------------------------------------------------------- the files


def test_leases_are_gone_when_nothing_is_open(folder: Path) -> None:
    with SnapshotStore(folder) as one, SnapshotStore(folder) as two:
        one.save(pmap({"n": 1}))
        assert len(leased(folder)) == 1, "a process has one lease on a store"
        one.close()
        assert len(leased(folder)) == 1
        two.load()
    gc.collect()
    assert os.listdir(folder / "leases") == []


def test_strange_and_dead_files_among_the_leases_do_no_harm(folder: Path) -> None:
    with SnapshotStore(folder) as store:
        history(store)
        (folder / "leases" / "0-0123456789abcdef.lease").write_text("dead")
        (folder / "leases" / "notes.txt").write_text("mine")
        gc.collect()
        forget(store)
        assert store.gc().waiting == 0
        names = os.listdir(folder / "leases")
        assert "notes.txt" in names and "0-0123456789abcdef.lease" not in names


def test_a_lease_that_can_not_move_on_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk must not keep anyone from reading."""
    with SnapshotStore(folder) as store:
        history(store)
        gc.collect()
        forget(store)

        def full(*args: object) -> None:
            raise OSError(28, "No space left on device")

        before = leased(folder)
        store.save(pmap({"n": 2}))  # so that there is something to retire
        monkeypatch.setattr(leases, "_take", full)
        store.expire(KeepLast(0))
        assert store.gc(grace=100).retired == 1
        assert store.load()["n"] == 2
        assert leased(folder) == before
        monkeypatch.undo()
        store.gc()
        assert leased(folder) != before


def test_a_lease_that_was_cleared_before_it_was_locked_is_taken_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SnapshotStore(folder).close()
    real, cleared = leases.fcntl.flock, []

    def late(file: int, how: int) -> None:
        if how == leases.fcntl.LOCK_EX and not cleared:
            cleared.extend(os.listdir(folder / "leases"))
            leases.held(str(folder))
        real(file, how)

    monkeypatch.setattr(leases.fcntl, "flock", late)
    with SnapshotStore(folder):
        names = [lease.name for lease in leased(folder)]
        assert len(cleared) == 1 and len(names) == 1 and cleared != names


# ---------------------------------------------------------------- everybody at once


def write(path: str, who: int, start: Barrier) -> None:
    rng = random.Random(who)
    with SnapshotStore(path, durable="none") as store:
        start.wait(60)
        end = time.monotonic() + SECONDS
        value = pmap(MANY).set("who", who)
        n = 0
        while time.monotonic() < end:
            value = value.set(rng.randrange(3000), f"{who} {n}").set("last", f"{who} {n}")
            store.save(value, head=f"w{who}", message=f"{who} {n}")
            n += 1
            if rng.random() < 0.1:
                value = store.load(f"w{who}")


def read(path: str, who: int, start: Barrier) -> None:
    rng = random.Random(who)
    held: list[tuple[Any, str]] = []
    with SnapshotStore(path, durable="none") as store:
        start.wait(60)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            there = len(store.versions)
            if not there:
                continue
            version = store.version(1 + rng.randrange(there))
            try:
                value = store.load(version)
            except ExpiredVersionError:
                continue
            held.append((value, version.message or ""))
            if len(held) > 8:
                held.pop(rng.randrange(8))
            for value, message in held[:: rng.choice([1, 4])]:
                assert value["last"] == message
                assert len(dict(value)) == len(MANY) + 2  # reads every node
            del value


def tidy(path: str, who: int, start: Barrier) -> None:
    rng = random.Random(who)
    with SnapshotStore(path, durable="none") as store:
        start.wait(60)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            store.expire(keep(last=5))
            store.gc(grace=rng.choice([0, 0, 5]))
            if rng.random() < 0.3:
                store.compact(keep_above=rng.choice([None, 60_000]))


def test_readers_writers_and_collectors_do_not_disturb_each_other(folder: Path) -> None:
    SnapshotStore(folder).close()
    start = SPAWN.Barrier(5)
    jobs = [(write, 1), (write, 2), (read, 3), (read, 4), (tidy, 5)]
    workers = [SPAWN.Process(target=job, args=(str(folder), who, start)) for job, who in jobs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    with SnapshotStore(folder) as store:
        assert store.verify().unlisted == ()
        for head in ("w1", "w2"):
            version = store.version(head)
            assert store.load(head)["last"] == version.message
            messages = [v.message for v in reversed(store.log(head))]
            assert messages == [f"{head[1:]} {n}" for n in range(len(messages))]
        store.expire(KeepLast(0))
        gc.collect()
        assert store.gc().waiting == 0
        assert store.verify().unlisted == ()


def test_threads_read_while_one_collects(folder: Path) -> None:
    with SnapshotStore(folder, durable="none") as store:
        value = pmap(MANY)
        for n in range(5):
            value = value.set("last", f"{n}")
            store.save(value, message=f"{n}")
        errors: list[BaseException] = []
        end = time.monotonic() + 1.0

        def look() -> None:
            try:
                while time.monotonic() < end:
                    try:
                        version = store.versions[-random.randrange(1, 6)]
                        found = store.load(version)
                    except ExpiredVersionError:
                        continue
                    assert found["last"] == version.message
                    assert len(dict(found)) == len(MANY) + 1
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=look) for _ in range(3)]
        for thread in threads:
            thread.start()
        n = 5
        while time.monotonic() < end:
            store.save(store.load().set("last", f"{n}"), message=f"{n}")
            n += 1
            store.expire(keep(last=3))
            store.gc()
            if n % 5 == 0:
                store.compact()
        for thread in threads:
            thread.join()
        assert errors == []
        store.verify()
