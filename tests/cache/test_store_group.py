"""Group commit: threads share syncs, and nobody is told of a version that is not on the disk."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pstructs import pmap
from pstructs.cache import SnapshotStore, syncing
from pstructs.cache.disk import SyncError
from pstructs.cache.syncing import SharedSync
from pstructs.errors import StoreClosedError
from support.stores import BIG, SMALL


def in_threads(count: int, work: Callable[[int], None]) -> None:
    errors: list[BaseException] = []

    def run(n: int) -> None:
        try:
            work(n)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


def test_each_save_returns_after_a_sync_that_began_after_its_commit(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    covered: list[int] = [0]  # versions in the catalog when the last finished sync began
    syncs = 0
    counting = threading.Lock()

    def slow(handle: int) -> None:
        nonlocal syncs
        with counting:
            syncs += 1
        assert os.readlink(f"/proc/self/fd/{handle}").endswith("cache.db-wal")
        before = len(store.versions)
        time.sleep(0.005)
        covered.append(before)

    def save(n: int) -> None:
        for step in range(10):
            version = store.save(pmap({"n": n, "step": step}))
            assert max(covered) >= version.number

    with SnapshotStore(folder, durable="group") as store:
        monkeypatch.setattr(syncing, "_sync_data", slow)
        in_threads(8, save)
        assert len(store.versions) == 80
        assert syncs <= 60, "threads that save at the same time share syncs"
        assert store.verify().versions == 80


def test_one_thread_alone_syncs_at_every_save(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(syncing, "_sync_data", calls.append)
    with SnapshotStore(folder, durable="group") as store:
        assert store.durable == "group"
        store.save(SMALL)
        store.save(BIG)
        store.undo()
        assert len(calls) == 3
        for number, value in ((1, SMALL), (2, BIG), (3, SMALL)):
            assert store.load(number) == value


def test_the_log_is_found_again_after_it_was_made_anew(folder: Path) -> None:
    with SnapshotStore(folder, durable="group") as store:
        store.save(SMALL)
    store = SnapshotStore(folder, durable="group")
    store.save(SMALL)
    store.close()  # the last connection takes the log away
    with SnapshotStore(folder, durable="group") as again:
        assert again.save(SMALL).number == 3


def test_after_a_failed_shared_sync_no_open_handle_takes_writes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SnapshotStore(folder, durable="group")
    other = SnapshotStore(folder)
    store.save(SMALL)
    real = syncing._sync_data
    failing = True
    release = threading.Event()

    def fail(handle: int) -> None:
        if failing:
            assert release.wait(30)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(handle)

    monkeypatch.setattr(syncing, "_sync_data", fail)
    refused: list[str] = []

    def save(n: int) -> None:
        with pytest.raises(StoreClosedError, match="could not confirm a write") as caught:
            store.save(pmap({"n": n}))
        refused.append(str(caught.value))

    threads = [threading.Thread(target=save, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    while len(other.versions) < 5:
        time.sleep(0.001)
    release.set()
    for thread in threads:
        thread.join(30)
    assert len(refused) == 4, "none of those that waited was told that its version is safe"
    failing = False
    calls: list[Callable[[], Any]] = [
        lambda: store.save(SMALL),
        store.undo,
        lambda: other.save(SMALL),
        lambda: other.save(BIG),
        other.undo,
    ]
    for call in calls:
        with pytest.raises(StoreClosedError, match="takes no more writes"):
            call()
    assert store.load(1) == other.load(1) == SMALL
    with SnapshotStore(folder, durable="group") as again:
        assert not os.path.getsize(folder / "cache.db-wal"), "all was written anew"
        assert again.load(again.save(BIG)) == BIG
        assert again.verify().versions == 6
    for handle in (store, other):
        with pytest.raises(StoreClosedError, match="takes no more writes"):
            handle.save(SMALL)
        handle.close()


def test_an_interrupted_sync_leaves_those_who_wait_to_another_one() -> None:
    began, go_on = threading.Event(), threading.Event()
    calls = 0

    def sync() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            began.set()
            assert go_on.wait(30)
            raise KeyboardInterrupt

    shared = SharedSync(sync)
    ended: list[str] = []

    def first() -> None:
        with pytest.raises(KeyboardInterrupt):
            shared.wait()
        ended.append("first")

    def second() -> None:
        shared.wait()
        ended.append("second")

    threads = [threading.Thread(target=first)]
    threads[0].start()
    assert began.wait(30)
    threads += [threading.Thread(target=second) for _ in range(3)]
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert sorted(ended) == ["first", "second", "second", "second"]
    assert calls >= 2


def test_once_failed_a_shared_sync_promises_nothing_more() -> None:
    outcomes: list[SyncError | None] = [SyncError(errno.EIO, "lost"), None]

    def sync() -> None:
        error = outcomes.pop(0)
        if error is not None:
            raise error

    shared = SharedSync(sync)
    for _ in range(2):
        with pytest.raises(SyncError, match="lost"):
            shared.wait()
    assert len(outcomes) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_shares_nothing_with_a_sync_that_its_parent_waits_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = threading.Event(), threading.Event()
    real, parent = syncing._sync_data, os.getpid()

    def slow(handle: int) -> None:
        if os.getpid() == parent:
            began.set()
            assert go_on.wait(60)
        real(handle)

    monkeypatch.setattr(syncing, "_sync_data", slow)
    with SnapshotStore(folder, durable="group") as store:
        saver = threading.Thread(target=store.save, args=(SMALL,))
        saver.start()
        assert began.wait(30)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if store.save(SMALL).number == 2 else 2
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        go_on.set()
        saver.join(30)
        assert len(store.versions) == 2


def test_processes_save_in_groups_to_one_head(folder: Path) -> None:
    with SnapshotStore(folder, durable="group") as store:
        store.save(pmap())
        children = []
        for who in range(3):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    for step in range(15):
                        store.save(pmap({"who": who, "step": step}))
                    code = 0
                finally:
                    os._exit(code)
            children.append(child)
        for child in children:
            assert os.waitpid(child, 0)[1] == 0
        seen = [(v["who"], v["step"]) for v in map(store.load, range(2, 47))]
        assert len(store.versions) == 46
        assert sorted(seen) == [(who, step) for who in range(3) for step in range(15)]
        assert store.verify().versions == 46
