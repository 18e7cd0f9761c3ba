"""Push and pull between stores: only what is missing, whole or not at all."""

from __future__ import annotations

import contextlib
import random
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pstructs import pmap
from pstructs.cache import SnapshotStore, receiving
from pstructs.errors import (
    DamagedExportError,
    HeadMovedError,
    MissingVersionError,
    StoreClosedError,
    StoreError,
)
from support.stores import BIG, SMALL, grown, same_versions, state, waiting


def test_a_pull_takes_what_is_missing_and_no_more(a: SnapshotStore, b: SnapshotStore) -> None:
    grown(a)
    assert b.pull(a).versions == 5
    a.save(a.load().set("new", 1))
    got = b.pull(a)
    assert (got.versions, got.packs) == (1, 1)
    assert got.nbytes < 4000
    again = b.pull(a)
    assert (again.versions, again.packs, again.nbytes, again.heads) == (0, 0, 0, {})
    assert same_versions(a, b)
    b.verify()


def test_a_push_moves_the_heads_of_the_other_store(a: SnapshotStore, b: SnapshotStore) -> None:
    grown(a)
    b.pull(a)
    a.push(b)
    assert b.version("main").id == a.version().id
    b.save(b.load().set("theirs", 1))
    a.save(a.load().set("ours", 1))
    before = state(b)
    with pytest.raises(HeadMovedError, match="merge the two"):
        a.push(b)
    assert {**state(b), "waiting": []} == before
    a.push(b, force=True)
    assert b.version("main").id == a.version().id


def test_a_pull_without_prefix_follows_and_never_overwrites(
    a: SnapshotStore, b: SnapshotStore
) -> None:
    a.save(SMALL)
    b.pull(a, prefix="")
    a.save(BIG)
    assert b.pull(a, prefix="").heads["main"].id == a.version().id
    b.save(SMALL)
    assert b.pull(a, prefix="").heads == {}
    a.save(SMALL)
    with pytest.raises(HeadMovedError):
        b.pull(a, prefix="")


def test_tracked_heads_are_not_sent_on(a: SnapshotStore, b: SnapshotStore, tmp_path: Path) -> None:
    a.save(SMALL)
    b.pull(a)
    b.save(BIG, head="mine")
    with SnapshotStore(tmp_path / "c") as c:
        c.pull(b)
        assert set(c.heads()) == {"origin/mine"}
        c.pull(b, heads="origin/main", prefix="")
        assert set(c.heads()) == {"origin/mine", "origin/main"}


def test_a_head_that_is_not_there_is_named(a: SnapshotStore, b: SnapshotStore) -> None:
    a.save(SMALL)
    for call in (lambda: b.pull(a, heads=["side"]), lambda: a.push(b, heads="side")):
        with pytest.raises(MissingVersionError, match="no head 'side', only 'main'"):
            call()


def test_a_path_names_a_store_and_a_push_makes_it(a: SnapshotStore, tmp_path: Path) -> None:
    grown(a).push(tmp_path / "new")
    with SnapshotStore(tmp_path / "new") as new:
        assert same_versions(a, new)
        new.save(SMALL, head="other")
    assert a.pull(str(tmp_path / "new")).versions == 1
    with pytest.raises(TypeError, match="a path or a URL"):
        a.pull(5)  # type: ignore[arg-type]


def test_what_is_damaged_over_there_does_not_get_here(tmp_path: Path, b: SnapshotStore) -> None:
    with SnapshotStore(tmp_path / "a") as a:
        a.save(BIG)
        (path,) = Path(a.path, "packs").iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    before = state(b)
    with SnapshotStore(tmp_path / "a") as a:
        with pytest.raises(DamagedExportError, match="is damaged"):
            b.pull(a)
        with pytest.raises(DamagedExportError, match="is damaged"):
            a.push(b)
    assert state(b) == before


def test_an_interrupted_pull_goes_on_where_it_was(
    a: SnapshotStore, b: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown(a)
    whole = sum(size for size in (v.nbytes for v in a.versions))
    before, real, calls = state(b), receiving.Incoming.add, [0]

    def stop(*args: Any) -> int:
        calls[0] += 1
        if calls[0] == 3:
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(receiving.Incoming, "add", stop)
        with pytest.raises(KeyboardInterrupt):
            b.pull(a)
    assert {**state(b), "waiting": []} == before
    assert len(waiting(b)) == 2
    got = b.pull(a)
    assert 0 < got.nbytes < whole / 10  # the large one was here
    assert waiting(b) == []
    assert same_versions(a, b)
    b.verify()


def test_what_waits_and_was_damaged_is_asked_for_again(
    a: SnapshotStore, b: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown(a)
    with monkeypatch.context() as patch:
        patch.setattr(receiving._Receiver, "_commit", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            b.pull(a)
    for name in waiting(b):
        path = Path(b.path, "incoming", name)
        path.write_bytes(path.read_bytes()[:-50])
    b.pull(a)
    assert same_versions(a, b)
    assert waiting(b) == []


STEPS = [
    (receiving.Incoming, "add"),
    (receiving.Incoming, "place"),
    (receiving, "plan"),
    (receiving, "check_id"),
    (receiving._Receiver, "_commit"),
    (receiving._Receiver, "_add"),
    (receiving._Receiver, "_move"),
]


@pytest.mark.parametrize(("where", "name"), STEPS, ids=[name for _, name in STEPS])
@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("push", [False, True], ids=["pull", "push"])
def test_a_transfer_that_is_interrupted_anywhere_leaves_both_stores_as_they_were(
    a: SnapshotStore,
    b: SnapshotStore,
    monkeypatch: pytest.MonkeyPatch,
    where: Any,
    name: str,
    after: int,
    push: bool,
) -> None:
    grown(a)
    a.save(BIG.set("more", 1), head="side")
    b.save(SMALL, head="mine")

    def transfer() -> None:
        if push:
            a.push(b)
        else:
            b.pull(a)

    before, calls, real = (state(a), state(b)), [0], getattr(where, name)

    def stop(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] > after:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(where, name, stop)
        try:
            transfer()
        except KeyboardInterrupt:
            assert (state(a), {**state(b), "waiting": []}) == before
        else:
            assert calls[0] <= after
    transfer()
    assert same_versions(a, b)
    assert waiting(b) == []
    b.verify()


def test_a_sync_that_fails_poisons_the_handle_that_receives(
    a: SnapshotStore, b: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    a.save(BIG)

    def fail(handle: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(receiving.os, "fsync", fail)
        with pytest.raises(StoreClosedError, match="could not confirm"):
            b.pull(a)
    with pytest.raises(StoreClosedError):
        b.save(SMALL)
    assert len(b.versions) == 0


def test_transfers_into_one_store_at_once_wait_for_each_other(
    a: SnapshotStore, b: SnapshotStore
) -> None:
    grown(a)
    errors: list[BaseException] = []

    def work(push: bool) -> None:
        try:
            a.push(b) if push else b.pull(a)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n % 2 == 0,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(b.versions) == 5
    b.verify()


def test_a_pack_that_a_sweep_took_for_a_dead_ones_makes_the_transfer_fail(
    a: SnapshotStore, b: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    a.save(BIG)
    real = receiving._Receiver._commit

    def swept(self: Any, *args: Any) -> Any:
        b._folder.con.execute("UPDATE pstructs_pending SET state = 1")
        return real(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(receiving._Receiver, "_commit", swept)
        with pytest.raises(StoreError, match="Start it again"):
            b.pull(a)
    assert len(b.versions) == 0
    b._folder.sweep()
    b.pull(a)
    assert same_versions(a, b)


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["save", "save", "undo", "pull", "pull", "push"]),
        st.integers(0, 2),
        st.integers(0, 2),
        st.integers(0, 400),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=25)
@given(operations=OPERATIONS)
def test_three_stores_of_any_history_converge(
    operations: list[tuple[str, int, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("three")
    stores = [SnapshotStore(folder / str(n), durable="none") for n in range(3)]
    values: list[Any] = [pmap(dict.fromkeys(range(0, 1500, n + 1), "v" * 20)) for n in range(3)]
    try:
        for operation, one, two, key in operations:
            own = f"head-{one}"
            if operation == "save":
                values[one] = values[one].set(key, random.Random(key).random())
                stores[one].save(values[one], head=own)
            elif operation == "undo" and own in stores[one].heads():
                with contextlib.suppress(MissingVersionError):  # back at the first one
                    stores[one].undo(own)
            elif operation == "pull" and one != two:
                stores[one].pull(stores[two])
            elif operation == "push" and one != two and own in stores[one].heads():
                stores[one].push(stores[two], heads=own, prefix="origin/")
        for _ in range(2):
            for one in stores:
                for two in stores:
                    if one is not two:
                        one.pull(two)
                        one.pull(
                            two,
                            heads=[h for h in two.heads() if h.startswith("origin/")],
                            prefix="",
                        )
        ids = [{version.id for version in store.versions} for store in stores]
        assert ids[0] == ids[1] == ids[2]
        for one in stores:
            assert same_versions(one, stores[0])
            one.verify()
            for n, two in enumerate(stores):
                own = f"head-{n}"
                if own in two.heads() and one is not two:
                    assert one.version(f"origin/{own}").id == two.version(own).id
    finally:
        for store in stores:
            store.close()
