"""A build that pointed into a pack which `gc` retired meanwhile was refused at the very end."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("diskcache")

from pstructs import PMap, pmap
from pstructs.cache import SnapshotStore, erasing
from pstructs.cache.retention import keep
from pstructs.cache.retired import RetiredPackError
from pstructs.errors import StoreBusyError


def big() -> PMap[int, str]:
    """A map whose pack is a file; a new one, since one that was saved keeps its pack open."""
    return pmap({n: f"{n:020}" for n in range(4000)})


def collect(path: str) -> None:
    """Let all versions expire but the last one, and remove what nobody needs."""
    with SnapshotStore(path) as store:
        store.expire(keep(last=1))
        assert store.gc(0).retired > 0


def elsewhere(path: str) -> None:
    process = multiprocessing.get_context("spawn").Process(target=collect, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == 0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SnapshotStore]:
    """The first version has a pack of its own, the second one imports it, the third neither."""
    with SnapshotStore(tmp_path / "a.store", durable="none") as opened:
        opened.save(big())
        opened.save(opened.load().update({n: f"new {n}" for n in range(0, 4000, 3)}))
        opened.save(pmap({"small": 1}))
        yield opened


@pytest.mark.parametrize("kind", ["map", "vector", "sortedmap"])
@pytest.mark.parametrize("collected", [collect, elsewhere])
def test_a_build_keeps_what_it_points_into(
    store: SnapshotStore, collected: Callable[[str], None], kind: str
) -> None:
    shared = store.load(2)

    def items() -> Iterator[Any]:
        for n in range(40):
            yield shared if kind == "vector" else (n, shared)
        collected(store.path)
        yield "later" if kind == "vector" else (40, "later")

    built = store.build(items(), kind)
    assert built.nbytes < 4000
    for _ in range(3):
        assert store.gc(0).removed == 0
        assert store.verify().unlisted == ()
    with SnapshotStore(store.path) as other:
        found = other.load(built)[39]
        assert found[1] == f"{1:020}" and found[3] == "new 3" and len(found) == 4000


def test_what_a_build_points_into_goes_when_the_built_version_does(store: SnapshotStore) -> None:
    def items() -> Iterator[Any]:
        yield 0, store.load(2)
        collect(store.path)

    store.build(items())
    store.save(pmap({"small": 2}))
    collect(store.path)
    store.gc(0)
    assert os.listdir(os.path.join(store.path, "packs")) == []
    store.verify()


def test_what_was_erased_meanwhile_does_not_come_back(
    store: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused while others have the store open, unless they open it a moment later."""
    monkeypatch.setattr(erasing, "_check_alone", lambda folder: None)

    def items() -> Iterator[Any]:
        yield 0, store.load(2)
        with pytest.raises(StoreBusyError, match="not yet from all files"):
            store.erase([3])

    with pytest.raises(RetiredPackError, match="nothing was committed"):
        store.build(items())
    assert len(store.versions) == 3
    assert 3 not in store.load(2)
    store.gc(0)
    assert store.verify().unlisted == ()


def test_nothing_is_erased_while_a_build_is_under_way(store: SnapshotStore) -> None:
    def items() -> Iterator[Any]:
        yield 0, store.load(2)
        with pytest.raises(StoreBusyError, match="Nothing was changed"):
            store.erase([3])

    assert store.load(store.build(items()))[0][3] == "new 3"
