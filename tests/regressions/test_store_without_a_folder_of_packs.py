"""A crash between making the catalog and the folder of packs left a store that could not save."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("diskcache")

from pstructs import pmap
from pstructs.cache import SnapshotStore


def test_a_folder_of_packs_that_was_never_made_is_made_when_a_store_is_opened(
    tmp_path: Path,
) -> None:
    with SnapshotStore(tmp_path / "s") as store:
        store.save(pmap({"n": 1}))
    (tmp_path / "s" / "packs").rmdir()
    large = pmap({n: f"{n:020}" for n in range(4000)})
    with SnapshotStore(tmp_path / "s") as store:
        assert store.verify().versions == 1
        assert store.load(store.save(large)) == large


def test_all_folders_above_a_new_store_are_made(tmp_path: Path) -> None:
    with SnapshotStore(tmp_path / "a" / "b" / "s") as store:
        store.save(pmap({"n": 1}))
    assert (tmp_path / "a" / "b" / "s" / "packs").is_dir()
