"""A head moves on, and where it was expires, in the middle of a call that began there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pstructs import pmap
from pstructs.cache import SnapshotStore, reading
from pstructs.cache.retention import keep
from pstructs.errors import ExpiredVersionError


def by_load(store: SnapshotStore) -> None:
    assert store.load("main")["n"] == 0


def by_swap(store: SnapshotStore) -> None:
    store.swap("main", lambda value: value.set("mine", value["n"]))
    assert store.load() == pmap({"n": 1, "mine": 1})


def by_transaction(store: SnapshotStore) -> None:
    with store.transaction() as t:
        t.value = t.value.set("mine", 1)
    assert store.load() == pmap({"n": 1, "mine": 1})


def by_merge(store: SnapshotStore) -> None:
    store.merge("side")
    assert store.load() == pmap({"n": 1, "side": 1})


CALLS: list[Callable[[SnapshotStore], None]] = [by_load, by_swap, by_transaction, by_merge]


class Elsewhere:
    """Once, before a version is looked at: moves the head on, in another thread."""

    def __init__(self, path: str, patch: pytest.MonkeyPatch) -> None:
        self.path, self.real, self.done = path, reading.archived, False
        patch.setattr(reading, "archived", self)

    def __call__(self, *args: Any) -> Any:
        if not self.done:
            self.done = True
            thread = threading.Thread(target=self.move)
            thread.start()
            thread.join()
        return self.real(*args)

    def move(self) -> None:
        with SnapshotStore(self.path) as store:
            store.save(pmap({"n": 1}))
            assert store.expire(keep(last=1), head="main").expired


@pytest.mark.parametrize("call", CALLS)
def test_the_call_does_not_see_that_it_expired(
    folder: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[[SnapshotStore], None]
) -> None:
    with SnapshotStore(folder) as store:
        store.save(pmap({"n": -1}))
        store.pin(1, "what the two heads were made from")
        store.branch("side")
        store.save(pmap({"n": -1, "side": 1}), head="side")
        store.save(pmap({"n": 0}))
        elsewhere = Elsewhere(str(folder), monkeypatch)
        call(store)
        assert elsewhere.done
        assert store.load(2)["side"] == 1
        with pytest.raises(ExpiredVersionError):
            store.load(3)


def test_a_version_that_has_expired_is_no_reason_to_try_again(folder: Path) -> None:
    with SnapshotStore(folder) as store:
        store.save(pmap({"n": 0}))
        store.save(pmap({"n": 1}), head="side")
        store.save(pmap({"n": 2}), head="side")
        store.expire(keep(last=1))
        with pytest.raises(ExpiredVersionError):
            store.merge(2, base=1)
