"""Compressed packs: every operation goes on as before, whatever happens in the middle."""

from __future__ import annotations

import builtins
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pstructs import PMap, pmap
from pstructs.cache import SnapshotStore, recoding, squeezed
from pstructs.cache import folder as folders
from pstructs.cache.retention import keep
from pstructs.errors import PackError, StoreDamagedError, StoreError

pytest.importorskip("zstandard")

SIZE = 3000


def value(n: int) -> PMap[str, int]:
    return pmap({f"key {k}": n * k for k in range(SIZE)})


def fill(store: SnapshotStore, count: int = 3) -> list[Any]:
    """Save whole values, which share nothing, and an increment upon each."""
    made = []
    for n in range(1, count + 1):
        made.append(store.save(value(n)))
        made.append(store.save(store.load().set("more", n)))
    return made


def check(store: SnapshotStore, count: int = 3) -> None:
    """Every version of `fill` says what was saved."""
    for n in range(1, count + 1):
        assert store.load(2 * n - 1) == value(n)
        assert store.load(2 * n) == value(n).set("more", n)


def names(store: SnapshotStore) -> list[str]:
    return sorted(os.listdir(os.path.join(store.path, "packs")))


def compressed(store: SnapshotStore) -> int:
    return sum(name.endswith(".pack.zst") for name in names(store))


# ---- what it does
def test_compressed_versions_read_as_before_and_decompress_to_the_same_bytes(store) -> None:
    fill(store)
    packs = Path(store.path, "packs")
    before = {path.name: path.read_bytes() for path in packs.iterdir()}
    report = store.compress()
    assert (report.packs, compressed(store), len(names(store))) == (2, 2, 3)
    assert report.nbytes_after == sum(path.stat().st_size for path in packs.glob("*.zst"))
    assert report.nbytes_after < report.nbytes_before
    check(store)
    store.verify()
    with SnapshotStore(store.path) as other:
        check(other)
    assert store.compress().packs == 0
    assert store.decompress().packs == 2
    assert {path.name: path.read_bytes() for path in packs.iterdir()} == before
    store.verify()


def test_progress_is_told_for_each_pack(store) -> None:
    fill(store)
    told: list[tuple[int, int]] = []
    store.compress(progress=lambda *at: told.append(at))
    assert told == [(n, 4) for n in (1, 2, 3, 4)]  # two of them are rows, and stay so
    store.decompress(progress=lambda *at: told.append(at))
    assert told[4:] == [(1, 2), (2, 2)]


def test_what_was_compressed_before_an_interrupt_stays_so(store) -> None:
    def stop(done: int, total: int) -> None:
        if compressed(store):
            raise KeyboardInterrupt

    fill(store)
    with pytest.raises(KeyboardInterrupt):
        store.compress(progress=stop)
    assert compressed(store) == 1
    check(store)
    assert store.verify().unlisted == ()
    assert store.compress().packs == 1


def test_packs_that_heads_and_newer_versions_need_are_left_alone(store) -> None:
    fill(store)
    assert store.compress(older_than=timedelta(hours=1)).packs == 0
    assert store.compress(older_than=1).packs == 0
    assert store.compress(older_than=2).packs == 0  # 2 points into what 1 stands on
    assert store.compress(older_than=3).packs == 1
    store.save(store.load(3), head="kept")
    assert store.compress().packs == 0
    assert store.compress(older_than=timedelta(0)).packs == 0
    check(store)


def test_values_that_were_loaded_before_stay_readable(store) -> None:
    fill(store)
    old = store.load(1)
    store.compress()
    assert old == value(1)
    assert store.save(old.set("again", 1), head="side").number == 7
    assert store.load("side")["key 7"] == 7


def test_a_value_that_points_into_compressed_packs_is_saved_as_an_increment(folder) -> None:
    with SnapshotStore(folder) as store:
        fill(store)
        store.compress()
    with SnapshotStore(folder) as store:
        made = store.save(store.load(1).set("more", 9), head="side")
        assert made.nbytes < 10_000
        assert store.load("side") == value(1).set("more", 9)
        store.verify()


def test_wrong_arguments_are_refused(store) -> None:
    for level in (0, 23, -1):
        with pytest.raises(ValueError, match="1 to 22"):
            store.compress(level=level)
    with pytest.raises(TypeError, match="1 to 22"):
        store.compress(level=True)
    with pytest.raises(ValueError, match="older_than"):
        store.compress(older_than=timedelta(-1))


def test_without_the_package_the_error_names_the_extra(store, monkeypatch) -> None:
    fill(store)
    store.compress()
    plain = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name == "zstandard":
            raise ImportError(name)
        return plain(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ModuleNotFoundError, match=r"pstructs\[compress\]"):
        store.compress()
    with SnapshotStore(store.path) as other:
        other._folder.forget()
        with pytest.raises(ModuleNotFoundError, match=r"pstructs\[compress\]"):
            other.load(1)
        assert other.load(6) == value(3).set("more", 3)


# ---- together with everything else
def test_gc_removes_compressed_packs_and_counts_their_files(store) -> None:
    fill(store)
    store.compress()
    size = sum(path.stat().st_size for path in Path(store.path, "packs").glob("*.zst"))
    live = store.report().live
    assert live == sum(space.unique for space in store.report().heads.values())
    store.expire(keep(last=1))
    collected = store.gc()
    assert collected.nbytes > size and compressed(store) == 0 and len(names(store)) == 1
    assert store.report().live == live - collected.nbytes
    assert store.load() == value(3).set("more", 3)
    store.verify()


def test_compaction_and_archives_read_compressed_packs(store, tmp_path) -> None:
    fill(store)
    store.compress()
    store.archive([1], tmp_path / "cold.pack")
    store.attach_archive(tmp_path / "cold.pack")
    check(store)
    store.compact()
    store.gc()
    check(store)
    store.verify()


def test_erase_takes_a_key_out_of_compressed_packs(folder) -> None:
    with SnapshotStore(folder) as store:
        for n in range(3):
            store.save(value(n).set("secret name", f"secret value {n}"))
        assert store.compress().packs == 2
        report = store.erase("secret name")
        assert (report.versions, dict(report.traces)) == ((1, 2, 3), {})
        assert [store.load(n + 1) for n in range(3)] == [value(n) for n in range(3)]
        assert compressed(store) == 0
        store.verify()


def test_traces_of_erased_keys_are_found_in_compressed_files(folder) -> None:
    with SnapshotStore(folder) as store:
        store.save(value(1).set("secret name", 1))
        store.save(value(2))
        store.compress()
        (file,) = Path(store.path, "packs").glob("*.zst")
        left = file.read_bytes()
        stray = file.with_name("00" * 16 + ".pack.zst")
        stray.write_bytes(left)
        assert dict(store.erase("secret name").traces) == {f"packs/{stray.name}": 1}


def test_versions_in_compressed_packs_travel(store, tmp_path) -> None:
    fill(store)
    store.compress()
    with SnapshotStore(tmp_path / "b") as other:
        other.pull(store.path)
        check(other)
        other.verify()
    store.export_to(tmp_path / "all.export")
    with SnapshotStore(tmp_path / "c") as other:
        other.import_from(tmp_path / "all.export")
        check(other)
        other.compress()
        store.push(other.path)
        check(other)


def test_a_damaged_compressed_pack_is_repaired_from_another_store(store, tmp_path) -> None:
    fill(store)
    with SnapshotStore(tmp_path / "b") as other:
        other.pull(store.path)
        store.compress()
        hit = set()
        for file in Path(store.path, "packs").glob("*.zst"):
            hit.add(file.name.partition(".")[0])
            data = bytearray(file.read_bytes())
            data[len(data) // 2] ^= 4
            file.write_bytes(data)
        store._folder.forget()
        with pytest.raises(StoreDamagedError, match="damaged packs reach"):
            store.verify()
        report = store.repair(other.path)
        assert hit <= set(report.packs)
        assert (report.problems, compressed(store)) == ((), 0)
        check(store)
        assert store.verify().unlisted == ()
        assert store.compress().packs == 2


# ---- damage
def test_flipped_bits_in_compressed_files_are_never_answers(folder) -> None:
    flips = int(os.environ.get("PSTRUCTS_FLIPS", "300"))
    with SnapshotStore(folder) as store:
        fill(store, 2)
        assert store.compress().packs == 1
        (file,) = Path(store.path, "packs").glob("*.zst")
        data = file.read_bytes()
        refused = 0
        for n in range(flips):
            bit = n if n < 100 else n * 7919 % (8 * len(data))
            damaged = bytearray(data)
            damaged[bit // 8] ^= 1 << bit % 8
            file.write_bytes(damaged)
            store._folder.forget()
            try:
                assert store.load(1) == value(1)
            except (StoreError, PackError):
                refused += 1
        assert refused > flips * 0.95
        for cut in (b"", data[:3], data[:-1], data + b"x", data + data):
            file.write_bytes(cut)
            store._folder.forget()
            with pytest.raises(StoreDamagedError):
                store.load(1)
        file.write_bytes(data)
        check(store, 2)


def test_a_file_that_grows_without_end_is_refused_before_it_is_unpacked(folder) -> None:
    import zstandard

    with SnapshotStore(folder) as store:
        fill(store, 2)
        store.compress()
        (file,) = Path(store.path, "packs").glob("*.zst")
        bomb = bytes(100_000_000)
        file.write_bytes(zstandard.ZstdCompressor().compress(bomb))
        store._folder.forget()
        with pytest.raises(StoreDamagedError, match="100000000 bytes"):
            store.load(1)
        unsized = zstandard.ZstdCompressor(write_content_size=False).compress(bomb)
        file.write_bytes(unsized)
        with pytest.raises(StoreDamagedError, match="-1 bytes"):
            store.load(1)
        with pytest.raises(StoreDamagedError):
            store.verify()


# ---- in the middle
STEPS: list[tuple[Any, str]] = [
    (recoding, "claim"),
    (recoding, "_write"),
    (recoding, "unsqueeze"),
    (recoding, "settle"),
    (recoding, "_settle"),
    (recoding, "sync_folder"),
]


def broken(function: Callable[..., Any], before: bool, fail: Callable[[], None]) -> Any:
    def call(*args: Any, **named: Any) -> Any:
        if before:
            fail()
        result = function(*args, **named)
        fail()
        return result

    return call


def act(store: SnapshotStore, back: bool) -> None:
    if back:
        store.decompress()
    else:
        store.compress()


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(("module", "name"), STEPS)
def test_killed_at_any_step_all_versions_stay(folder, module, name, before, back) -> None:
    with SnapshotStore(folder) as store:
        fill(store)
        if back:
            store.compress()
    pid = os.fork()
    if pid == 0:
        try:
            with SnapshotStore(folder) as store:
                # the first pack goes through, the second does not
                calls = iter([0] if name != "sync_folder" else [])
                die = lambda: next(calls, 1) and os._exit(77)  # noqa: E731
                setattr(module, name, broken(getattr(module, name), before, die))
                act(store, back)
        finally:
            os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == (0 if back and name == "unsqueeze" else 77) or name == "unsqueeze"
    with SnapshotStore(folder) as store:
        assert len(names(store)) == 3
        check(store)
        assert store.verify().unlisted == ()
        assert not store._con().execute("SELECT * FROM pstructs_recoding").fetchall()
        act(store, back)
        assert compressed(store) == (0 if back else 2)
        check(store)


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("error", [OSError(28, "full"), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("name", ["claim", "_write", "squeeze", "_settle"])
def test_an_error_at_any_step_changes_nothing(
    store, monkeypatch, name, before, error, back
) -> None:
    fill(store)
    if back:
        store.compress()
    was = names(store)

    def fail() -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(recoding, name, broken(getattr(recoding, name), before, fail))
        if not (back and name == "squeeze"):
            with pytest.raises((StoreError, KeyboardInterrupt, MemoryError)):
                act(store, back)
    check(store)
    if name != "_settle" and not (back and name == "squeeze"):
        assert names(store) == was
    assert store.verify().unlisted == ()
    recoding.settle(store._folder, b"")
    act(store, back)
    check(store)


def test_a_reader_that_was_about_to_open_the_old_file_looks_again(folder, monkeypatch) -> None:
    with SnapshotStore(folder) as store:
        fill(store)
        where = folders.Folder.where

        def late(self: Any, key: bytes, con: Any = None) -> Any:
            found = where(self, key, con)
            with monkeypatch.context() as patch:
                patch.setattr(folders.Folder, "where", where)
                with ThreadPoolExecutor(1) as elsewhere:
                    elsewhere.submit(next(acts, lambda: None)).result()
            return found

        for act in (store.compress, store.decompress):
            acts = iter([act])
            store._folder.forget()
            monkeypatch.setattr(folders.Folder, "where", late)
            assert store.load(1) == value(1)
            monkeypatch.setattr(folders.Folder, "where", where)
        monkeypatch.undo()
        store.compress()
        with store._snapshot() as con:  # also within a transaction that sees the old row
            con.execute("SELECT count(*) FROM Cache").fetchone()
            with SnapshotStore(folder) as other:
                pid = os.fork()
                if pid == 0:
                    with SnapshotStore(folder) as child:
                        child.decompress()
                    os._exit(0)
                assert os.waitpid(pid, 0)[1] == 0
                other._folder.forget()
            assert store._folder.open_pack(bytes.fromhex(store._catalog.by_number(con, 1).pack))


def test_a_pack_that_is_collected_meanwhile_leaves_no_file(folder, monkeypatch) -> None:
    with SnapshotStore(folder) as store:
        fill(store)
        write = recoding._write

        def late(*args: Any) -> None:
            write(*args)
            con = sqlite3.connect(os.path.join(store.path, "cache.db"))
            with con:
                con.execute(
                    "DELETE FROM Cache WHERE key = ?",
                    (bytes.fromhex(os.path.basename(args[1]).partition(".")[0]),),
                )
            con.close()

        monkeypatch.setattr(recoding, "_write", late)
        assert store.compress().packs == 0
        assert len(names(store)) == 1


def test_what_squeeze_made_unsqueeze_gives_back(tmp_path) -> None:
    path = tmp_path / "a"
    for size in (1, 1000, 300_000):
        data = bytes(range(250)) * (size // 250 + 1)
        for level in (1, 3, 22):
            path.write_bytes(squeezed.squeeze(memoryview(data), level))
            assert squeezed.unsqueeze(squeezed.Squeezed(str(path), len(data))) == data
            for wrong in (len(data) - 1, len(data) + 1, 1 << 62):
                with pytest.raises(StoreDamagedError):
                    squeezed.unsqueeze(squeezed.Squeezed(str(path), wrong))
