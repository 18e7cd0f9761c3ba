"""Exchange with stores that expire, collect, compact and erase."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pstructs import pmap
from pstructs.cache import SnapshotStore
from pstructs.errors import ExpiredVersionError, StoreError
from support.stores import BIG, SMALL, grown


def by_file(a: SnapshotStore, b: SnapshotStore, tmp_path: Path) -> Any:
    a.export_to(tmp_path / "x", overwrite=True)
    return b.import_from(tmp_path / "x")


def by_pull(a: SnapshotStore, b: SnapshotStore, tmp_path: Path) -> Any:
    return b.pull(a)


def by_remote(a: SnapshotStore, b: SnapshotStore, tmp_path: Path) -> Any:
    pytest.importorskip("fsspec")
    a.push(f"file://{tmp_path}/r")
    return b.pull(f"file://{tmp_path}/r")


WAYS = [by_file, by_pull, by_remote]


def expire_all_but_last(store: SnapshotStore) -> None:
    from pstructs.cache import pins

    with store._folder.transaction(sync=False) as con:
        for version in list(store.versions)[:-1]:
            pins.expire(store._catalog, con, version.number, "too old")
    store.gc(grace=0)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_expired_versions_keep_their_place_in_the_history(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path, way: Any
) -> None:
    for n in range(3):
        a.save(pmap({k: f"{n} {k}" for k in range(3000)}), message=f"whole {n}")
    expire_all_but_last(a)
    got = way(a, b, tmp_path)
    assert (got.versions, got.packs) == (3, 1)
    assert [v.id for v in b.log("origin/main")] == [v.id for v in a.log()]
    assert b.load("origin/main") == a.load()
    with pytest.raises(ExpiredVersionError, match="too old"):
        b.load("origin/main~1")
    b.verify()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_store_that_was_compacted_sends_what_the_other_lacks(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path, way: Any
) -> None:
    grown(a)
    way(a, b, tmp_path)
    a.compact()
    a.save(a.load().set("new", 1))
    way(a, b, tmp_path)
    assert b.load("origin/main")["new"] == 1
    assert [v.id for v in b.log("origin/main")] == [v.id for v in a.log()]
    b.verify()


@pytest.mark.parametrize("collected", [False, True])
def test_packs_that_were_given_up_here_come_back_when_they_are_needed(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path, collected: bool
) -> None:
    grown(a)
    a.export_to(tmp_path / "x", versions=1)
    b.import_from(tmp_path / "x")
    b.save(SMALL)
    with b._folder.transaction(sync=False) as con:
        from pstructs.cache import pins

        pins.expire(b._catalog, con, 1, "a test")
    b.gc(grace=0 if collected else 1000)
    assert (len(list(Path(b.path, "packs").iterdir())) == 0) == collected
    b.pull(a)
    assert b.load("origin/main") == a.load()
    b.gc(grace=0)
    assert b.load("origin/main") == a.load()
    b.verify()


def test_what_was_erased_here_does_not_come_back(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path
) -> None:
    a.save(pmap({"ann": "a secret text", "bob": "another one"}))
    a.save(a.load().set("cid", "a third one"))
    b.pull(a, prefix="")
    b.erase("ann")
    assert (b.pull(a).versions, "ann" in b.load("origin/main")) == (0, False)
    assert b.version("origin/main").id == b.version("main").id
    b.verify()
    a.save(a.load().set("dan", "a fourth one"))
    with pytest.raises(StoreError, match="was erased"):
        b.pull(a)
    assert "ann" not in b.load()
    b.verify()


def test_repair_does_not_bring_back_what_expired(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path
) -> None:
    for n in range(3):
        a.save(pmap({k: f"{n} {k}" for k in range(3000)}))
    b.pull(a)
    expire_all_but_last(a)
    report = a.repair(b)
    assert (report.packs, report.problems) == ((), ())


def test_a_collection_during_a_transfer_takes_nothing_that_it_needs(
    a: SnapshotStore, b: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pstructs.cache import receiving

    a.save(BIG)
    b.pull(a)
    a.save(BIG.set(1, "one"))
    with b._folder.transaction(sync=False) as con:
        from pstructs.cache import pins

        pins.expire(b._catalog, con, 1, "a test")
        b._catalog.drop_head(con, b._catalog.head(con, "origin/main"), "test")  # type: ignore[arg-type]
    real = receiving._Receiver._place

    def collecting(self: Any) -> Any:
        b.gc(grace=0)
        return real(self)

    with monkeypatch.context() as patch:
        patch.setattr(receiving._Receiver, "_place", collecting)
        b.pull(a)
    assert b.load("origin/main")[1] == "one"
    b.gc(grace=0)
    b.verify()
