"""Branches, tags, the reflog, and finding versions by time."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from pstructs import m
from pstructs.cache import SnapshotStore, Version
from pstructs.errors import (
    HeadMovedError,
    MissingVersionError,
    NameTakenError,
    StoreDamagedError,
)


def saved(store: SnapshotStore, times: int, head: str = "main") -> list[Version]:
    return [store.save(m(n=n), head=head) for n in range(times)]


# ---- branches
def test_a_branch_goes_its_own_way(store: SnapshotStore) -> None:
    made = saved(store, 3)
    assert store.branch("side", at="main~1") == made[1]
    other = store.save(m(n=9), head="side")
    assert other.parents == (made[1].id,)
    assert store.load()["n"] == 2 and store.load("side")["n"] == 9
    assert store.heads() == {"main": made[2], "side": other}
    assert store.verify().versions == 4


def test_a_name_is_taken_once(store: SnapshotStore) -> None:
    saved(store, 2)
    store.branch("side")
    store.tag("v1")
    for name in ("side", "v1", "main"):
        with pytest.raises(NameTakenError, match=f"'{name}' already"):
            store.branch(name)
        with pytest.raises(NameTakenError):
            store.tag(name)
    with pytest.raises(NameTakenError):
        store.save(m(), head="v1")
    with pytest.raises(NameTakenError):
        store.rename_head("side", "v1")
    for name in ("a b", "", "12", "a~", "tag:x", 3):
        with pytest.raises((ValueError, TypeError)):
            store.branch(name)  # type: ignore[arg-type]
        with pytest.raises((ValueError, TypeError)):
            store.tag(name)  # type: ignore[arg-type]
    assert len(store.versions) == 2 and set(store.heads()) == {"main", "side"}


def test_a_deleted_head_can_be_made_again(store: SnapshotStore, folder: Path) -> None:
    made = saved(store, 2, "side")
    assert store.delete_head("side") == made[1]
    assert store.heads() == {}
    for call in (store.load, store.delete_head, store.undo):
        with pytest.raises(MissingVersionError, match=r"no head.*'side'"):
            call("side")
    assert store.verify().versions == 2
    with SnapshotStore(folder) as again:
        assert again.heads() == {}
        with pytest.raises(MissingVersionError):
            again.load("side")
        assert again.branch("side", at=made[0]) == made[0]
        fresh = again.save(m(n=5), head="side")
        assert fresh.parents == (made[0].id,)
        assert [move.action for move in again.reflog("side")] == [
            *("save", "save", "delete", "branch", "save")
        ]
        assert again.verify().versions == 3


def test_a_head_is_deleted_only_where_it_is_expected(store: SnapshotStore) -> None:
    made = saved(store, 2)
    with pytest.raises(HeadMovedError):
        store.delete_head("main", expected=made[0])
    assert store.delete_head("main", expected=made[1]) == made[1]


def test_a_renamed_head_keeps_its_version(store: SnapshotStore) -> None:
    made = saved(store, 2)
    assert store.rename_head("main", "trunk") == made[1]
    assert store.heads() == {"trunk": made[1]}
    assert store.reflog("main")[-1].action == "rename to trunk"
    assert store.reflog("trunk")[0].action == "rename from main"
    assert store.save(m(n=3), head="trunk").parents == (made[1].id,)
    with pytest.raises(MissingVersionError):
        store.rename_head("main", "other")
    assert store.verify().versions == 3


# ---- tags
def test_a_tag_stays_where_it_is(store: SnapshotStore, folder: Path) -> None:
    made = saved(store, 2)
    before = time.time_ns()
    assert store.tag("v1", at=1, message="first") == made[0]
    store.save(m(n=7))
    assert store.load("v1")["n"] == 0
    assert store.version("v1") == made[0]
    with SnapshotStore(folder) as again:
        (tag,) = again.tags().values()
        assert (tag.name, tag.version, tag.message) == ("v1", made[0], "first")
        assert before <= tag.time <= time.time_ns()
        assert abs((tag.when - datetime.now(UTC)).total_seconds()) < 60
        assert again.verify().versions == 3


def test_a_tag_goes_on_purpose_only(store: SnapshotStore) -> None:
    made = saved(store, 2)
    store.tag("v1", at=1)
    with pytest.raises(NameTakenError):
        store.tag("v1", at=2)
    assert store.delete_tag("v1") == made[0]
    assert store.tags() == {}
    with pytest.raises(MissingVersionError, match="no tag 'v1'"):
        store.delete_tag("v1")
    with pytest.raises(MissingVersionError):
        store.load("v1")
    assert store.tag("v1", at=2) == made[1]
    assert store.verify().versions == 2


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM pstructs_tag WHERE name = 'v1'",
        "UPDATE pstructs_tag SET message = 'x'",
        "UPDATE pstructs_tag SET number = 1",
        "UPDATE pstructs_tag SET name = 'v2' WHERE name = 'v1'",
        "DELETE FROM pstructs_reflog WHERE name = 'tag:v1'",
        "UPDATE pstructs_reflog SET new = NULL WHERE name = 'tag:v1'",
    ],
)
def test_a_tag_that_is_lost_or_changed_is_told(folder: Path, damage: str) -> None:
    with SnapshotStore(folder) as store:
        saved(store, 2)
        store.tag("v1", message="said")
    with closing(sqlite3.connect(folder / "cache.db")) as con, con:
        con.execute(damage)
    with SnapshotStore(folder) as store:
        with pytest.raises(StoreDamagedError):
            store.tags()
        with pytest.raises(StoreDamagedError):
            store.verify()
        assert store.load("main")["n"] == 1


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE pstructs_reflog SET new = NULL WHERE name = 'side' AND move = 1",
        "DELETE FROM pstructs_reflog WHERE name = 'side' AND move = 2",
        "INSERT INTO pstructs_head SELECT 'side', number, id, moves, time, sum FROM pstructs_head",
    ],
)
def test_the_traces_of_a_deleted_head_are_checked(folder: Path, damage: str) -> None:
    with SnapshotStore(folder) as store:
        saved(store, 1)
        store.branch("side")
        store.delete_head("side")
        assert store.verify().versions == 1
    with closing(sqlite3.connect(folder / "cache.db")) as con, con:
        con.execute(damage)
    with SnapshotStore(folder) as store, pytest.raises(StoreDamagedError):
        store.verify()


# ---- the reflog
def test_the_reflog_is_a_sequence_of_all_moves(store: SnapshotStore) -> None:
    made = saved(store, 5)
    log = store.reflog()
    assert isinstance(log, Sequence) and len(log) == 5
    assert [move.new for move in log] == [version.id for version in made]
    assert [move.old for move in log] == [None, *(version.id for version in made[:-1])]
    assert log[-1] == log[4] and log[1:3] == [log[1], log[2]] and log[::-2] == list(log)[::-2]
    assert log[3:3] == []
    times = [move.time for move in log]
    assert times == sorted(set(times)) == [version.time for version in made]
    for place in (5, -6):
        with pytest.raises(IndexError):
            log[place]
    store.undo()
    assert len(log) == 6 and log[-1].action == "undo"  # it grows
    assert list(store.reflog("never")) == []


# ---- time
def test_a_head_is_found_where_it_was_at_a_time(store: SnapshotStore) -> None:
    made = saved(store, 6)
    for place, version in enumerate(made):
        assert store.as_of(version) == version
        assert store.as_of(version.time) == version
        assert store.as_of(version.when) == version
        berlin = version.when.astimezone(timezone(timedelta(hours=2)))
        assert store.as_of(berlin) == version
        if place:
            assert store.as_of(version.time - 1) == made[place - 1]
    assert store.as_of(datetime.now(UTC)) == made[-1]
    assert store.as_of(10**40) == made[-1]
    for early in (made[0].time - 1, datetime(1970, 1, 1, tzinfo=UTC), -(10**40)):
        with pytest.raises(MissingVersionError, match="no head 'main' at"):
            store.as_of(early)


def test_a_head_is_followed_through_its_moves_and_not_its_history(store: SnapshotStore) -> None:
    made = saved(store, 3)
    store.branch("side", at=1)
    branched = time.time_ns()
    assert store.as_of(branched, "side") == made[0]
    with pytest.raises(MissingVersionError):
        store.as_of(made[2], "side")
    store.delete_head("side")
    assert store.as_of(branched, "side") == made[0]
    with pytest.raises(MissingVersionError):
        store.as_of(time.time_ns(), "side")


@pytest.mark.parametrize("when", ["main", 1.5, None, True])
def test_a_time_is_a_time(store: SnapshotStore, when: Any) -> None:
    saved(store, 1)
    with pytest.raises(TypeError, match="a time is"):
        store.as_of(when)
    with pytest.raises(ValueError, match="no time zone"):
        store.as_of(datetime.now())
    with pytest.raises(ValueError, match="no time zone"):
        store.since(datetime.now())


def test_the_times_of_moves_increase_when_the_clock_goes_back(
    store: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time_ns()
    made = []
    for n, step in enumerate((0, -5, -(10**9), 3, -7)):
        monkeypatch.setattr(time, "time_ns", lambda step=step: now + step)
        made.append(store.save(m(n=n)))
    store.branch("side", at=1)
    store.delete_head("side")
    store.branch("side", at=2)
    for head in ("main", "side"):
        times = [move.time for move in store.reflog(head)]
        assert times == sorted(set(times))
    assert [store.as_of(version) for version in made] == made


def test_since_tells_what_a_head_has_more(store: SnapshotStore) -> None:
    made = saved(store, 4)
    store.branch("side", at=2)
    side = saved(store, 2, "side")
    main = store.save(m(n=8))
    assert store.since(made[1]) == [*made[2:], main]
    assert store.since("side") == [*made[2:], main]
    assert store.since("main", "side") == side
    assert store.since("main") == []
    assert store.since(made[2].when) == [made[3], main]
    assert store.since(made[0].when - timedelta(days=1), "side") == [*made[:2], *side]
    merged = store.merge("side", on_conflict="ours")
    assert store.since(main) == [*side, merged]
    assert store.since("side") == [*made[2:], main, merged]
