"""`SnapshotStore.build` of sorted maps and sets."""

from __future__ import annotations

import errno
import math
import os
import random
import resource
import tempfile
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pstructs import PSortedMap, psortedmap, psortedset, pvector
from pstructs.cache import SnapshotStore, growing
from pstructs.errors import StoreFullError, UnsavableValueError
from pstructs.packs import register_codec, register_order
from support.stores import untouched

MANY = 40_000
LITTLE = 1 << 20
EDGES = [0, 1, 15, 16, 17, 192, 193, 2304, 2305]


def shuffled(n: int) -> list[tuple[int, int]]:
    pairs = [(k, -k) for k in range(n)]
    random.Random(n).shuffle(pairs)
    return pairs


def last_digit(key: int) -> tuple[int, int]:
    return key % 10, key


register_order("test.last_digit", last_digit)


@pytest.mark.parametrize("n", [*EDGES, MANY])
def test_a_built_version_is_the_saved_one(store: SnapshotStore, n: int) -> None:
    pairs = shuffled(n)
    built = store.build(pairs, "sortedmap", memory=LITTLE)
    saved = store.save(psortedmap(pairs), head="other")
    assert built.root == saved.root
    assert (built.entries, built.nbytes) == (n, saved.nbytes)
    assert list(store.load(built).items()) == sorted(pairs)
    assert store.verify().versions == 2


@given(
    st.one_of(
        st.lists(st.integers() | st.floats(allow_nan=False)),
        st.lists(st.text(max_size=10)),
        st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=2))),
        st.lists(st.dates()),
    ),
)
def test_keys_of_any_order_are_built_as_they_would_be_saved(keys: list[Any]) -> None:
    pairs = [(key, n) for n, key in enumerate(keys)]
    with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder, durable="none") as store:
        assert store.build(pairs, "sortedmap").root == store.save(psortedmap(pairs)).root
        assert store.build(dict(pairs), "sortedmap").root == store.versions[0].root
        assert store.build(keys, "sortedset").root == store.save(psortedset(keys)).root
        store.verify()


def test_dates_are_sorted_in_runs(store: SnapshotStore) -> None:
    days = [date(2000, 1, 1) + timedelta(n * 7919 % 20_000) for n in range(20_000)]
    told: list[tuple[int, int]] = []
    built = store.build(
        ((day, day.year) for day in days),
        "sortedmap",
        memory=LITTLE,
        progress=lambda *at: told.append(at),
    )
    assert built.root == store.save(psortedmap((day, day.year) for day in days)).root
    assert told == sorted(told) and told[-1] == (20_000, 20_000)


def test_a_key_function_orders_what_is_built(store: SnapshotStore) -> None:
    pairs = shuffled(3000)
    built = store.build(pairs, "sortedmap", memory=LITTLE, key=last_digit)
    assert built.root == store.save(psortedmap(pairs, key=last_digit)).root
    assert list(store.load(built))[298:302] == [2980, 2990, 1, 11]
    assert store.load(built).key is last_digit


def test_what_can_not_be_is_refused_before_an_item_is_taken(store: SnapshotStore) -> None:
    items = iter([(1, 2)])
    for wrong, error in (
        ({"kind": "map", "key": last_digit}, ValueError),
        ({"kind": "sortedmap", "key": lambda key: key}, UnsavableValueError),
        ({"kind": "sortedmap", "key": 7}, TypeError),
        ({"kind": "sorted"}, ValueError),
    ):
        with pytest.raises(error):
            store.build(items, **wrong)  # type: ignore[arg-type]
    assert list(items) == [(1, 2)]
    untouched(store)


def test_edits_of_a_built_version_are_saved_in_increments(store: SnapshotStore) -> None:
    store.build(shuffled(MANY), "sortedmap", memory=LITTLE)
    value: PSortedMap[Any, Any] = store.load()
    assert store.save(value.set(0.5, "new").remove(7)).nbytes < 4000
    found = store.load()
    assert list(found.between(0, 1).items()) == [(0, 0), (0.5, "new"), (1, -1)]
    found = store.diff(1, 2)
    assert (dict(found.added), list(found.removed)) == ({0.5: "new"}, [7])


def test_values_with_collections_share_what_the_store_has(store: SnapshotStore) -> None:
    store.save(psortedmap(shuffled(MANY)))
    big = store.load()
    built = store.build(((n, big) for n in range(100)), "sortedmap")
    assert built.nbytes < 20_000
    assert store.load()[99] == big
    assert store.build([pvector([n]) for n in range(50)], "sortedset").root == (
        store.save(psortedset(pvector([n]) for n in range(50))).root
    )
    store.verify()


class Boom(Exception):
    pass


class Touchy:
    """A key that raises when it meets itself in a comparison, if it is told so."""

    error: BaseException | None = None

    def __init__(self, n: int) -> None:
        self.n = n

    def __repr__(self) -> str:
        return f"Touchy({self.n})"

    def __hash__(self) -> int:
        return hash(self.n)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Touchy) and self.n == other.n

    def __lt__(self, other: Touchy) -> bool:
        if self.error is not None and 30 in (self.n, other.n):
            raise self.error
        return self.n < other.n


register_codec(Touchy, "test.Touchy", lambda key: key.n, Touchy)


@pytest.mark.parametrize(
    "error", [Boom("mine"), OSError(errno.ENOSPC, "mine"), UnicodeDecodeError("a", b"", 0, 1, "m")]
)
@pytest.mark.parametrize("n", [40, MANY // 4])
def test_an_error_of_a_comparison_comes_out_as_it_is(
    store: SnapshotStore, monkeypatch: pytest.MonkeyPatch, error: Exception, n: int
) -> None:
    items = [Touchy(k * 7919 % n) for k in range(n)]
    assert store.build(items, "sortedset", memory=LITTLE).entries == n
    packs = len(os.listdir(os.path.join(store.path, "packs")))
    monkeypatch.setattr(Touchy, "error", error)
    with pytest.raises(type(error)) as caught:
        store.build(items, "sortedset", memory=LITTLE)
    assert caught.value is error
    monkeypatch.undo()
    untouched(store, 1, packs)


@pytest.mark.parametrize(
    ("keys", "error", "message"),
    [
        (lambda: [*range(MANY), "forty"], TypeError, "'forty'.*can't be sorted"),
        (lambda: [*map(float, range(MANY)), math.nan], ValueError, "nan can't be a key"),
        (
            lambda: [frozenset([n]) for n in range(50)],
            ValueError,
            "neither sorts before the other",
        ),
        (lambda: [1, [2]], TypeError, "unhashable type: 'list' can't be a key"),
        (lambda: [1, 2, object()], TypeError, "can't be sorted"),
    ],
)
def test_keys_without_an_order_are_named(
    store: SnapshotStore, keys: Callable[[], list[Any]], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        store.build(keys(), "sortedset", memory=LITTLE)
    untouched(store)


@pytest.mark.parametrize("after", [0, 10, MANY])
def test_an_error_out_of_the_items_leaves_the_store_as_it_was(
    store: SnapshotStore, after: int
) -> None:
    def items() -> Iterator[tuple[int, Any]]:
        for n in range(after):
            yield -n, [n, bytes(100)]
        raise Boom("mine")

    with pytest.raises(Boom, match="mine"):
        store.build(items(), "sortedmap", memory=LITTLE)
    untouched(store)


@pytest.mark.parametrize("room", [1 << 20, (1 << 20) + 4321, 2 << 20])
def test_a_disk_that_is_full_while_runs_are_spilled_leaves_nothing(
    store: SnapshotStore, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """No file may be larger than that, and the runs are."""
    made: list[IO[bytes]] = []

    def limited(**given: Any) -> IO[bytes]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
        made.append(temporary(**given))
        return made[-1]

    temporary = tempfile.TemporaryFile
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(growing.tempfile, "TemporaryFile", limited)
    try:
        with pytest.raises(StoreFullError, match="nothing was committed"):
            store.build(shuffled(MANY * 2), "sortedmap", memory=LITTLE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [file.closed for file in made] == [True]
    untouched(store)
    assert store.build(shuffled(100), "sortedmap").entries == 100
