"""Saving, loading, naming and undoing versions."""

from __future__ import annotations

import pickle
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import pstructs
from pstructs import pmap, pset
from pstructs.cache import SnapshotStore, Version
from pstructs.errors import (
    HeadMovedError,
    MissingVersionError,
    StoreClosedError,
    StoreError,
    UnsavableError,
)

VALUES: list[Any] = [
    pmap(),
    pmap({"a": 1, "b": [1, 2.5, None], "c": {"d": b"x"}}),
    pset(["x", 7, (1, 2)]),
    pmap({n: str(n) for n in range(5000)}),
    pmap({"inner": pmap({n: n for n in range(100)}), "s": pset([1, 2])}),
    [pmap({"a": 1}), pset([2])],
    {"left": pmap({"a": 1}), "right": pmap({"b": 2})},
]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_a_value_comes_back_equal_here_and_in_a_store_opened_anew(
    folder: Path, value: object
) -> None:
    with SnapshotStore(folder) as store:
        version = store.save(value)
        assert store.load() == value
        assert type(store.load()) is type(value)
    with SnapshotStore(folder) as store:
        assert store.load(version) == value
        assert store.verify().versions == 1


def test_a_version_says_what_was_saved(store: SnapshotStore) -> None:
    before = time.time_ns()
    first = store.save(pmap({"a": 1}), message="one")
    second = store.save(pmap({"a": 1, "b": 2}))
    assert (first.number, second.number) == (1, 2)
    assert first.parents == ()
    assert second.parents == (first.id,)
    assert before <= first.time < second.time
    assert abs((first.when - datetime.now(UTC)).total_seconds()) < 60
    assert (first.message, second.message) == ("one", None)
    assert (first.head, first.entries, second.entries) == ("main", 1, 2)
    assert first.nbytes > 0
    assert first.restores is None
    assert len(first.id) == 32 and first.id.startswith(first.short)
    assert first.id != second.id and first.root != second.root
    assert "'one'" in str(first) and first.short in repr(first)
    assert pickle.loads(pickle.dumps(first)) == first


def test_every_version_stays_as_it_was(store: SnapshotStore) -> None:
    value = pmap({n: n for n in range(200)})
    model = {}
    for n in range(40):
        value = value.set(n % 50, -n)
        model[store.save(value).number] = value
    assert {number: store.load(number) for number in model} == model


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_a_version_has_many_names(store: SnapshotStore, steps: int) -> None:
    made = [store.save(pmap({"n": n})) for n in range(5)]
    wanted = made[4 - steps]
    names = [wanted, wanted.number, str(wanted.number), wanted.id, wanted.id[:12], wanted.short]
    names += [f"main~{steps}", f"5~{steps}", f"{made[4].id}~{steps}"]
    for name in names:
        assert store.version(name) == wanted
        assert store.load(name) == pmap({"n": 4 - steps})


def test_a_lone_tilde_is_one_step(store: SnapshotStore) -> None:
    store.save(pmap({"n": 1}))
    store.save(pmap({"n": 2}))
    assert store.load("main~")["n"] == 1


@pytest.mark.parametrize(
    "name", ["nope", "", "~", "main~3", "99", 99, 0, -1, 2**70, "abcdef0123", "x" * 300, "main~x"]
)
def test_a_missing_version_is_named_with_what_there_is(store: SnapshotStore, name: Any) -> None:
    store.save(pmap({"n": 1}))
    store.save(pmap({"n": 2}), head="other")
    with pytest.raises(
        MissingVersionError, match=r"versions up to 2 and the heads 'main', 'other'"
    ):
        store.load(name)
    assert store.load()["n"] == 1


def test_a_new_store_says_that_it_has_no_versions(store: SnapshotStore) -> None:
    assert store.log() == []
    assert store.heads() == {}
    assert len(store.versions) == 0
    for call in (store.load, store.undo, lambda: store.log("other")):
        with pytest.raises(MissingVersionError, match="no versions yet"):
            call()


def test_a_version_of_another_store_is_missing(store: SnapshotStore, tmp_path: Path) -> None:
    store.save(pmap({"n": 1}))
    with SnapshotStore(tmp_path / "b.store") as other:
        foreign = other.save(pmap({"n": 2}))
    with pytest.raises(MissingVersionError, match="not in this store"):
        store.load(foreign)


@pytest.mark.parametrize("name", [None, 1.0, True, b"main", ("main",)])
def test_names_of_a_wrong_type_are_refused(store: SnapshotStore, name: Any) -> None:
    store.save(pmap())
    with pytest.raises(TypeError, match="named by"):
        store.load(name)


def test_an_id_that_is_not_unique_asks_for_more_digits(folder: Path) -> None:
    ids: dict[str, Version] = {}
    with SnapshotStore(folder, durable="none") as store:
        for n in range(3000):
            version = store.save(pmap({"n": n}))
            digits = version.id[:4]
            if digits in ids and not digits.isdecimal():
                break
            ids[digits] = version
        else:
            pytest.fail("no two of 3000 ids begin alike")
        with pytest.raises(MissingVersionError, match="more digits"):
            store.load(digits)


# ---- log
def test_log_goes_from_the_newest_to_the_first(store: SnapshotStore) -> None:
    made = [store.save(pmap({"n": n}), message=str(n)) for n in range(6)]
    assert store.log() == made[::-1]
    assert store.log(limit=2) == [made[5], made[4]]
    assert store.log(limit=0) == []
    assert store.log("main~3") == [made[2], made[1], made[0]]
    assert store.log(made[1]) == [made[1], made[0]]
    with pytest.raises(ValueError, match="limit"):
        store.log(limit=-1)


def test_heads_have_histories_of_their_own(store: SnapshotStore) -> None:
    one = store.save(pmap({"n": 1}))
    two = store.save(pmap({"n": 2}), head="other")
    three = store.save(pmap({"n": 3}))
    assert store.heads() == {"main": three, "other": two}
    assert store.log() == [three, one]
    assert store.log("other") == [two]
    assert two.parents == ()


@pytest.mark.parametrize("head", ["", "a b", "a~1", "a^", "a:b", "@", "12", "x" * 201, "a\n"])
def test_heads_with_names_that_mean_something_else_are_refused(
    store: SnapshotStore, head: str
) -> None:
    with pytest.raises(ValueError, match="can't name a head"):
        store.save(pmap(), head=head)
    assert len(store.versions) == 0


@pytest.mark.parametrize(
    "head", ["main", "über/branch-1", "x" * 200, "'); DROP TABLE", "abcdef12"]
)
def test_heads_can_have_any_other_name(store: SnapshotStore, head: str) -> None:
    if " " in head:
        head = head.replace(" ", "_")
    version = store.save(pmap({"n": 1}), head=head)
    assert store.heads() == {head: version}
    assert store.load(head)["n"] == 1


def test_versions_is_a_sequence(store: SnapshotStore) -> None:
    view = store.versions
    made = [store.save(pmap({"n": n})) for n in range(5)]
    assert list(view) == made
    assert len(view) == 5
    assert (view[0], view[-1], view[1:3]) == (made[0], made[4], made[1:3])
    assert made[2] in view and "x" not in view
    assert view.index(made[3]) == 3
    for place in (5, -6):
        with pytest.raises(IndexError):
            view[place]


# ---- undo
def test_undoing_n_times_goes_back_n_saves(store: SnapshotStore) -> None:
    made = [store.save(pmap({"n": n})) for n in range(4)]
    for n in (2, 1, 0):
        undone = store.undo()
        assert store.load()["n"] == n
        assert (undone.restores, undone.root) == (made[n].id, made[n].root)
        assert undone.nbytes == 0
    with pytest.raises(MissingVersionError, match="nothing to undo"):
        store.undo()
    assert [version.number for version in store.log()] == [7, 6, 5, 4, 3, 2, 1]
    assert store.verify().versions == 7


def test_undo_after_undo_and_save_goes_back_to_what_was_seen_before(store: SnapshotStore) -> None:
    for n in (1, 2, 3):
        store.save(pmap({"n": n}))
    store.undo()
    store.save(pmap({"n": 4}))
    assert store.undo() and store.load()["n"] == 2
    assert store.undo() and store.load()["n"] == 1


def test_undo_can_bring_back_any_version(store: SnapshotStore) -> None:
    made = [store.save(pmap({"n": n})) for n in range(4)]
    assert store.undo(to=made[0]).parents == (made[3].id,)
    assert store.load()["n"] == 0
    store.undo(to="main~1")
    assert store.load()["n"] == 3


# ---- expected
def test_expected_saves_only_on_top_of_that_version(store: SnapshotStore) -> None:
    first = store.save(pmap({"n": 1}), expected=None)
    second = store.save(pmap({"n": 2}), expected=first)
    third = store.save(pmap({"n": 3}), expected="main")
    for stale in (first, 1, None, second.id):
        with pytest.raises(HeadMovedError, match="'main' is at version 3") as caught:
            store.save(pmap({"n": 4}), expected=stale)
        assert caught.value.actual == third
        again = pickle.loads(pickle.dumps(caught.value))
        assert (str(again), again.actual) == (str(caught.value), third)
    assert len(store.versions) == 3


def test_expected_of_a_head_that_is_not_there(store: SnapshotStore) -> None:
    first = store.save(pmap({"n": 1}))
    with pytest.raises(HeadMovedError, match="'other' does not exist"):
        store.save(pmap({"n": 4}), head="other", expected=first)
    assert store.save(pmap({"n": 2}), head="other", expected=None).parents == ()


def test_a_head_that_moves_while_the_pack_is_written_is_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pstructs.cache.disk import RawDisk

    big = pmap({n: f"{n:020}" for n in range(4000)})
    with SnapshotStore(folder) as store, SnapshotStore(folder) as other:
        first = store.save(pmap({"n": 1}))
        write = RawDisk.write

        def slow(disk: RawDisk, key: bytes, value: object, *, sync: bool) -> Any:
            monkeypatch.setattr(RawDisk, "write", write)
            other.save(pmap({"n": 2}))
            return write(disk, key, value, sync=sync)

        monkeypatch.setattr(RawDisk, "write", slow)
        with pytest.raises(HeadMovedError):
            store.save(big, expected=first)
        assert store.load()["n"] == 2
        assert list((folder / "packs").iterdir()) == []
        assert store.verify().unlisted == ()


# ---- arguments and life
def test_wrong_arguments_are_refused_before_anything_is_written(store: SnapshotStore) -> None:
    with pytest.raises(TypeError, match="message"):
        store.save(pmap(), message=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="head"):
        store.save(pmap(), head=3)  # type: ignore[arg-type]
    with pytest.raises(UnsavableError):
        store.save(pmap({"f": object()}))
    assert len(store.versions) == 0
    assert store.verify().packs == 0


def test_durable_lists_what_it_accepts(folder: Path) -> None:
    with pytest.raises(ValueError, match="'commit' or 'group' or 'none', got 'all'"):
        SnapshotStore(folder, durable="all")  # type: ignore[arg-type]
    assert not folder.exists()


def test_a_closed_handle_says_so_and_its_values_stay_valid(folder: Path) -> None:
    base = pmap({n: n for n in range(3000)})
    with SnapshotStore(folder) as store:
        store.save(base)
        changed = base
        for n in range(20):
            changed = changed.set(n * 100, "new")
            store.save(changed)
    with SnapshotStore(folder) as store:
        value = store.load()
    store.close()
    assert dict(value) == dict(changed)
    calls: list[Any] = [store.load, store.log, store.heads, store.undo, store.verify]
    calls += [lambda: store.save(value), lambda: store.versions, lambda: store.version(1)]
    for call in calls:
        with pytest.raises(StoreClosedError, match="open the store anew"):
            call()
    assert "closed" in repr(store)


def test_a_handle_pickles_as_its_path(store: SnapshotStore) -> None:
    store.save(pmap({"n": 1}))
    with pickle.loads(pickle.dumps(store)) as other:
        assert other.load()["n"] == 1
        assert other.durable == store.durable


def test_diff_of_two_versions(store: SnapshotStore) -> None:
    a, b = pmap({"x": 1, "y": 2}), pmap({"y": 3, "z": 4})
    store.save(a)
    store.save(b)
    assert store.diff(1, "main") == pstructs.diff(a, b)


def test_a_version_of_a_value_without_length_has_no_entries(store: SnapshotStore) -> None:
    assert store.save(42).entries is None
    assert store.load() == 42


def test_an_error_in_the_middle_of_a_commit_leaves_nothing(
    store: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(pmap({"n": 1}))
    for value in (pmap({"n": 2}), pmap({n: f"{n:020}" for n in range(4000)})):
        with monkeypatch.context() as patch:

            def fail(*args: object, **kwargs: object) -> None:
                raise KeyboardInterrupt

            patch.setattr(type(store._catalog), "move", fail)
            with pytest.raises(KeyboardInterrupt):
                store.save(value)
        assert store.load()["n"] == 1
        report = store.verify()
        assert (report.versions, report.packs, report.unlisted) == (1, 1, ())
    assert store.save(pmap({"n": 3})).number == 2
    assert isinstance(store, SnapshotStore) and not issubclass(KeyboardInterrupt, StoreError)
