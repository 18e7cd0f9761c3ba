"""A save adds only what is new, whichever way the value came to be."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from pstructs import pmap, pset
from pstructs.cache import SnapshotStore

BASE = pmap({n: f"{n:020}" for n in range(20_000)})


def test_one_changed_key_adds_little(store: SnapshotStore) -> None:
    full = store.save(BASE).nbytes
    value = BASE
    for n in range(50):
        value = value.set(n * 7, "new")
        assert store.save(value).nbytes < full / 100
    assert store.load() == value
    assert store.load(1) == BASE


def test_a_loaded_value_is_saved_incrementally_in_any_handle(folder: Path) -> None:
    with SnapshotStore(folder) as store:
        full = store.save(BASE).nbytes
    for n in range(5):
        gc.collect()
        with SnapshotStore(folder) as store:
            value = store.load()
            assert store.save(value.set(n, "new")).nbytes < full / 100
    with SnapshotStore(folder) as store:
        assert dict(store.load()) == {**dict(BASE), **dict.fromkeys(range(5), "new")}
        assert store.verify().versions == 6


def test_an_unchanged_value_adds_almost_nothing(store: SnapshotStore) -> None:
    store.save(BASE)
    assert store.save(BASE).nbytes < 1000
    assert store.save(store.load(1)).nbytes < 1000
    assert store.load() == BASE


def test_what_two_heads_share_is_saved_once(store: SnapshotStore) -> None:
    full = store.save(BASE).nbytes
    assert store.save(BASE.set("x", 1), head="side").nbytes < full / 100
    assert store.save([BASE.set("y", 1), BASE.set("z", 1)], head="both").nbytes < full / 50
    left, right = store.load("both")
    assert left["y"] == right["z"] == 1
    assert left[5] == right[5] == BASE[5]


def test_nested_collections_are_saved_incrementally(store: SnapshotStore) -> None:
    value = pmap({"inner": BASE, "set": pset(range(5000))})
    full = store.save(value).nbytes
    later = value.set("inner", BASE.set(3, "new"))
    assert store.save(later).nbytes < full / 50
    assert store.load()["inner"][3] == "new"
    assert store.load() == later


def test_a_value_of_another_store_is_copied_whole(folder: Path, tmp_path: Path) -> None:
    with SnapshotStore(folder) as store, SnapshotStore(tmp_path / "b.store") as other:
        full = store.save(BASE).nbytes
        loaded = store.load().set("k", 1)
        assert other.save(loaded).nbytes > full * 0.9
        assert other.verify().packs == 1
        # and the first store still knows what it has
        assert store.save(loaded).nbytes < full / 100
        assert dict(store.load()) == dict(other.load()) == {**dict(BASE), "k": 1}


def test_many_versions_stay_readable_after_a_restart(folder: Path) -> None:
    value, model = BASE, {}
    with SnapshotStore(folder, durable="none") as store:
        store.save(value)
        for n in range(300):
            value = value.set(n % 97, n)
            model[store.save(value).number] = value
    del store
    gc.collect()
    with SnapshotStore(folder) as store:
        for number in (2, 150, 301):
            assert store.load(number) == model[number]
        assert store.diff(2, 301).changed.keys() == set(range(1, 97)) | {0}
        assert store.verify().packs == 301


@pytest.mark.parametrize("durable", ["commit", "none"])
def test_packs_are_shared_by_handles_and_let_go(folder: Path, durable: str) -> None:
    with SnapshotStore(folder, durable) as one, SnapshotStore(folder) as two:
        one.save(BASE)
        assert one._folder is two._folder
        first, second = one.load(), two.load()
        assert len(one._folder._packs) == 1
        assert first == second
        folder_seen = one._folder
    del first, second, one, two
    gc.collect()
    # BASE itself remembers where it was saved, which keeps that pack open
    assert len(folder_seen._packs) <= 1
