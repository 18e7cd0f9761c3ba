"""merge, revert, transaction and swap."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from pstructs import ABSENT, PRecord, field, m, pmap, pset, psortedmap, v
from pstructs.cache import SnapshotStore
from pstructs.cache.merges import merge_values
from pstructs.errors import (
    HeadMovedError,
    MergeConflictError,
    MissingVersionError,
    WriteIdError,
)
from pstructs.packs import packable

WRITERS = int(os.environ.get("PSTRUCTS_WRITERS", "4"))
COMMITS = int(os.environ.get("PSTRUCTS_COMMITS", "25"))
SPAWN = multiprocessing.get_context("spawn")


@packable("test.store-merging.Item")
class Item(PRecord):
    name = field(str)
    count = field(int)


# ---- values
BASE = m(
    plain={"a": 1, "b": {"c": [1]}},
    item=Item(name="nut", count=1),
    deep=m(s=pset([1]), v=v(1, 2, 3), t=psortedmap({1: "x"})),
    gone=1,
)
OURS = BASE.transform(["deep", "s"], pset([1, 2]), ["deep", "v"], v(9, 2, 3)).set(
    "item", Item(name="nut", count=5)
)
OURS = OURS.set("plain", {"a": 2, "b": {"c": [1]}})
THEIRS = BASE.transform(["deep", "s"], pset([3]), ["deep", "v"], v(1, 2, 8))
THEIRS = THEIRS.set("item", Item(name="bolt", count=1)).remove("gone")
THEIRS = THEIRS.set("plain", {"a": 1, "b": {"c": [1], "d": 0}, "e": 5})


def test_everything_that_can_be_taken_apart_is_merged() -> None:
    assert merge_values(BASE, OURS, THEIRS) == m(
        plain={"a": 2, "b": {"c": [1], "d": 0}, "e": 5},
        item=Item(name="bolt", count=5),
        deep=m(s=pset([2, 3]), v=v(9, 2, 8), t=psortedmap({1: "x"})),
    )


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "path"),
    [
        (m(a=1), m(a=2), m(a=3), ("a",)),
        (m(a=1), m(), m(a=3), ("a",)),
        (m(a=m(b=m(c=1))), m(a=m(b=m(c=2))), m(a=m(b=m(c=3))), ("a", "b", "c")),
        ({"a": [1]}, {"a": [2]}, {"a": [3]}, ("a",)),
        (m(a=Item(count=1)), m(a=Item(count=2)), m(a=Item(count=3)), ("a", "count")),
        (m(a=v(1, m(b=1))), m(a=v(1, m(b=2))), m(a=v(1, m(b=3))), ("a", 1, "b")),
        (m(a=v(1, 2)), m(a=v(1, 5, 2)), m(a=v(1, 6, 2)), ("a", range(1, 1))),
        (m(a=1), m(a=m(b=1)), m(a=m(b=2)), ("a",)),
        (m(), m(a=m(b=1)), m(a=m(b=2)), ("a", "b")),
        (psortedmap({1: m(x=0)}), psortedmap({1: m(x=1)}), psortedmap({1: m(x=2)}), (1, "x")),
        (1, 2, 3, ()),
        (m(a=True), m(a=1), m(a=1.0), ("a",)),
    ],
)
def test_a_conflict_has_a_path_and_can_be_decided(
    base: Any, ours: Any, theirs: Any, path: tuple[Any, ...]
) -> None:
    with pytest.raises(MergeConflictError, match="1 place was") as caught:
        merge_values(base, ours, theirs)
    ((found, *sides),) = caught.value.conflicts
    assert found == path
    seen = []

    def decide(*at: Any) -> Any:
        seen.append(at)
        return at[2]

    assert merge_values(base, ours, theirs, "ours") == ours
    assert merge_values(base, ours, theirs, "theirs") == theirs
    assert merge_values(base, ours, theirs, decide) == ours
    assert seen == [(found, *sides)]


def test_all_conflicts_are_told_at_once() -> None:
    base, ours, theirs = (m(**{k: m(n=n) for k in "abcdef"}) for n in range(3))
    with pytest.raises(MergeConflictError, match=r"6 places were.*and 3 more") as caught:
        merge_values(base, ours, theirs)
    assert {path for path, *_ in caught.value.conflicts} == {(k, "n") for k in "abcdef"}
    with pytest.raises(ValueError, match="on_conflict is"):
        merge_values(base, ours, theirs, "mine")  # type: ignore[arg-type]


def test_a_change_of_type_alone_is_a_change() -> None:
    assert repr(merge_values(m(x=True), m(x=1), m(x=True, b=1))["x"]) == "1"
    assert repr(merge_values({"x": [True]}, {"x": [1]}, {"x": [True], "b": 1})["x"]) == "[1]"


# ---- merge
def test_a_merge_has_two_parents_and_both_sides(store: SnapshotStore) -> None:
    store.save(BASE)
    store.branch("side")
    theirs = store.save(THEIRS, head="side")
    ours = store.save(OURS)
    merged = store.merge("side", meta={"by": "test"})
    assert merged.parents == (ours.id, theirs.id)
    assert merged.time > max(ours.time, theirs.time)
    assert (merged.message, merged.head) == ("merge side into main", "main")
    assert store.load() == merge_values(BASE, OURS, THEIRS)
    assert store.log() == [merged, ours, theirs, store.version(1)]
    assert store.reflog()[-1].action == "merge"
    assert store.merge("side") == merged == store.merge(theirs)  # it has all of it
    assert store.merge("main", into="side").parents == (theirs.id, merged.id)
    assert store.load("side") == store.load()
    assert store.verify().versions == 5


def test_a_merge_with_conflicts_saves_nothing(store: SnapshotStore) -> None:
    store.save(m(a=m(b=1)))
    store.branch("side")
    store.save(m(a=m(b=2)), head="side")
    ours = store.save(m(a=m(b=3)))
    with pytest.raises(MergeConflictError, match=r"\['a', 'b'\]: base 1, ours 3, theirs 2"):
        store.merge("side")
    assert store.version() == ours and len(store.versions) == 3
    store.merge("side", on_conflict=lambda path, base, ours, theirs: (path, ours + theirs))
    assert store.load()["a"]["b"] == (("a", "b"), 5)


def test_sides_that_merged_each_other_are_merged_again(store: SnapshotStore) -> None:
    """Criss-cross: two versions that both were made from, neither of them from the other."""
    store.save(m(a=0, b=0))
    store.branch("side")
    ours = store.save(m(a=1, b=0))
    theirs = store.save(m(a=0, b=1), head="side")
    first = store.merge(theirs)
    second = store.merge(ours, into="side")
    assert first.parents == second.parents[::-1]
    store.save(m(a=1, b=1, c=1))
    store.save(m(a=1, b=1, d=1), head="side")
    store.merge("side")
    assert store.load() == m(a=1, b=1, c=1, d=1)
    assert store.merge("main", into="side") is not None
    assert store.load("side") == store.load()


def test_histories_with_nothing_in_common_need_a_base(store: SnapshotStore) -> None:
    store.save(m(a=1))
    store.save(m(b=1), head="other")
    empty = store.save(m(), head="empty")
    with pytest.raises(MissingVersionError, match="base="):
        store.merge("other")
    store.merge("other", base=empty)
    assert store.load() == m(a=1, b=1)
    with pytest.raises(MissingVersionError, match="no head 'nowhere'"):
        store.merge("other", into="nowhere")


# ---- revert
def test_revert_takes_back_one_version_and_keeps_the_rest(store: SnapshotStore) -> None:
    for value in (m(a=1, x=1), m(a=2, b=2, x=1), m(a=2, b=2, c=3, x=1), m(a=2, b=2, c=3, x=9)):
        store.save(value)
    made = store.revert(2)
    assert store.load() == m(a=1, c=3, x=9)
    assert made.parents == (store.version(4).id,)
    assert made.message is not None and made.message.startswith("revert version 2")
    store.revert(made)
    assert store.load() == m(a=2, b=2, c=3, x=9)
    with pytest.raises(MissingVersionError, match="first version"):
        store.revert(1)
    store.save(m(a=7))
    with pytest.raises(MergeConflictError) as caught:
        store.revert(2)
    assert [path for path, *_ in caught.value.conflicts] == [("a",)]
    store.revert(2, on_conflict="theirs")
    assert store.load() == m(a=1)
    assert store.verify().versions == 8


# ---- transaction and swap
def test_a_transaction_commits_at_its_end(store: SnapshotStore) -> None:
    with store.transaction(default=m(), message="first", meta={"n": 1}) as t:
        assert (t.base, t.value) == (None, m())
        t.value = t.value.set("a", 1)
        assert store.heads() == {}
    assert t.version == store.version()
    assert t.version.message == "first" and t.version.meta["n"] == 1
    with store.transaction() as again:
        assert again.value["a"] == 1
    assert again.version == t.version and len(store.versions) == 1


def test_a_transaction_that_fails_commits_nothing(store: SnapshotStore) -> None:
    store.save(m(a=1))
    with pytest.raises(ZeroDivisionError), store.transaction() as t:
        t.value = m(a=2)
        1 // 0
    assert t.version is None and store.load()["a"] == 1
    with pytest.raises(MissingVersionError, match="no head 'none'"), store.transaction("none"):
        pass


def test_a_transaction_brings_in_what_others_saved(store: SnapshotStore) -> None:
    store.save(pmap({n: m(x=0, y=0) for n in range(100)}))
    with store.transaction() as t:
        t.value = t.value.transform([5, "x"], 1)
        store.swap("main", lambda value: value.transform([5, "y"], 2).remove(7))
    assert store.load()[5] == m(x=1, y=2) and len(store.load()) == 99
    assert t.version is not None and t.version.number == 3 and len(t.version.parents) == 1
    with pytest.raises(MergeConflictError) as caught, store.transaction() as t:
        t.value = t.value.transform([5, "x"], 3)
        store.swap("main", lambda value: value.transform([5, "x"], 4))
    assert [conflict[:1] for conflict in caught.value.conflicts] == [((5, "x"),)]
    assert store.load()[5]["x"] == 4
    with store.transaction(on_conflict="ours") as t:
        t.value = t.value.transform([5, "x"], 3)
        store.swap("main", lambda value: value.transform([5, "x"], 5))
    assert store.load()[5]["x"] == 3


def test_a_write_id_makes_a_transaction_happen_once(store: SnapshotStore) -> None:
    store.save(m(n=0))
    versions = []
    for _ in range(3):
        with store.transaction(write_id="t") as t:
            t.value = t.value.set("n", t.value["n"] + 1)
        versions.append(t.version)
        versions.append(store.swap("main", lambda v: v.set("k", v.get("k", 0) + 1), write_id="s"))
    assert store.load() == m(n=1, k=1)
    assert versions == versions[:2] * 3
    with pytest.raises(WriteIdError):
        store.swap("side", lambda v: v, default=m(), write_id="s")


def test_swap_calls_again_when_the_head_has_moved(store: SnapshotStore) -> None:
    store.save(m(n=0))
    calls = []

    def slow(value: Any) -> Any:
        calls.append(value["n"])
        if len(calls) < 3:
            store.save(value.set("n", value["n"] + 10))
        return value.set("n", value["n"] + 1)

    store.swap("main", slow)
    assert calls == [0, 10, 20] and store.load()["n"] == 21
    assert store.swap("main", lambda value: value) == store.version()
    with pytest.raises(HeadMovedError):
        store.swap("main", lambda value: store.save(m(n=9)) and m(n=0), retries=2)
    with pytest.raises(MissingVersionError):
        store.swap("none", lambda value: value)
    assert store.swap("new", lambda value: value.set("a", 1), default=m()).number


def work(path: str, who: int, times: int) -> None:
    """Count in one shared place, and write each commit twice, as after a lost answer."""
    with SnapshotStore(path, durable="none") as store:
        for n in range(times):
            if n % 2:
                store.swap("main", lambda v: v.set("sum", v["sum"] + 1), write_id=f"{who}.{n}")
                store.swap("main", lambda v: v.set("sum", v["sum"] + 1), write_id=f"{who}.{n}")
            else:
                for _ in range(2):
                    with store.transaction(write_id=f"{who}.{n}") as t:
                        t.value = t.value.set((who, n), n)


def test_no_update_is_lost_or_made_twice(folder: Path) -> None:
    with SnapshotStore(folder, durable="none") as store:
        store.save(pmap({"sum": 0}))
        args = [(str(folder), who, COMMITS) for who in range(WRITERS)]
        workers = [SPAWN.Process(target=work, args=each) for each in args]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(600 + COMMITS)
            assert worker.exitcode == 0
        value = store.load()
        odd = COMMITS // 2
        assert value["sum"] == WRITERS * odd
        assert dict(value.remove("sum")) == {
            (who, n): n for who in range(WRITERS) for n in range(0, COMMITS, 2)
        }
        log = store.log()
        assert len(log) == 1 + WRITERS * COMMITS
        ids = [version.write_id for version in log[:-1]]
        assert len(set(ids)) == len(ids)
        assert store.verify().versions == len(log)


def test_absent_is_what_a_resolver_returns_to_remove() -> None:
    merged = merge_values(m(a=1, b=1), m(a=2, b=1), m(a=3, b=1), lambda *at: ABSENT)
    assert merged == m(b=1)
