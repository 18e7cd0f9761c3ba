"""Export files: what goes in comes out, and what is not right changes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import random
import struct
from pathlib import Path
from typing import Any

import pytest

from pstructs import pmap
from pstructs.cache import SnapshotStore, bundle, receiving
from pstructs.errors import (
    DamagedExportError,
    FutureStoreError,
    HeadMovedError,
    MissingBaseError,
    MissingVersionError,
    PstructsError,
    StoreDamagedError,
    StoreError,
    StorePathError,
    TagMovedError,
)
from support.stores import BIG, SMALL, grown, same_versions, state, tagged, waiting

FLIPS = int(os.environ.get("PSTRUCTS_EXPORT_FLIPS", "250"))


def test_a_whole_store_arrives_with_its_ids_and_values(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path
) -> None:
    grown(a)
    a.save(SMALL, head="side", message="é")
    sent = a.export_to(tmp_path / "x")
    got = b.import_from(tmp_path / "x")
    assert (sent.versions, sent.packs) == (got.versions, got.packs) == (6, 5)
    assert sent.nbytes == os.path.getsize(tmp_path / "x")
    assert same_versions(a, b)
    assert {n: v.id for n, v in b.heads().items()} == {
        f"origin/{n}": v.id for n, v in a.heads().items()
    }
    assert b.verify().versions == 6
    assert waiting(b) == []


def test_metadata_write_ids_and_tags_travel_along(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path
) -> None:
    version = a.save(SMALL, meta={"rows": 1, "by": ["ann", 2.5]}, write_id="load-1")
    tagged(a, "v1", "the first one")
    a.save(BIG)
    tagged(a, "v2", None)
    a.export_to(tmp_path / "x")
    a.export_to(tmp_path / "old", versions=version)
    b.import_from(tmp_path / "old")
    assert b._catalog.tag(b._con(), "v2") is None
    b.import_from(tmp_path / "x")
    there = b.version(version.id)
    assert (there.meta, there.write_id) == (version.meta, "load-1")
    assert b.load("v1") == SMALL
    assert b._catalog.tag(b._con(), "v1").message == "the first one"
    assert b.load("v2") == BIG
    b.verify()


def test_a_tag_that_names_something_else_here_is_not_moved(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path
) -> None:
    a.save(SMALL)
    tagged(a, "v1", None)
    a.export_to(tmp_path / "x")
    b.save(BIG)
    tagged(b, "v1", None)
    before = state(b)
    with pytest.raises(TagMovedError, match="'v1' names version 1 here"):
        b.import_from(tmp_path / "x")
    assert state(b) == before


def test_a_write_id_that_is_used_here_stays_with_the_version_here(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path
) -> None:
    theirs = a.save(SMALL, write_id="load-1")
    ours = b.save(BIG, write_id="load-1")
    a.export_to(tmp_path / "x")
    b.import_from(tmp_path / "x")
    assert b.version(theirs.id).write_id is None
    assert b.save(BIG, write_id="load-1") == ours
    b.verify()


def test_a_second_import_takes_in_nothing(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path
) -> None:
    grown(a).export_to(tmp_path / "x")
    b.import_from(tmp_path / "x")
    before = state(b)
    got = b.import_from(tmp_path / "x")
    assert (got.versions, got.packs, got.heads) == (0, 0, {})
    assert state(b) == before


def test_what_came_in_is_saved_on_incrementally(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path
) -> None:
    a.save(BIG)
    a.export_to(tmp_path / "x")
    b.import_from(tmp_path / "x", heads={"main": "main"})
    version = b.save(b.load().set(5, "five"))
    assert version.nbytes < a.version().nbytes / 20
    assert version.parents == (a.version().id,)


def test_a_delta_is_small_and_goes_on_top_of_what_it_names(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path
) -> None:
    grown(a).export_to(tmp_path / "x")
    b.import_from(tmp_path / "x")
    seen = a.version()
    a.save(a.load().set("new", 1))
    sent = a.export_to(tmp_path / "y", since=seen)
    assert (sent.versions, sent.packs) == (1, 1)
    assert sent.nbytes < os.path.getsize(tmp_path / "x") / 20
    got = b.import_from(tmp_path / "y")
    assert got.heads["origin/main"].id == a.version().id
    assert b.load("origin/main") == a.load()
    b.verify()


def test_a_delta_without_its_base_says_what_it_needs(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path
) -> None:
    seen = grown(a).version()
    a.save(a.load().set("new", 1))
    a.export_to(tmp_path / "y", since=seen)
    before = state(b)
    with pytest.raises(MissingBaseError, match="nothing was imported") as caught:
        b.import_from(tmp_path / "y")
    assert seen.id in caught.value.missing
    assert state(b) == before


def test_a_range_of_versions_is_what_was_asked_for(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path
) -> None:
    grown(a)
    sent = a.export_to(tmp_path / "x", versions=2)
    assert sent.versions == 2
    got = b.import_from(tmp_path / "x")
    assert got.heads == {}
    assert b.load(a.version(2).id) == a.load(2)
    assert b.verify().packs == 2


def test_an_export_of_nothing_can_be_imported(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path
) -> None:
    assert a.export_to(tmp_path / "x").versions == 0
    assert b.import_from(tmp_path / "x").versions == 0


def test_a_file_that_is_there_is_not_replaced_unless_asked(
    a: SnapshotStore, tmp_path: Path
) -> None:
    a.save(SMALL)
    (tmp_path / "x").write_text("mine")
    with pytest.raises(StorePathError, match="there already"):
        a.export_to(tmp_path / "x")
    assert (tmp_path / "x").read_text() == "mine"
    a.export_to(tmp_path / "x", overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["a", "x"]


def test_paths_that_can_not_be_read_or_written_are_named(a: SnapshotStore, tmp_path: Path) -> None:
    with pytest.raises(StorePathError, match="can't be written"):
        a.export_to(tmp_path / "no" / "x")
    with pytest.raises(StorePathError, match="can't be read"):
        a.import_from(tmp_path / "no" / "x")


def test_a_head_that_is_elsewhere_is_not_overwritten(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path
) -> None:
    a.save(SMALL)
    a.export_to(tmp_path / "x")
    b.save(BIG)
    before = state(b)
    with pytest.raises(HeadMovedError, match="'main' is at"):
        b.import_from(tmp_path / "x", prefix="")
    assert state(b) == before
    b.import_from(tmp_path / "x", prefix="", force=True)
    assert b.load() == SMALL
    b.verify()


def test_a_head_that_is_further_on_stays(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path
) -> None:
    a.save(SMALL)
    a.export_to(tmp_path / "old")
    a.save(BIG)
    a.export_to(tmp_path / "new")
    b.import_from(tmp_path / "new", prefix="")
    assert b.import_from(tmp_path / "old", prefix="").heads == {}
    assert b.load() == BIG


def test_heads_that_are_not_in_the_file_are_an_error(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path
) -> None:
    a.save(SMALL)
    a.export_to(tmp_path / "x")
    with pytest.raises(MissingVersionError, match="no head 'side'"):
        b.import_from(tmp_path / "x", heads={"side": "side"})


def test_a_damaged_pack_is_not_exported(a: SnapshotStore, tmp_path: Path) -> None:
    a.save(BIG)
    (name,) = os.listdir(Path(a.path, "packs"))
    path = Path(a.path, "packs", name)
    a.close()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with SnapshotStore(a.path) as again, pytest.raises((StoreDamagedError, PstructsError)):
        again.export_to(tmp_path / "x")
    assert not (tmp_path / "x").exists()


# ---- files that are not as they were written


def test_flipped_bits_and_cut_ends_are_refused(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path
) -> None:
    value = pmap(dict.fromkeys(range(20), "x" * 10))
    a.save(value)
    a.save(value.set(3, "y"))
    a.export_to(tmp_path / "x")
    good = (tmp_path / "x").read_bytes()
    b.save(SMALL)
    before = state(b)
    rng = random.Random(20261124)
    bad: list[bytes] = [good[:n] for n in (0, 1, 8, len(good) // 2, len(good) - 1)]
    bad += [good[: rng.randrange(len(good))] for _ in range(FLIPS // 10)]
    bad += [good + b"\0", good + good]
    for _ in range(FLIPS):
        data = bytearray(good)
        for _ in range(rng.choice([1, 1, 2, 8])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        bad.append(bytes(data))
    for data in bad:
        if data == good:
            continue
        (tmp_path / "y").write_bytes(data)
        with pytest.raises((DamagedExportError, FutureStoreError)):
            b.import_from(tmp_path / "y")
    assert state(b) == before


class Parts:
    """An export file taken apart, to be put together with right digests."""

    def __init__(self, path: Path) -> None:
        data, at = path.read_bytes(), len(bundle.MAGIC)
        self.parts: list[tuple[bytes, bytes]] = []
        while at < len(data):
            kind, length = struct.unpack_from("<4sQ", data, at)
            self.parts.append((kind, data[at + 12 : at + 12 + length]))
            at += 12 + length + 16

    def only(self, kind: bytes) -> int:
        (place,) = [i for i, part in enumerate(self.parts) if part[0] == kind]
        return place

    def write(self, path: Path) -> None:
        def digest(data: bytes) -> bytes:
            return hashlib.blake2b(data, digest_size=16, person=b"pstructs-export").digest()

        out = bundle.MAGIC
        for kind, payload in self.parts:
            body = digest(out) if kind == bundle.END else payload
            part = struct.pack("<4sQ", kind, len(body)) + body
            out += part + digest(part)
        path.write_bytes(out)


def edited(parts: Parts, kind: bytes, edit: Any) -> None:
    place = parts.only(kind)
    parts.parts[place] = (kind, edit(parts.parts[place][1]))


def row(change: dict[str, Any]) -> Any:
    def edit(text: bytes) -> bytes:
        lines = text.splitlines()
        lines[-1] = json.dumps({**json.loads(lines[-1]), **change}).encode()
        return b"\n".join(lines) + b"\n"

    return edit


def head(change: dict[str, Any]) -> Any:
    return lambda text: json.dumps({**json.loads(text), **change}).encode()


@pytest.mark.parametrize(
    ("kind", "edit"),
    [
        (bundle.ROWS, row({"message": "another"})),
        (bundle.ROWS, row({"time": 5})),
        (bundle.ROWS, row({"root": "0" * 32})),
        (bundle.ROWS, row({"pack": "0" * 32})),
        (bundle.ROWS, row({"parents": ["0" * 32]})),
        (bundle.ROWS, row({"parents": "0" * 32})),
        (bundle.ROWS, row({"id": "zz"})),
        (bundle.ROWS, row({"head": "a b"})),
        (bundle.ROWS, row({"message": "\ud800"})),
        (bundle.ROWS, row({"entries": -1})),
        (bundle.ROWS, row({"nbytes": True})),
        (bundle.ROWS, row({"more": 1})),
        (bundle.ROWS, row({"meta": "c1"})),
        (bundle.ROWS, row({"meta": "81c0c0"})),  # a key that is no str
        (bundle.ROWS, row({"meta": "dfffffffff"})),
        (bundle.ROWS, row({"meta": "8"})),
        (bundle.ROWS, row({"write_id": 5})),
        (bundle.ROWS, lambda text: b"[" * 100_000),
        (bundle.ROWS, lambda text: b"1" * 100_000),
        (bundle.ROWS, lambda text: b"\xff\xfe"),
        (bundle.HEAD, head({"heads": {"main": "0" * 32}})),
        (bundle.HEAD, head({"heads": {"a b": "0" * 32}})),
        (bundle.HEAD, head({"heads": []})),
        (bundle.HEAD, head({"needs": {}})),
        (bundle.HEAD, head({"needs": {"versions": [1], "packs": []}})),
        (bundle.HEAD, head({"tags": {"a b": ["0" * 32, None]}})),
        (bundle.HEAD, head({"tags": {"a": "0" * 32}})),
        (bundle.HEAD, head({"format": "1"})),
        (bundle.HEAD, lambda text: b"{}"),
        (bundle.PACK, lambda pack: pack[:-1]),
        (bundle.PACK, lambda pack: b""),
        (bundle.PACK, lambda pack: pack[:40] + bytes([pack[40] ^ 1]) + pack[41:]),
        (bundle.PACK, lambda pack: pack[:28] + b"\xff\xff\0\0" + pack[32:]),
    ],
)
def test_a_made_up_file_with_right_digests_is_refused(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path, kind: bytes, edit: Any
) -> None:
    a.save(SMALL, message="one")
    a.export_to(tmp_path / "x")
    parts = Parts(tmp_path / "x")
    edited(parts, kind, edit)
    parts.write(tmp_path / "y")
    b.save(BIG)
    before = state(b)
    with pytest.raises((DamagedExportError, MissingBaseError)):
        b.import_from(tmp_path / "y")
    assert state(b) == before


def test_a_file_of_a_later_format_is_told_from_a_damaged_one(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path
) -> None:
    a.save(SMALL)
    a.export_to(tmp_path / "x")
    parts = Parts(tmp_path / "x")
    edited(parts, bundle.HEAD, head({"format": 2}))
    parts.write(tmp_path / "y")
    with pytest.raises(FutureStoreError, match="update pstructs"):
        b.import_from(tmp_path / "y")


def test_packs_in_another_order_and_packs_of_no_version_do_no_harm(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path
) -> None:
    grown(a)
    a.export_to(tmp_path / "x")
    a.save(SMALL, head="side")
    a.export_to(tmp_path / "more", versions="side")
    parts, more = Parts(tmp_path / "x"), Parts(tmp_path / "more")
    packs = [part for part in parts.parts if part[0] == bundle.PACK]
    packs.append(more.parts[more.only(bundle.PACK)])
    rest = [part for part in parts.parts[1:] if part[0] != bundle.PACK]
    parts.parts = [parts.parts[0], *reversed(packs), *rest]
    parts.write(tmp_path / "y")
    b.import_from(tmp_path / "y")
    assert b.verify().packs == len(packs) - 1


def test_a_pack_that_lies_with_right_checksums_is_refused(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path
) -> None:
    """Another store's pack of the same uuid: every part of the file is sound in itself."""
    from pstructs.packs import PackWriter

    version = a.save(SMALL)
    a.export_to(tmp_path / "x")
    parts = Parts(tmp_path / "x")
    other = PackWriter(pmap({"n": 2}), uuid=bytes.fromhex(version.pack))
    edited(parts, bundle.PACK, lambda _: bytes(other.image))
    parts.write(tmp_path / "y")
    before = state(b)
    with pytest.raises(DamagedExportError, match="names the root"):
        b.import_from(tmp_path / "y")
    assert state(b) == before


def test_a_pack_with_the_uuid_of_one_that_is_here_changes_nothing_here(
    a: SnapshotStore, b: SnapshotStore, tmp_path: Path
) -> None:
    from pstructs.packs import PackWriter

    version = a.save(SMALL)
    a.export_to(tmp_path / "x")
    b.import_from(tmp_path / "x")
    evil = PackWriter(pmap({"n": 2}), uuid=bytes.fromhex(version.pack))
    with SnapshotStore(tmp_path / "c") as c:
        c.save(pmap({"n": 2}))
        c.export_to(tmp_path / "z")
    parts = Parts(tmp_path / "z")
    edited(parts, bundle.PACK, lambda _: bytes(evil.image))
    parts.write(tmp_path / "y")
    with pytest.raises((DamagedExportError, MissingBaseError)):
        b.import_from(tmp_path / "y")
    assert b.load(version.id) == SMALL
    assert b.verify().versions == 1


# ---- interruption

STEPS = [
    (receiving.Incoming, "add"),
    (receiving.Incoming, "place"),
    (receiving, "plan"),
    (receiving, "sync_folder"),
    (receiving, "check_id"),
    (receiving._Receiver, "_commit"),
    (receiving._Receiver, "_add"),
    (receiving._Receiver, "_move"),
]


@pytest.mark.parametrize(("where", "name"), STEPS, ids=[name for _, name in STEPS])
@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, OSError, StoreError])
def test_an_import_that_is_interrupted_anywhere_leaves_the_store_as_it_was(
    a: SnapshotStore,
    b: SnapshotStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: Any,
    name: str,
    after: int,
    kind: type[BaseException],
) -> None:
    grown(a)
    a.save(BIG.set("more", 1), head="side")
    a.export_to(tmp_path / "x")
    b.save(SMALL)
    before, calls, real = state(b), [0], getattr(where, name)

    def stop(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] > after:
            raise kind("stop")
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(where, name, stop)
        try:
            b.import_from(tmp_path / "x")
        except (KeyboardInterrupt, StoreError):
            assert state(b) == before
        else:
            assert calls[0] <= after  # this step happens less often
    b.import_from(tmp_path / "x")
    assert same_versions(a, b)
    b.verify()


def test_an_export_that_is_interrupted_leaves_no_file(
    a: SnapshotStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown(a)
    for after in range(12):
        calls, real = [0], bundle._Writer.write

        def stop(self: Any, data: bytes, calls: list[int] = calls, after: int = after) -> None:
            calls[0] += 1
            if calls[0] > after:
                raise KeyboardInterrupt
            real(self, data)

        with monkeypatch.context() as patch:
            patch.setattr(bundle._Writer, "write", stop)
            with pytest.raises(KeyboardInterrupt):
                a.export_to(tmp_path / "x")
        assert sorted(os.listdir(tmp_path)) == ["a"]
