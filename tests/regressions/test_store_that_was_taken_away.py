"""A store whose folder was removed or replaced while it was open acknowledged versions.

SQLite commits into a file that has no name any more, so `save` returned a version that nobody
could ever load; a large pack went into the folder of the store that had taken its place.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pstructs import pmap
from pstructs.cache import SnapshotStore
from pstructs.errors import StorePathError

SMALL, LARGE = pmap({"a": 1}), pmap(dict.fromkeys(range(5000), "x" * 20))


@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.save(SMALL.set("a", 3)),
        lambda store: store.save(LARGE),
        lambda store: store.undo(),
    ],
    ids=["small", "large", "undo"],
)
def test_nothing_is_saved_into_a_store_that_is_gone(
    write: Callable[[SnapshotStore], object], tmp_path: Path
) -> None:
    path, aside = tmp_path / "store", tmp_path / "aside"
    with SnapshotStore(path) as store:
        store.save(SMALL)
        store.save(SMALL.set("a", 2))
        path.rename(aside)
        with pytest.raises(StorePathError, match="removed while it was open"):
            write(store)
        with SnapshotStore(path) as other:
            with pytest.raises(StorePathError, match="replaced by another one"):
                write(store)
            assert len(other.versions) == 0
            assert other.verify().unlisted == ()
        shutil.rmtree(path)
        aside.rename(path)
        write(store)
        assert len(store.versions) == 3
        assert store.verify().unlisted == ()


def test_message_that_no_catalog_can_hold_is_refused_with_nothing_saved(tmp_path: Path) -> None:
    with SnapshotStore(tmp_path / "store") as store:
        for value in (SMALL, LARGE):
            with pytest.raises(ValueError, match="lone surrogates"):
                store.save(value, message="\udc80")
        assert len(store.versions) == 0 and store.verify().unlisted == ()
