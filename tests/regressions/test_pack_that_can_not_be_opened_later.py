"""A disk that failed when a lookup opened one more pack raised a bare OSError."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

pytest.importorskip("diskcache")

from pstructs import pmap
from pstructs.cache import SnapshotStore, trouble
from pstructs.errors import StoreError


def test_a_pack_that_a_lookup_can_not_open_is_an_error_of_the_store(tmp_path: Path) -> None:
    base = pmap({n: f"{n:016}" for n in range(4000)})
    with SnapshotStore(tmp_path / "s") as store:
        store.save(base)
        store.save(base.set(1, "one"))
    del base
    with SnapshotStore(tmp_path / "s") as store:
        value = store.load(2)
        (pack,) = (tmp_path / "s" / "packs").iterdir()
        pack.rename(tmp_path / "away")
        os.symlink(pack, pack)  # a loop: opening it is ELOOP, for root as well
        with pytest.raises(StoreError, match="the disk refused"):
            dict(value)
        pack.unlink()
        (tmp_path / "away").rename(pack)
        assert len(dict(value)) == 4000


def test_a_failing_read_of_the_catalog_is_no_damage() -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR | 33 << 8  # CORRUPTFS, which has no name here
    error.sqlite_errorname = "unknown"
    assert type(trouble.from_sqlite("/s", error)) is StoreError
