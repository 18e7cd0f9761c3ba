"""Differences between versions that are not loaded: what they read, and that they are right."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import pstructs
from pstructs.cache import SnapshotStore


def edited(versions: int, kind: str, seed: int, folder: Path) -> list[Any]:
    """Save versions that each change a few keys, and return their values as built-ins."""
    rng = random.Random(seed)
    value = (
        pstructs.pmap({n: n for n in range(5000)}) if kind == "map" else pstructs.pset(range(5000))
    )
    plain: Any = dict(value) if kind == "map" else set(value)
    states = []
    with SnapshotStore(folder, durable="none") as store:
        for step in range(versions):
            for _ in range(rng.choice([1, 1, 3])):
                key = rng.randrange(6000)
                if key in plain and rng.random() < 0.4:
                    value = value.remove(key)
                    plain.pop(key) if kind == "map" else plain.remove(key)
                elif kind == "map":
                    value = value.set(key, step)
                    plain[key] = step
                else:
                    value = value.add(key)
                    plain.add(key)
            store.save(value)
            states.append(plain.copy())
    return states


@pytest.mark.parametrize("seed", range(3))
def test_difference_of_maps_is_that_of_dicts(tmp_path: Path, seed: int) -> None:
    states = edited(40, "map", seed, tmp_path)
    rng = random.Random(seed)
    for _ in range(30):
        a, b = rng.randrange(40), rng.randrange(40)
        old, new = states[a], states[b]
        with SnapshotStore(tmp_path) as store:
            found = store.diff(a + 1, b + 1)
            assert dict(found.added) == {k: new[k] for k in new.keys() - old.keys()}
            assert dict(found.removed) == {k: old[k] for k in old.keys() - new.keys()}
            assert dict(found.changed) == {
                k: (old[k], new[k]) for k in old.keys() & new.keys() if old[k] != new[k]
            }
            assert (store.load(a + 1) == store.load(b + 1)) is (old == new)


@pytest.mark.parametrize("seed", range(3))
def test_difference_of_sets_is_that_of_sets(tmp_path: Path, seed: int) -> None:
    states = edited(40, "set", seed, tmp_path)
    rng = random.Random(seed)
    for _ in range(30):
        a, b = rng.randrange(40), rng.randrange(40)
        with SnapshotStore(tmp_path) as store:
            found = store.diff(a + 1, b + 1)
            assert set(found.added) == states[b] - states[a]
            assert set(found.removed) == states[a] - states[b]


def test_difference_opens_no_pack_of_a_subtree_that_both_versions_have(tmp_path: Path) -> None:
    value = pstructs.pmap({n: n for n in range(200_000)})
    with SnapshotStore(tmp_path, durable="none") as store:
        store.save(value)
        for n in range(100):  # the root refers to packs of many of these
            value = value.set(n * 1999, -1)
            store.save(value)
    expected = dict(value)
    del value  # it keeps the packs open that it was saved into
    with SnapshotStore(tmp_path) as store:
        assert len(store.diff(100, 101).changed) == 1
        opened = len(store._folder.loaded())
        assert opened < 12, "the path of one key, in two versions"
        assert store.load(100) != store.load(101)
        assert len(store._folder.loaded()) == opened
        assert dict(store.load(101)) == expected
