"""Packs that were retired here, and are needed again by versions that come from elsewhere."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path

import pytest

from pstructs import pmap
from pstructs.cache import SnapshotStore
from pstructs.cache.retention import KeepLast
from pstructs.errors import ExpiredVersionError

MANY = {n: f"{n:030}" for n in range(3000)}


def two_stores(tmp_path: Path) -> tuple[SnapshotStore, SnapshotStore]:
    """Two stores with the same large version; the second has one more on top of it."""
    one, two = tmp_path / "one", tmp_path / "two"
    with SnapshotStore(one) as store:
        store.save(pmap(MANY))
    gc.collect()
    with SnapshotStore(two) as store:
        store.pull(os.fspath(one))
        store.save(store.load("origin/main").set("x", 1), head="later")
    gc.collect()
    return SnapshotStore(one), SnapshotStore(two)


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_transfer_brings_retired_packs_back_to_use(
    tmp_path: Path, interrupted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = two_stores(tmp_path)
    with one, two:
        one.save(pmap({"n": 1}))
        one.expire(KeepLast(0))
        gc.collect()
        if interrupted:
            monkeypatch.setattr("pstructs.cache.collecting.finish", lambda *a, **k: None)
            assert one.gc().removed == 1, "its file is still there"
            monkeypatch.undo()
        else:
            assert one.gc(grace=100).retired == 1
        one.pull(two.path)
        gc.collect()
        one.gc()
        names = [name for name in one.heads() if name.endswith("later")]
        assert len(names) == 1
        assert dict(one.load(names[0])) == {**MANY, "x": 1}
        assert one.verify().unlisted == ()
    shutil.rmtree(tmp_path / "two")


def test_expired_versions_are_not_exported(tmp_path: Path) -> None:
    with SnapshotStore(tmp_path / "one") as store:
        store.save(pmap({"n": 1}))
        store.save(pmap({"n": 2}))
        store.expire(KeepLast(1))
        with pytest.raises(ExpiredVersionError, match="version 1"):
            store.export_to(tmp_path / "all.pstructs")
        assert not (tmp_path / "all.pstructs").exists()
