"""What the folder of a `DiskTier` withstands: rot, strangers, crashes, other handles."""

from __future__ import annotations

import logging
import os
import random
import sqlite3
import time
from pathlib import Path

import pytest

from pstructs import pmap
from pstructs.cache import DiskTier, Entry, SnapshotStore, digest
from pstructs.cache.marks import ALL
from pstructs.errors import DamagedPackError, StoreClosedError, StorePathError

KEY, OTHER = digest("key"), digest("other")
SMALL = {"a": (1, 2.5), "b": "text"}
LARGE = pmap({f"key {n}": n for n in range(3000)})
FLIPS = int(os.environ.get("PSTRUCTS_FLIPS", "300"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results"


def files(path: Path) -> list[Path]:
    return sorted((path / "results").iterdir())


def test_results_outlive_the_handle(path: Path) -> None:
    tier = DiskTier(path)
    expires = time.time() + 1000
    tier.put(KEY, Entry.of(SMALL, expires=expires, tags=("x", "ü\x1f")))
    tier.put(OTHER, Entry.of(["E", [1]], failure=True))
    tier.close()
    again = DiskTier(path)
    found, failed = again.get(KEY), again.get(OTHER)
    assert found is not None
    assert failed is not None
    assert (found.value(), found.expires, found.tags) == (SMALL, expires, ("x", "ü\x1f"))
    assert (found.failure, failed.failure) == (False, True)
    assert again.invalidate("ü\x1f") == 1


def test_a_large_result_is_mapped_and_outlives_its_eviction(path: Path) -> None:
    tier = DiskTier(path)
    tier.put(KEY, Entry.of(LARGE))
    value = tier.get(KEY).value()  # type: ignore[union-attr]
    assert value["key 7"] == 7
    assert len(files(path)) == 1
    tier.clear()
    assert files(path) == []
    assert value == LARGE


def test_a_replaced_result_leaves_no_file(path: Path) -> None:
    tier = DiskTier(path)
    for n in range(3):
        tier.put(KEY, Entry.of(LARGE.set("key 1", n)))
        assert len(files(path)) == 1
    tier.put(KEY, Entry.of(1))
    assert files(path) == []


@pytest.mark.parametrize("value", [SMALL, LARGE], ids=["row", "file"])
def test_a_flipped_bit_is_a_miss_with_a_warning_and_never_a_wrong_answer(
    path: Path, caplog: pytest.LogCaptureFixture, value: object
) -> None:
    """Bits of rows and files are flipped where SQLite itself does not look."""
    caplog.set_level(logging.WARNING)
    tier = DiskTier(path)
    drawn = random.Random(7)
    for _ in range(FLIPS):
        tier.put(KEY, Entry.of(value, expires=2e9, tags=("t",)))
        con = tier._cache._con
        if files(path):
            file = files(path)[0]
            data = bytearray(file.read_bytes())
            data[drawn.randrange(len(data))] ^= 1 << drawn.randrange(8)
            file.write_bytes(data)
        else:
            column = drawn.choice(["value", "tag"])
            ((blob,),) = con.execute(f"SELECT {column} FROM Cache")
            data = bytearray(blob)
            data[drawn.randrange(len(data))] ^= 1 << drawn.randrange(8)
            con.execute(f"UPDATE Cache SET {column} = ?", (bytes(data),))
        caplog.clear()
        assert tier.get(KEY) is None
        assert "damaged" in caplog.text
        assert not tier.contains(KEY)  # and can be computed again
    assert tier.info().errors == FLIPS


def test_the_row_of_one_key_under_another_is_a_miss(path: Path) -> None:
    tier = DiskTier(path)
    tier.put(KEY, Entry.of(1))
    tier._cache._con.execute("UPDATE Cache SET key = ?", (bytes(OTHER),))
    assert tier.get(OTHER) is None
    assert tier.info().errors == 1


@pytest.mark.parametrize("size", [0, 50, 4096, 40_000])
def test_a_file_that_was_cut_short_is_a_miss(path: Path, size: int) -> None:
    tier = DiskTier(path)
    tier.put(KEY, Entry.of(LARGE))
    os.truncate(files(path)[0], size)
    assert tier.get(KEY) is None


def test_a_file_that_was_removed_is_a_miss(path: Path) -> None:
    tier = DiskTier(path)
    tier.put(KEY, Entry.of(LARGE))
    files(path)[0].unlink()
    assert tier.get(KEY) is None
    assert tier.put(KEY, Entry.of(LARGE))
    assert tier.get(KEY) is not None


def test_without_verify_damage_is_found_when_it_is_read(path: Path) -> None:
    tier = DiskTier(path, verify=False)
    tier.put(KEY, Entry.of(LARGE))
    data = bytearray(files(path)[0].read_bytes())
    for place in range(200, len(data) - 4000, 100):
        data[place] ^= 1
    files(path)[0].write_bytes(data)
    with pytest.raises(DamagedPackError):
        dict(tier.get(KEY).value())  # type: ignore[union-attr]


def test_a_pickled_row_is_a_miss(path: Path) -> None:
    tier = DiskTier(path)
    tier.put(KEY, Entry.of(1))
    tier._cache._con.execute("UPDATE Cache SET mode = 4")
    assert tier.get(KEY) is None


@pytest.mark.parametrize("name", ["../../etc/passwd", "results/../x.pack", "/etc/passwd", 7])
def test_a_row_can_not_name_a_file_elsewhere(path: Path, name: object) -> None:
    tier = DiskTier(path)
    tier.put(KEY, Entry.of(LARGE))
    tier._cache._con.execute("UPDATE Cache SET filename = ?", (name,))
    assert tier.get(KEY) is None


@pytest.mark.parametrize("damage", ["noise", "cut", "empty"])
def test_a_database_beyond_reading_is_made_anew(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    tier = DiskTier(path)
    tier.put(KEY, Entry.of(1))
    holder = tier.epoch
    tier.close()
    database = path / "cache.db"
    data = database.read_bytes()
    database.write_bytes({"noise": b"\x55" * len(data), "cut": data[:700], "empty": b""}[damage])
    again = DiskTier(path)
    assert again.get(KEY) is None
    assert again.put(KEY, Entry.of(2))
    assert again.marks_since(holder)[1] == [ALL]  # others drop their copies
    assert damage == "empty" or "thrown away" in caplog.text


def test_a_database_that_is_damaged_while_open_is_a_miss(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tier = DiskTier(path)
    for n in range(200):
        tier.put(digest(n), Entry.of("x" * 2000))
    tier._cache.close()
    with sqlite3.connect(path / "cache.db") as con:
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    con.close()
    data = bytearray((path / "cache.db").read_bytes())
    data[4096 * 8 :] = os.urandom(len(data) - 4096 * 8)
    (path / "cache.db").write_bytes(data)
    found = [tier.get(digest(n)) for n in range(200)]
    assert None in found
    assert {entry.value() for entry in found if entry is not None} <= {"x" * 2000}
    assert "malformed" in caplog.text


def test_the_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with SnapshotStore(tmp_path / "store") as store:
        store.save(pmap({1: 2}))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    (tmp_path / "file").write_text("")
    for name in ("store", "mine", "file"):
        with pytest.raises(StorePathError):
            DiskTier(tmp_path / name)
    with SnapshotStore(tmp_path / "store") as store:
        assert store.load() == {1: 2}
    assert os.listdir(tmp_path / "mine") == ["letter.txt"]


def test_a_store_refuses_the_folder_of_a_disk_tier(path: Path) -> None:
    DiskTier(path).close()
    with pytest.raises(StorePathError):
        SnapshotStore(path)


def test_files_that_a_killed_writer_left_are_swept_after_an_hour(path: Path) -> None:
    DiskTier(path).close()
    old, new = (path / "results" / f"{c * 32}.pack" for c in "ab")
    for file in (old, new):
        file.write_bytes(b"x")
    os.utime(old, (time.time() - 4000,) * 2)
    DiskTier(path).close()
    assert files(path) == [new]


def test_handles_see_each_others_results_invalidations_and_claims(path: Path) -> None:
    one, two = DiskTier(path), DiskTier(path)
    one.put(KEY, Entry.of(1, tags=("t",)))
    assert two.get(KEY).value() == 1  # type: ignore[union-attr]
    before = two.epoch
    one.invalidate("t")
    assert two.epoch != before
    assert two.marks_since(before) == (one.epoch, [b"tt"])
    assert two.get(KEY) is None
    assert one.claim(KEY)
    assert not two.claim(KEY)
    assert two.claim(OTHER)
    one.release(KEY)
    assert two.claim(KEY)
    two.close()
    assert one.claim(KEY)


def test_a_closed_tier_says_so(path: Path) -> None:
    tier = DiskTier(path)
    tier.close()
    tier.close()
    for use in (lambda: tier.get(KEY), lambda: tier.epoch, tier.clear, tier.info):
        with pytest.raises(StoreClosedError, match="closed"):
            use()


def test_a_limit_below_a_megabyte_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="limit"):
        DiskTier(path, 1000)


def test_a_full_disk_is_a_logged_miss(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tier = DiskTier(path)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tier._disk, "store", refuse)
    assert not tier.put(KEY, Entry.of(LARGE))
    assert "No space left" in caplog.text
    assert tier.info().errors == 1
