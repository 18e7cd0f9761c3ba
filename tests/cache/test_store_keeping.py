"""Expiry, pins, holds and collection, in one process."""

from __future__ import annotations

import gc
import os
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pstructs
from pstructs import pmap
from pstructs.cache import SnapshotStore
from pstructs.cache.retention import KeepLast, KeepPeriods, KeepWithin, keep
from pstructs.errors import (
    ExpiredVersionError,
    MissingVersionError,
    StoreClosedError,
    StoreDamagedError,
)

MANY = {n: f"{n:030}" for n in range(3000)}  # a pack of this is a file


def files(store: SnapshotStore) -> set[str]:
    return set(os.listdir(os.path.join(store.path, "packs")))


def unrelated(store: SnapshotStore, count: int, head: str = "main") -> list[Any]:
    """Save versions that share nothing, each with a file of its own."""
    values = [pmap({k: f"{n} {v}" for k, v in MANY.items()}) for n in range(count)]
    for value in values:
        store.save(value, head=head)
    return [dict(value) for value in values]


# ---------------------------------------------------------------- expiry


def test_an_expired_version_says_when_and_why_and_stays_in_the_log(store: SnapshotStore) -> None:
    for n in range(4):
        store.save(pmap({"n": n}))
    report = store.expire(keep(last=2))
    assert [version.number for version in report.expired] == [1, 2]
    with pytest.raises(ExpiredVersionError, match=r"version 1 .*\(not among: last 2\)"):
        store.load(1)
    assert [version.number for version in store.log()] == [4, 3, 2, 1]
    assert store.version(1).number == 1
    assert [store.load(n)["n"] for n in (3, 4)] == [2, 3]
    assert store.verify().versions == 4


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_a_dry_run_is_the_real_run(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    folder = tmp_path_factory.mktemp("s")
    with SnapshotStore(folder, durable="none") as store:
        heads = data.draw(st.lists(st.sampled_from(["main", "side", "x"]), min_size=1, max_size=9))
        for n, head in enumerate(heads):
            store.save(pmap({"n": n}), head=head)
        for number in data.draw(st.sets(st.integers(1, len(heads)), max_size=3)):
            data.draw(st.sampled_from([store.pin, store.hold]))(number, "why")
        policy = data.draw(
            st.one_of(
                st.builds(KeepLast, st.integers(0, 4)),
                st.builds(KeepPeriods, st.just("hour"), st.integers(0, 2)),
                st.builds(KeepWithin, st.timedeltas(timedelta(0), timedelta(seconds=1))),
            )
        )
        head = data.draw(st.sampled_from([None, *heads]))
        now = store.versions[-1].time + data.draw(st.integers(0, 10**9))
        loadable = list(store.versions)
        dry = store.expire(policy, dry_run=True, head=head, now=now)
        assert [store.load(v)["n"] for v in loadable] == [v.number - 1 for v in loadable]
        real = store.expire(policy, head=head, now=now)
        assert dry == real
        gone = {v.number for v in real.expired}
        assert gone | real.kept.keys() == {v.number for v in loadable}
        assert not gone & real.kept.keys()
        for version in loadable:
            if version.number in gone:
                with pytest.raises(ExpiredVersionError):
                    store.load(version)
            else:
                store.load(version)
        assert store.expire(policy, head=head, now=now).expired == ()


def test_heads_pins_and_holds_stay_whatever_the_policy(store: SnapshotStore) -> None:
    for n in range(5):
        store.save(pmap({"n": n}), head="main" if n < 4 else "side")
    store.pin(1, "release")
    store.hold("2", "case 7")
    assert [str(mark) for mark in store.pins] == ["pinned as 'release'", "held by 'case 7'"]
    report = store.expire(KeepLast(0))
    assert [version.number for version in report.expired] == [3]
    assert report.kept == {
        1: "pinned as 'release'",
        2: "held by 'case 7'",
        4: "head 'main'",
        5: "head 'side'",
    }
    store.unpin(1, "release")
    store.release_hold(2, "case 7")
    assert [version.number for version in store.expire(KeepLast(0)).expired] == [1, 2]


def test_policies_judge_each_head_by_itself(store: SnapshotStore) -> None:
    for n in range(6):
        store.save(pmap({"n": n}), head=["main", "side"][n % 2])
    report = store.expire(keep(last=2), dry_run=True)
    assert [version.number for version in report.expired] == [1, 2]
    report = store.expire(keep(last=2), head="side")
    assert [version.number for version in report.expired] == [2]
    assert report.kept[1] == "saved to head 'main'"


def test_pins_are_for_versions_that_are_there(store: SnapshotStore) -> None:
    store.save(pmap({"n": 1}))
    store.save(pmap({"n": 2}))
    store.expire(keep(last=1))
    with pytest.raises(ExpiredVersionError):
        store.pin(1, "late")
    with pytest.raises(MissingVersionError, match="neither pinned nor held"):
        store.unpin(2, "never")
    with pytest.raises(MissingVersionError, match="no head 'mian'"):
        store.expire(keep(last=1), head="mian")
    with pytest.raises(ValueError, match="printable"):
        store.pin(2, "")
    with pytest.raises(TypeError, match="Policy"):
        store.expire(3)  # type: ignore[arg-type]


def test_undo_does_not_bring_back_an_expired_value(store: SnapshotStore) -> None:
    for n in range(3):
        store.save(pmap({"n": n}))
    store.expire(keep(last=1))
    with pytest.raises(ExpiredVersionError):
        store.undo()
    assert store.load()["n"] == 2


def test_a_value_that_an_undo_brought_back_outlives_its_first_version(
    store: SnapshotStore,
) -> None:
    values = unrelated(store, 2)
    store.undo()
    store.expire(KeepLast(1))
    store.gc()
    assert dict(store.load()) == values[0]
    store.save(pmap({"n": 1}))
    assert store.undo().number == 5
    assert dict(store.load()) == values[0]
    store.verify()


# ---------------------------------------------------------------- collection


def test_gc_removes_what_no_version_needs(store: SnapshotStore) -> None:
    values = unrelated(store, 4)
    assert len(files(store)) == 4
    store.expire(keep(last=2))
    report = store.gc()
    assert (report.retired, report.removed, report.waiting) == (2, 2, 0)
    assert report.nbytes > 2 * 30 * len(MANY)
    assert len(files(store)) == 2
    assert [dict(store.load(n)) for n in (3, 4)] == values[2:]
    assert store.gc().retired == 0
    assert store.verify().unlisted == ()


def test_gc_keeps_the_old_packs_that_new_versions_stand_on(store: SnapshotStore) -> None:
    value = pmap(MANY)
    store.save(value)
    for n in range(20):
        value = value.set(n, "new")
        store.save(value)
    store.expire(keep(last=1))
    store.gc()
    assert store.load() == value
    store.verify()


def test_grace_is_counted_in_versions(store: SnapshotStore) -> None:
    unrelated(store, 2)
    store.expire(keep(last=1))
    assert store.gc(grace=2).waiting == 1
    store.save(pmap({"n": 1}))
    assert store.gc(grace=2).removed == 0
    store.save(pmap({"n": 2}))
    assert store.gc(grace=2).removed == 1
    with pytest.raises(ValueError, match="grace"):
        store.gc(grace=-1)


def test_a_loaded_value_stays_readable_and_keeps_what_it_needs(store: SnapshotStore) -> None:
    values = unrelated(store, 1)
    base = store.load(1)
    store.save(base.set("x", 1))
    store.save(pmap({"n": 1}))
    del base
    gc.collect()
    loaded = store.load(2)  # its pack points into that of version 1, which is not open
    store.expire(keep(last=1))
    report = store.gc()
    assert report.retired == 2 and report.waiting == 2
    assert report.readers, "it says who needs them"
    assert dict(loaded) == {**values[0], "x": 1}
    del loaded
    gc.collect()
    assert store.gc().removed == 2
    assert files(store) == set()


def test_a_value_outlives_the_handle_and_the_collection(folder: Path) -> None:
    store = SnapshotStore(folder)
    values = unrelated(store, 2)
    store.save(store.load(1).set("x", 1), head="side")
    store.save(pmap(), head="side")
    loaded = store.load(3)
    store.close()
    with SnapshotStore(folder) as other:
        other.expire(KeepLast(0))
        assert other.gc().waiting == 2
    assert dict(loaded) == {**values[0], "x": 1}


def test_a_save_from_a_retired_version_is_written_whole(store: SnapshotStore) -> None:
    """The classic way to lose data: a new pack that points into one that is being collected."""
    values = unrelated(store, 1)
    loaded = store.load(1)
    store.save(pmap({"n": 1}))
    store.expire(keep(last=1))
    assert store.gc().retired == 1
    version = store.save(loaded.set("x", 1))
    assert version.nbytes > 30 * len(MANY), "nothing of the retired pack was pointed into"
    del loaded
    gc.collect()
    assert store.gc().removed == 1
    assert dict(store.load()) == {**values[0], "x": 1}
    smaller = store.save(store.load().set("y", 2))
    assert smaller.nbytes < 5000
    store.verify()


@pytest.mark.parametrize("many", [True, False], ids=["file", "row"])
def test_packs_retired_between_encoding_and_commit_are_not_pointed_into(
    store: SnapshotStore, monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    contents: dict[Any, Any] = MANY if many else {n: n for n in range(500)}
    store.save(pmap(contents))
    loaded = store.load(1)
    store.save(pmap({"n": 1}))
    save, calls = store._committer.save, []

    def late(*args: Any) -> Any:
        if not calls:  # the pack is encoded; now the ground goes
            store.expire(keep(last=1))
            assert store.gc().retired == 1
        calls.append(args[0][0].imports)
        return save(*args)

    monkeypatch.setattr(store._committer, "save", late)
    store.save(loaded.set("x", 1))
    assert [len(imports) for imports in calls] == [1, 0]
    del loaded
    gc.collect()
    assert store.gc().removed == 1
    assert dict(store.load()) == {**contents, "x": 1}
    assert store.verify().unlisted == ()


def test_gc_collects_nothing_when_a_needed_pack_is_damaged(store: SnapshotStore) -> None:
    unrelated(store, 3)
    store.expire(keep(last=2))
    name = f"{store.version(3).pack}.pack"
    path = Path(store.path, "packs", name)
    path.write_bytes(b"\0" * 100)
    before = files(store)
    with pytest.raises(StoreDamagedError, match="nothing was collected"):
        store.gc()
    assert files(store) == before


def test_a_file_whose_removal_was_interrupted_is_removed_at_the_next_opening(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SnapshotStore(folder) as store:
        unrelated(store, 2)
        store.expire(keep(last=1))

        def die(*args: object, **kwargs: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("pstructs.cache.collecting.finish", die)
        with pytest.raises(KeyboardInterrupt):
            store.gc()
        assert len(files(store)) == 2
        assert store.verify().unlisted == (), "the journal knows of it"
    monkeypatch.undo()
    with SnapshotStore(folder) as store:
        assert len(files(store)) == 1
        assert store.verify().unlisted == ()
        with closing(sqlite3.connect(folder / "cache.db")) as con:
            assert con.execute("SELECT count(*) FROM pstructs_retired").fetchone() == (0,)


def test_closed_handles_keep_nothing(folder: Path) -> None:
    store = SnapshotStore(folder)
    store.close()
    assert os.listdir(folder / "leases") == []
    for call in (store.gc, lambda: store.expire(keep(last=1)), lambda: store.pin(1, "x")):
        with pytest.raises(StoreClosedError):
            call()


CHANGES = [
    "UPDATE pstructs_expired SET reason = 'x'",
    "UPDATE pstructs_pin SET number = 3",
    "UPDATE pstructs_retired SET epoch = 0",
    "UPDATE pstructs_epoch SET epoch = 0",
]


@pytest.mark.parametrize("change", CHANGES)
def test_changed_rows_are_told_and_collect_nothing(folder: Path, change: str) -> None:
    with SnapshotStore(folder) as store:
        unrelated(store, 4)
        store.pin(4, "x")
        store.expire(keep(last=1))
        store.gc(grace=9)
    with closing(sqlite3.connect(folder / "cache.db")) as con, con:
        assert con.execute(change).rowcount
    with pytest.raises(StoreDamagedError), SnapshotStore(folder) as store:
        store.verify()
    with pytest.raises(StoreDamagedError), SnapshotStore(folder) as store:
        store.expire(keep(last=1))
        store.gc()
    assert len(os.listdir(folder / "packs")) == 4


# ---------------------------------------------------------------- compaction


def chain(store: SnapshotStore, count: int) -> list[dict[Any, Any]]:
    """Save a history of one-key changes to a large map."""
    value = pmap(MANY)
    contents = []
    for n in range(count):
        value = value.set(n, f"new {n}")
        store.save(value)
        contents.append(dict(value))
    return contents


def folder_bytes(store: SnapshotStore) -> int:
    return sum(path.stat().st_size for path in Path(store.path, "packs").iterdir())


def test_compaction_keeps_versions_ids_and_sharing(store: SnapshotStore) -> None:
    contents = chain(store, 40)
    before = [(v.number, v.id, v.root, v.time) for v in store.versions]
    store.expire(keep(last=20))
    report = store.compact()
    assert (report.versions, report.left) == (20, 0)
    assert (report.packs_before, report.packs_after) == (40, 21)
    assert report.retired == 40
    assert [(v.number, v.id, v.root, v.time) for v in store.versions] == before
    gc.collect()
    assert store.gc().removed == 40
    assert folder_bytes(store) < 1.5 * 40 * len(MANY), "what 20 versions share is there once"
    for version, content in list(zip(store.versions, contents, strict=True))[20:]:
        assert dict(store.load(version)) == content
    assert store.verify().versions == 40


def test_a_value_loaded_before_a_compaction_can_be_read_and_saved(store: SnapshotStore) -> None:
    contents = chain(store, 10)
    gc.collect()
    loaded = store.load(5)
    store.compact()
    assert store.gc().removed == 0
    assert dict(loaded) == contents[4]
    assert dict(store.load(store.save(loaded.set("x", 1)))) == {**contents[4], "x": 1}
    del loaded
    gc.collect()
    assert store.gc().removed == 10
    store.verify()


def test_compaction_can_leave_large_packs_where_they_are(store: SnapshotStore) -> None:
    contents = chain(store, 30)
    large = files(store)
    assert len(large) == 1
    report = store.compact(keep_above=32768)
    gc.collect()
    assert (report.packs_before, report.packs_after) == (30, 31 + 1)
    assert report.nbytes_after < report.nbytes_before
    store.gc()
    assert files(store) == large
    assert [dict(store.load(v)) for v in store.versions] == contents
    store.verify()


ODD = {
    "scalar": 3,
    "none": None,
    "text": "x" * 50_000,
    "list": [1, [2, pmap({"a": 1})]],
    "nested": pmap({"a": pmap({"b": pmap({n: n for n in range(100)})})}),
    "plain": {"a": [pmap({"x": 1})] * 3, "b": (1, 2)},
}


def test_compaction_moves_every_kind_of_value(store: SnapshotStore) -> None:
    from pstructs import dq, pset, psortedmap, v

    values = {
        **ODD,
        "set": pset(range(500)),
        "vector": v(*range(500), pset([1])),
        "sorted": psortedmap({n: str(n) for n in range(400)}),
        "deque": dq(1, 2, 3),
    }
    for name, value in values.items():
        store.save(value, head=name)
    store.save(pmap({"n": 1}), head="undone")
    store.save(pmap({"n": 2}), head="undone")
    store.undo("undone")
    roots = {name: version.root for name, version in store.heads().items()}
    report = store.compact()
    assert (report.left, report.versions) == (0, len(store.versions))
    gc.collect()
    store.gc()
    for name, value in values.items():
        assert store.load(name) == value
    assert store.load("undone") == pmap({"n": 1})
    assert {name: version.root for name, version in store.heads().items()} == roots
    store.verify()


def test_versions_saved_during_a_compaction_stay_where_they_are(
    store: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pstructs.cache.compacting as compacting

    contents = chain(store, 6)
    real, late = compacting.add, store.load().set("late", 1)

    def slow(*args: Any) -> Any:
        store.save(late)
        store.expire(keep(last=4))
        return real(*args)

    monkeypatch.setattr(compacting, "add", slow)
    report = store.compact()
    assert (report.versions, report.left) == (3, 3)
    monkeypatch.undo()
    assert dict(store.load()) == {**contents[-1], "late": 1}
    assert [dict(store.load(n)) for n in (4, 5, 6)] == contents[3:]
    assert store.compact().versions == 4
    store.verify()


def test_an_empty_store_is_compact(store: SnapshotStore) -> None:
    assert store.compact().versions == 0
    with pytest.raises(ValueError, match="bytes"):
        store.compact(keep_above=-1)


# ---------------------------------------------------------------- report


def test_the_report_adds_up(store: SnapshotStore) -> None:
    unrelated(store, 3, head="side")
    chain(store, 20)
    store.undo()
    report = store.report()
    sizes = {v.number: v.nbytes for v in store.versions}
    assert report.live == sum(sizes.values())
    assert (report.dead, report.retired, report.live_packs) == (0, 0, 23)
    assert report.versions[1].unique == sizes[1] and report.versions[1].shared == 0
    # 23 points into what was saved before it; nothing but 24, which has its value, needs 24
    assert report.versions[22] == report.versions[24], "an undo stands on the same packs"
    assert report.versions[23].unique == sizes[23]
    assert report.heads["side"].unique == sizes[1] + sizes[2] + sizes[3]
    assert report.heads["main"].unique == report.live - report.heads["side"].unique
    store.expire(keep(last=1))
    report = store.report()
    assert report.dead > 2 * 30 * len(MANY)
    assert sorted(report.versions) == [3, 24]
    before = report.live + report.dead
    store.gc(grace=100)
    report = store.report()
    assert (report.dead, report.live + report.retired) == (0, before)
    gc.collect()
    store.gc()
    assert store.report().retired == 0


@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_unique_bytes_are_what_expiry_gives_back(
    tmp_path_factory: pytest.TempPathFactory, data: Any
) -> None:
    with SnapshotStore(tmp_path_factory.mktemp("s"), durable="none") as store:
        value = pmap({n: n for n in range(300)})
        for _ in range(data.draw(st.integers(2, 12))):
            if data.draw(st.booleans()) and len(store.versions):
                value = store.load(data.draw(st.integers(1, len(store.versions))))
            value = value.set(data.draw(st.integers(0, 300)), data.draw(st.text(max_size=300)))
            store.save(value)
        before = store.report()
        number = data.draw(st.integers(1, len(store.versions) - 1))
        for other in range(1, len(store.versions) + 1):
            if other != number:
                store.pin(other, "x")
        assert [v.number for v in store.expire(KeepLast(0)).expired] == [number]
        after = store.report()
        assert after.live == before.live - before.versions[number].unique


# ---------------------------------------------------------------- names and histories


def test_an_expired_version_gets_no_new_names(store: SnapshotStore) -> None:
    for n in range(3):
        store.save(pmap({"n": n}))
    store.tag("kept", 1)
    store.expire(keep(last=1))
    assert store.load("kept")["n"] == 0
    for call in (store.branch, store.tag):
        with pytest.raises(ExpiredVersionError):
            call("x", 2)
    assert list(store.heads()) == ["main"] and list(store.tags()) == ["kept"]


def test_histories_pass_over_expired_versions(store: SnapshotStore) -> None:
    value = pmap({"a": 0, "b": 0})
    for n in range(1, 7):
        value = value.set("a", n) if n % 2 else value.set("b", n)
        store.save(value)
    store.pin(1, "x")
    store.pin(4, "x")
    store.expire(keep(last=1))
    assert [(c.version.number, c.old, c.new) for c in store.history("a")] == [
        (6, 3, 5),
        (4, 1, 3),
        (1, pstructs.ABSENT, 1),
    ]
    assert {key: v.number for key, v in store.blame_keys().items()} == {"a": 6, "b": 6}
