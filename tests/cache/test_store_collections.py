"""Every collection in a store: its versions are small and come back as they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pstructs import (
    dq,
    l,
    m,
    pbag,
    pdeque,
    plist,
    psortedmap,
    psortedset,
    pvector,
    s,
    v,
)
from pstructs.cache import SnapshotStore

COLLECTIONS: list[Any] = [
    *[pvector(range(3000)), v(), v("a", v(1.5)), pvector([0.5] * 70).append("end")],
    *[psortedmap({i: str(i) for i in range(700)}), psortedset("hello"), psortedmap()],
    *[pdeque(range(200), 300).popleft(7), dq(1, m(a=2)), plist("abc"), l(), pbag("aabc")],
    m(vector=pvector(range(100)), sorted=psortedset(range(50)), deque=dq(s(1))),
]


@pytest.mark.parametrize("value", COLLECTIONS, ids=lambda x: f"{type(x).__name__} {len(x)}")
def test_a_collection_comes_back_from_a_reopened_store(value: Any, folder: Path) -> None:
    with SnapshotStore(folder) as store:
        store.save(value)
    with SnapshotStore(folder) as store:
        back = store.load("main")
        assert type(back) is type(value)
        assert back == value
        assert list(back) == list(value)


ELEMENTS = pvector(f"element {i}" for i in range(30_000))
CHANGES: dict[str, tuple[Any, Callable[[Any, int], Any]]] = {
    "set": (ELEMENTS, lambda x, i: x.set(i * 700, i)),
    "append": (ELEMENTS, lambda x, i: x.append(i)),
    "insert": (ELEMENTS, lambda x, i: x.insert(i * 700, i)),
    "put": (psortedmap(enumerate(ELEMENTS)), lambda x, i: x.set(i * 700 + 0.5, i)),
    "discard": (psortedset(range(0, 60_000, 2)), lambda x, i: x.discard(i * 700)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_versions_of_one_change_are_small_and_all_readable(name: str, folder: Path) -> None:
    first, change = CHANGES[name]
    states = [first]
    with SnapshotStore(folder, durable="none") as store:
        whole = store.save(first).nbytes
        for i in range(20):
            states.append(change(store.load("main"), i))
            assert store.save(states[-1]).nbytes < whole / 50
    with SnapshotStore(folder) as store:
        versions = list(store.log())[::-1]
        assert len(versions) == len(states)
        for version, state in zip(versions, states, strict=True):
            assert store.load(version) == state
        assert store.verify().versions == len(states)
