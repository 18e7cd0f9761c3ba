"""history and blame against a walk over all versions."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from pstructs import ABSENT, PClass, field, m, pmap, pset, psortedmap, v
from pstructs.cache import SnapshotStore, Version
from pstructs.errors import MissingPathError, MissingVersionError
from pstructs.packs import packable


@packable("test.store-history.Point")
class Point(PClass):
    x = field(int)
    y = field(int)


def told(store: SnapshotStore, path: object, **more: Any) -> list[tuple[int, Any, Any]]:
    return [(c.version.number, c.old, c.new) for c in store.history(path, **more)]


def test_history_tells_who_changed_a_key(store: SnapshotStore) -> None:
    for value in (m(a=1), m(a=1, b=1), m(a=2, b=1), m(b=1), m(b=2), m(a=5)):
        store.save(value)
    assert told(store, "a") == [(6, ABSENT, 5), (4, 2, ABSENT), (3, 1, 2), (1, ABSENT, 1)]
    assert told(store, ["b"], limit=2) == [(6, 2, ABSENT), (5, 1, 2)]
    assert told(store, "b", head=4) == [(2, ABSENT, 1)]
    assert told(store, "none") == [] == told(store, "a", limit=0)
    assert [change[0] for change in told(store, ())] == [6, 5, 4, 3, 2, 1]
    with pytest.raises(ValueError, match="limit"):
        store.history("a", limit=-1)
    with pytest.raises(MissingVersionError):
        store.history("a", head="none")


def test_a_path_leads_through_everything(store: SnapshotStore) -> None:
    inner = {"list": [1, {"deep": 1}], "v": v(1, m(z=1)), "set": pset([1, 2])}
    value = m(top=pmap(inner), sorted=psortedmap({2: "b"}), point=Point(x=1, y=2))
    store.save(value)
    store.save(value.transform(["top", "v", 1, "z"], 2))
    store.save(value.set("point", Point(x=1, y=3)).set("sorted", psortedmap({2: "c"})))
    store.save(value.transform(["top", "set"], pset([1])))
    assert told(store, ("top", "v", 1, "z")) == [(3, 2, 1), (2, 1, 2), (1, ABSENT, 1)]
    assert told(store, ("point", "y")) == [(4, 3, 2), (3, 2, 3), (1, ABSENT, 2)]
    assert told(store, ("point", "x")) == [(1, ABSENT, 1)]
    assert told(store, ("sorted", 2))[1] == (3, "b", "c")
    assert told(store, ("top", "list", 1, "deep")) == [(1, ABSENT, 1)]
    assert told(store, ("top", "set", 2)) == [(4, 2, ABSENT), (1, ABSENT, 2)]
    for nowhere in (("top", "list", 7), ("top", "list", "x"), (1,), ("point", "z"), ("a", "b")):
        assert told(store, nowhere) == []


def test_values_are_compared_with_their_types_and_by_content(store: SnapshotStore) -> None:
    values = [True, 1, 1.0, float("nan"), float("nan"), np.arange(3), np.arange(3), [True], [1]]
    for n, value in enumerate(values):
        store.save(m(k=value, n=n))
    assert [number for number, _, _ in told(store, "k")] == [9, 8, 6, 4, 3, 2, 1]


def test_a_change_is_told_by_who_made_it_and_not_by_the_merge(store: SnapshotStore) -> None:
    store.save(m(a=1, b=1))
    store.branch("side")
    store.save(m(a=1, b=2), head="side")
    store.save(m(a=5, b=1))
    merged = store.merge("side")
    assert told(store, "b") == [(2, 1, 2), (1, ABSENT, 1)]
    assert told(store, "a") == [(3, 1, 5), (1, ABSENT, 1)]
    assert store.blame("b").number == 2
    store.save(m(a=7, b=2), head="side")
    store.save(m(a=6, b=2))
    decided = store.merge("side", on_conflict=lambda path, base, ours, theirs: 100)
    assert told(store, "a", limit=1) == [(decided.number, 6, 100)]
    assert merged.number < decided.number
    assert {key: who.number for key, who in store.blame_keys().items()} == {
        "a": decided.number,
        "b": 2,
    }


def test_blame_names_the_version_of_the_present_value(store: SnapshotStore) -> None:
    made = [store.save(m(a=n // 3, b=m(c=n // 2))) for n in range(6)]
    assert store.blame("a") == made[3]
    assert store.blame(("b", "c")) == made[4]
    assert store.blame(("b", "c"), head=4) == made[2]
    assert store.blame(()) == made[4]
    with pytest.raises(MissingPathError, match="nothing at"):
        store.blame(("b", "x"))
    with pytest.raises(TypeError, match="only maps and sets"):
        store.blame_keys(("b", "c"))


@pytest.mark.parametrize("kind", [pmap, psortedmap])
def test_both_agree_with_a_walk_over_all_versions(store: SnapshotStore, kind: Any) -> None:
    rng = random.Random(3)
    value = kind(dict.fromkeys(range(100), 0))
    made: list[Version] = []
    values: list[dict[int, int]] = []
    for n in range(60):
        for _ in range(rng.randrange(4)):
            key = rng.randrange(120)
            value = value.discard(key) if rng.random() < 0.3 else value.set(key, n)
        made.append(store.save(value))
        values.append(dict(value))
    last: dict[int, Version] = {}
    for key in range(120):
        before: Any = ABSENT
        expected = []
        for version, contents in zip(made, values, strict=True):
            now = contents.get(key, ABSENT)
            if now != before:
                expected.append((version.number, before, now))
                last[key] = version
            before = now
        assert told(store, key) == expected[::-1]
    blamed = store.blame_keys()
    assert dict(blamed) == {key: last[key] for key in values[-1]}
    for key in list(blamed)[:20]:
        assert store.blame(key) == blamed[key]


def test_blame_of_a_merged_map_names_whoever_changed_each_key(store: SnapshotStore) -> None:
    base = pmap(dict.fromkeys(range(50), 0))
    store.save(base)
    ours, theirs = base, base
    store.branch("side")
    who = dict.fromkeys(range(50), 1)
    for n in range(20):
        ours = ours.set(n, n + 1)
        who[n] = store.save(ours).number
        theirs = theirs.set(20 + n, n + 1)
        who[20 + n] = store.save(theirs, head="side").number
        if n % 7 == 3:
            ours = store.load(store.merge("side"))
    ours = store.load(store.merge("side"))
    assert {key: version.number for key, version in store.blame_keys().items()} == who
    assert all(store.blame(key).number == number for key, number in who.items())
