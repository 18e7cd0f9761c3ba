"""Heads whose store others changed, whose functions are slow, or that end under a reader."""

from __future__ import annotations

import pickle
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pstructs import m, pmap
from pstructs.cache import SnapshotStore
from pstructs.distributed import head, head_link
from pstructs.errors import HeadBusyError, HeadGoneError, MissedVersionsError


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A head's name, and its end; all in this process."""
    monkeypatch.setattr(head_link, "ray_or_none", lambda: None)
    name = f"k-{uuid.uuid4().hex[:8]}"
    yield name
    for key in [key for key in head_link._links if key[1] == name]:
        head_link._links.pop(key).end()


def test_a_head_goes_on_from_a_branch_that_nobody_wrote_to(name: str, tmp_path: Path) -> None:
    with SnapshotStore(str(tmp_path)) as store:
        store.save(m(a=1), "main")
        store.branch(name, "main")
    h = head(name, m(other=0), store=str(tmp_path))
    assert h.value == {"a": 1}
    h.swap(lambda value: value.set("b", 2))
    h.end()
    assert head(name, store=str(tmp_path)).value == {"a": 1, "b": 2}


def test_a_head_that_was_moved_back_in_the_store_is_there(name: str, tmp_path: Path) -> None:
    h = head(name, m(n=0), store=str(tmp_path))
    for n in (1, 2):
        h.reset(m(n=n))
    with SnapshotStore(str(tmp_path)) as store:
        first = store.log(name)[-1]
        store.delete_head(name)
        store.branch(name, first)
    assert h.value == {"n": 0}
    assert h.version.number == 4
    assert h.swap(lambda value: value.set("k", 1)) == {"n": 0, "k": 1}
    h.end()
    again = head(name, store=str(tmp_path))
    assert again.version.number == 5
    assert again.value == {"n": 0, "k": 1}
    with pytest.raises(MissedVersionsError):
        again.open(2)


def test_a_head_that_was_deleted_from_the_store_is_gone(name: str, tmp_path: Path) -> None:
    h = head(name, m(n=0), store=str(tmp_path))
    with SnapshotStore(str(tmp_path)) as store:
        store.delete_head(name)
    with pytest.raises(HeadGoneError, match="deleted from its store"):
        h.deref()
    with pytest.raises(HeadGoneError, match="deleted from its store"):
        h.reset(m(n=1))
    with SnapshotStore(str(tmp_path)) as store:
        assert name not in store.heads()


def test_a_function_that_takes_all_the_time_is_told_apart_from_a_lost_answer(name: str) -> None:
    h = head(name, m(n=0), timeout=0.2)

    def slow(value: Any) -> Any:
        time.sleep(0.3)
        return value.set("n", 1)

    with pytest.raises(HeadBusyError, match=r"function took longer than the 0\.2 s"):
        h.swap(slow)
    assert h.deref(5) == {"n": 0}
    assert h.using(timeout=20).swap(slow) == {"n": 1}


def test_a_function_that_changes_nothing_makes_a_version_of_the_same_value(name: str) -> None:
    h = head(name, m(n=0))
    first = h.version
    assert h.swap(lambda value: value) == {"n": 0}
    assert h.version.number == 2
    assert h.version.digest == first.digest


def test_a_head_that_ends_wakes_its_subscribers(name: str) -> None:
    h = head(name, 1)
    errors: list[Exception] = []

    def follow() -> None:
        try:
            next(h.subscribe())
        except HeadGoneError as error:
            errors.append(error)

    following = threading.Thread(target=follow, daemon=True)
    following.start()
    while not h._link()._actor._pollers:  # type: ignore[attr-defined]
        time.sleep(0.01)
    h.end()
    following.join(10)
    assert len(errors) == 1


@pytest.mark.parametrize("way", ["subscribe", "open"])
def test_versions_that_are_let_go_on_their_way_are_missed_ones(name: str, way: str) -> None:
    h = head(name, pmap({i: i for i in range(2000)}), keep=3)
    h.swap(lambda value: value.set(0, -1))
    link = h._link()
    call = link.call

    def overtaken(method: str, args: Any, until: float) -> Any:
        """The answer comes without its packs, and after nine more versions."""
        answer = call(method, args, until)
        if method not in ("poll", "read"):
            return answer
        link.call = call  # type: ignore[method-assign]
        for i in range(9):
            h.reset(pmap(dict.fromkeys(range(2000), i)))
        link.seen = None
        link._packs.clear()
        link._recent.clear()
        *counts, news = answer if method == "poll" else (answer,)
        news = news._replace(packs=[])
        return (*counts, news) if counts else news

    link.call = overtaken  # type: ignore[method-assign]
    with pytest.raises(MissedVersionsError, match="larger keep="):
        if way == "open":
            h.open(2)
        else:
            next(h.subscribe(since=1))


def test_a_head_made_again_takes_the_settings_it_is_made_with(name: str, tmp_path: Path) -> None:
    head(name, 1).end()
    h = head(name, 2, store=str(tmp_path), validator=lambda n: n < 9)
    assert h.store == str(tmp_path)
    with pytest.raises(ValueError, match="validator"):
        h.reset(10)


def test_settings_that_a_head_was_not_made_with_are_an_error(name: str, tmp_path: Path) -> None:
    def above(limit: int) -> Any:
        return lambda n: n > limit

    h = head(name, 5, keep=7, validator=above(3))
    cloudpickle = pytest.importorskip("ray").cloudpickle
    same = pickle.loads(cloudpickle.dumps(above(3)))  # as another process has it
    for asked in ({}, {"keep": 7}, {"validator": same}, {"durable": "commit"}):
        assert head(name, **asked).value == 5
    different = [{"keep": 1000}, {"validator": above(4)}, {"validator": print}]
    different += [{"durable": "none"}, {"store": str(tmp_path)}]
    for asked in different:
        with pytest.raises(ValueError, match=f"{next(iter(asked))}=|kept in memory"):
            head(name, **asked)
    h.end()
    assert head(name, 5, keep=1000).value == 5
