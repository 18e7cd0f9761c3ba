"""The disk of the store holds raw bytes, whatever lies in its table."""

from __future__ import annotations

import os
import pickle
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import diskcache
import pytest

from pstructs import pmap
from pstructs.cache import SnapshotStore
from pstructs.cache.disk import ROW_LIMIT, RawDisk
from pstructs.errors import StoreDamagedError

KEY = bytes(range(16))


class Bomb:
    """Its pickle makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[diskcache.Cache]:
    (tmp_path / "packs").mkdir()
    with diskcache.Cache(tmp_path, disk=RawDisk, eviction_policy="none") as opened:
        yield opened


@pytest.mark.parametrize("size", [0, 1, ROW_LIMIT - 1, ROW_LIMIT, 3 * ROW_LIMIT + 1])
def test_bytes_come_back(cache: diskcache.Cache, tmp_path: Path, size: int) -> None:
    value = os.urandom(size)
    cache.set(KEY, value)
    assert cache.get(KEY) == value
    assert (tmp_path / "packs" / f"{KEY.hex()}.pack").exists() == (size >= ROW_LIMIT)
    with cache.get(KEY, read=True) if size >= ROW_LIMIT else open(os.devnull, "rb") as file:
        assert file.read() == (value if size >= ROW_LIMIT else b"")
    assert list(cache) == [KEY]
    cache.delete(KEY)
    assert os.listdir(tmp_path / "packs") == []


def test_any_buffer_of_bytes_can_be_stored(cache: diskcache.Cache) -> None:
    for value in (bytearray(b"abc"), memoryview(b"abc"), bytearray(b"abc" * ROW_LIMIT)):
        cache.set(KEY, value)
        assert cache.get(KEY) == bytes(value)
        cache.delete(KEY)


@pytest.mark.parametrize("value", ["text", 7, 1.5, None, [b"x"], {"a": 1}, "x" * 100_000])
def test_anything_but_bytes_is_refused(cache: diskcache.Cache, value: object) -> None:
    with pytest.raises(TypeError, match="bytes only"):
        cache.set(KEY, value)
    assert len(cache) == 0


@pytest.mark.parametrize("key", ["text", 7, b"short", b"x" * 17, (1, 2), None, bytearray(16)])
def test_keys_are_uuids_of_packs(cache: diskcache.Cache, key: object) -> None:
    with pytest.raises(TypeError, match="keys are the 16 bytes"):
        cache.set(key, b"x")


def test_open_files_are_refused(cache: diskcache.Cache, tmp_path: Path) -> None:
    with open(tmp_path / "cache.db", "rb") as file, pytest.raises(TypeError, match="open files"):
        cache.set(KEY, file, read=True)


@pytest.mark.parametrize("mode", [0, 2, 3, 4, 5, None, "1"])
@pytest.mark.parametrize("as_file", [False, True])
def test_rows_of_other_kinds_are_refused_and_never_unpickled(
    cache: diskcache.Cache, tmp_path: Path, mode: object, as_file: bool
) -> None:
    bomb = pickle.dumps(Bomb(tmp_path / "boom"))
    name = f"packs/{'0' * 32}.pack"
    (tmp_path / name).write_bytes(bomb)
    disk: RawDisk = cache.disk
    if as_file and mode == 2:
        assert disk.fetch(mode, name, None, False) == bomb  # a pack's file is bytes like any
        name = "../" + name
    with pytest.raises(StoreDamagedError):
        disk.fetch(mode, name if as_file else None, None if as_file else bomb, False)
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "packs/../x.pack", "x", 7])
def test_files_outside_their_place_are_refused(cache: diskcache.Cache, name: Any) -> None:
    with pytest.raises(StoreDamagedError):
        cache.disk.fetch(2, name, None, False)


def test_pickled_keys_are_refused(cache: diskcache.Cache, tmp_path: Path) -> None:
    with pytest.raises(StoreDamagedError, match="nothing was unpickled"):
        cache.disk.get(pickle.dumps(Bomb(tmp_path / "boom")), 0)
    assert not (tmp_path / "boom").exists()


def test_a_store_with_a_pickled_row_refuses_it(tmp_path: Path) -> None:
    with SnapshotStore(tmp_path / "s") as store:
        version = store.save(pmap({"n": 1}))
    bomb = pickle.dumps(Bomb(tmp_path / "boom"))
    with closing(sqlite3.connect(tmp_path / "s" / "cache.db")) as con, con:
        con.execute("UPDATE Cache SET mode = 4, value = ?", (bomb,))
    with SnapshotStore(tmp_path / "s") as store:
        with pytest.raises(StoreDamagedError, match="nothing was unpickled"):
            store.load(version)
        with pytest.raises(StoreDamagedError):
            store.verify()
    assert not (tmp_path / "boom").exists()
