"""Push and pull through folders on other filesystems."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fsspec")

from pstructs import pmap
from pstructs.cache import RemoteFolder, SnapshotStore, remote
from pstructs.errors import (
    DamagedExportError,
    FutureStoreError,
    HeadMovedError,
    MissingVersionError,
    StoreDamagedError,
    StoreError,
    TagMovedError,
)
from support.stores import BIG, SMALL, grown, same_versions, state, tagged, waiting

_names = itertools.count()


@pytest.fixture(params=["memory", "file"])
def url(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    return (
        f"memory://remote-{next(_names)}" if request.param == "memory" else f"file://{tmp_path}/r"
    )


def names(there: RemoteFolder) -> list[str]:
    return sorted(path.removeprefix(there.path).lstrip("/") for path in there.fs.find(there.path))


def test_versions_go_through_a_remote_folder(a: SnapshotStore, b: SnapshotStore, url: str) -> None:
    grown(a)
    assert a.push(url).versions == 5
    got = b.pull(url)
    assert (got.versions, got.packs) == (5, 4)
    assert same_versions(a, b)
    assert b.version("origin/main").id == a.version().id
    b.verify()
    assert (a.push(url).versions, b.pull(url).versions) == (0, 0)


def test_only_what_is_missing_is_sent(a: SnapshotStore, b: SnapshotStore, url: str) -> None:
    grown(a)
    a.push(url)
    b.pull(url)
    there = RemoteFolder(url)
    before = names(there)
    a.save(a.load().set("new", 1))
    sent = a.push(there)
    assert (sent.versions, sent.packs) == (1, 1)
    new = set(names(there)) - set(before)
    assert len(new) == 2  # a pack and its row
    assert sent.nbytes < 6000
    got = b.pull(url)
    assert (got.versions, got.packs) == (1, 1)


def test_tags_go_along_and_do_not_move(a: SnapshotStore, b: SnapshotStore, url: str) -> None:
    a.save(SMALL)
    a.push(url)
    tagged(a, "v1", "é")
    a.push(url)
    b.pull(url)
    assert b.load("v1") == SMALL
    b.save(BIG, head="side")
    tagged(b, "v2", None, head="side")
    b.push(url)
    a.save(BIG)
    tagged(a, "v2", None)
    with pytest.raises(TagMovedError, match="'v2'"):
        a.push(url)
    with pytest.raises(TagMovedError, match="'v2'"):
        a.pull(url)


def test_two_writers_meet_in_a_remote_folder(a: SnapshotStore, b: SnapshotStore, url: str) -> None:
    a.save(SMALL)
    a.push(url)
    b.pull(url, prefix="")
    b.save(b.load().set("b", 1))
    b.push(url)
    a.save(a.load().set("a", 1))
    there = RemoteFolder(url)
    before = there.fs.cat(f"{there.path}/index.json")
    with pytest.raises(HeadMovedError, match="Pull, merge"):
        a.push(url)
    assert there.fs.cat(f"{there.path}/index.json") == before
    a.pull(url)
    assert a.load("origin/main") == {"n": 1, "b": 1}
    a.push(url, force=True)
    assert there.heads() == {"main": a.version().id}


def test_an_older_head_does_not_move_a_newer_one_back(
    a: SnapshotStore, b: SnapshotStore, url: str
) -> None:
    a.save(SMALL)
    b.pull(a, prefix="")
    b.save(BIG)
    b.push(url)
    a.pull(url)
    assert a.push(url, heads="main").heads == {}
    assert RemoteFolder(url).heads()["main"] == b.version().id


def test_many_pushes_leave_few_row_objects(a: SnapshotStore, b: SnapshotStore, url: str) -> None:
    value = SMALL
    for n in range(40):
        value = value.set(n, n)
        a.save(value)
        a.push(url)
    there = RemoteFolder(url)
    assert len(json.loads(there.fs.cat(f"{there.path}/index.json"))["rows"]) <= 8
    b.pull(url)
    assert same_versions(a, b)


def test_a_push_that_somebody_else_overtook_is_made_again(
    a: SnapshotStore, b: SnapshotStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    a.save(SMALL, head="ours")
    b.save(BIG, head="theirs")
    real, once = RemoteFolder._upload, []

    def overtaken(self: RemoteFolder, *args: Any) -> int:
        if not once:
            once.append(1)
            b.push(url)
        return real(self, *args)

    monkeypatch.setattr(RemoteFolder, "_upload", overtaken)
    a.push(url)
    assert set(RemoteFolder(url).heads()) == {"ours", "theirs"}


def test_a_push_that_is_overtaken_again_and_again_gives_up(
    a: SnapshotStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    a.save(SMALL)
    monkeypatch.setattr(RemoteFolder, "_try", lambda *_: None)
    with pytest.raises(HeadMovedError, match="Try again"):
        a.push(url)


@pytest.mark.parametrize("after", range(9))
def test_an_interrupted_push_leaves_the_remote_heads_and_goes_on(
    a: SnapshotStore, b: SnapshotStore, url: str, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    a.save(SMALL)
    a.push(url)
    grown(a)
    heads, before, real, calls = RemoteFolder(url).heads(), state(a), RemoteFolder._write, [0]

    def stop(self: RemoteFolder, name: str, chunks: Any) -> None:
        calls[0] += 1
        if calls[0] > after:
            raise KeyboardInterrupt
        real(self, name, chunks)

    interrupted = False
    with monkeypatch.context() as patch:
        patch.setattr(RemoteFolder, "_write", stop)
        try:
            a.push(url)
        except KeyboardInterrupt:
            interrupted = True
    assert state(a) == before
    assert interrupted == (after < 6)  # four packs, the rows, the index
    if interrupted:
        assert RemoteFolder(url).heads() == heads
    sent = a.push(url)
    if 0 < after < 6:
        assert sent.nbytes < a.version(2).nbytes  # the large pack was there
    b.pull(url)
    assert same_versions(a, b)


def test_a_write_that_fails_leaves_no_half_object(
    a: SnapshotStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a.save(BIG)

    def cut(self: Any, uuid: bytes) -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    monkeypatch.setattr(remote.StoreSource, "chunks", cut)
    with pytest.raises(KeyboardInterrupt):
        a.push(f"file://{tmp_path}/r")
    assert [path for path in (tmp_path / "r").rglob("*") if path.is_file()] == []


def test_an_interrupted_pull_from_a_remote_folder_goes_on(
    a: SnapshotStore, b: SnapshotStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown(a)
    a.push(url)
    before, real, calls = state(b), RemoteFolder.chunks, [0]

    def stop(self: RemoteFolder, *args: Any) -> Iterator[bytes]:
        calls[0] += 1
        if calls[0] > 2:
            raise OSError("the line is down")
        return real(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(RemoteFolder, "chunks", stop)
        with pytest.raises(StoreError, match="the line is down"):
            b.pull(url)
    assert {**state(b), "waiting": []} == before
    assert len(waiting(b)) == 2
    got = b.pull(url)
    assert got.nbytes < 10_000
    assert same_versions(a, b)


@pytest.mark.parametrize("name", ["index.json", "rows", "packs"])
def test_what_is_damaged_in_a_remote_folder_is_refused(
    a: SnapshotStore, b: SnapshotStore, url: str, name: str
) -> None:
    grown(a)
    a.push(url)
    there = RemoteFolder(url)
    before = state(b)
    for path in [p for p in there.fs.find(there.path) if name in p]:
        good = there.fs.cat_file(path)
        for data in (good[:-3], good[: len(good) // 2] + b"?" + good[len(good) // 2 + 1 :], b""):
            with there.fs.open(path, "wb") as out:
                out.write(data)
            with pytest.raises((DamagedExportError, FutureStoreError)):
                b.pull(url)
            assert {**state(b), "waiting": []} == before
        there.fs.rm(path)
        if name != "index.json":
            with pytest.raises(StoreError):
                b.pull(url)
            for waits in waiting(b):  # else these would not be asked for again
                Path(b.path, "incoming", waits).unlink()
        with there.fs.open(path, "wb") as out:
            out.write(good)
    b.pull(url)
    assert same_versions(a, b)


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b"[" * 10_000,
        b"{}",
        b'{"format": 1, "heads": {}, "rows": [1], "sum": "x"}',
        b'{"format": 1, "heads": [], "rows": [], "sum": 1}',
    ],
)
def test_an_index_that_was_made_up_is_refused(b: SnapshotStore, url: str, text: bytes) -> None:
    there = RemoteFolder(url)
    there._write("index.json", [text])
    with pytest.raises(DamagedExportError):
        b.pull(url)


def test_an_index_of_a_later_format_is_told(b: SnapshotStore, url: str) -> None:
    RemoteFolder(url)._write("index.json", [b'{"format": 9}'])
    with pytest.raises(FutureStoreError, match="update pstructs"):
        b.pull(url)


def test_heads_that_a_remote_folder_lacks_are_named(b: SnapshotStore, url: str) -> None:
    assert b.pull(url).versions == 0
    with pytest.raises(MissingVersionError, match="an empty folder"):
        b.pull(url, heads="main")


def test_a_damaged_pack_is_not_pushed(tmp_path: Path, url: str) -> None:
    with SnapshotStore(tmp_path / "a") as a:
        a.save(BIG)
        (path,) = Path(a.path, "packs").iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    with SnapshotStore(tmp_path / "a") as a, pytest.raises((StoreDamagedError, ValueError)):
        a.push(url)
    assert RemoteFolder(url).heads() == {}


def test_an_undo_to_another_heads_version_brings_that_along(
    a: SnapshotStore, b: SnapshotStore, url: str
) -> None:
    a.save(SMALL, head="side")
    a.save(pmap({"main": 1}))
    a.undo("main", to="side")
    a.push(url, heads="main")
    b.pull(url)
    assert b.load("origin/main") == SMALL
    assert len(b.versions) == 3
    b.verify()
