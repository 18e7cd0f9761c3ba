"""`SnapshotStore.build`: versions of more than fits into memory."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pstructs import pmap, pset, psortedmap, psortedset, pvector
from pstructs.cache import SnapshotStore, growing
from pstructs.errors import (
    HeadMovedError,
    StoreClosedError,
    StoreFullError,
    UnsavableValueError,
    WriteIdError,
)
from support.stores import untouched

MANY = 40_000
LITTLE = 1 << 20
"""Memory for about 16,000 items of two short ints."""


def squares(n: int = MANY) -> Iterator[tuple[int, int]]:
    return ((k, k * k) for k in range(n))


@pytest.mark.parametrize("memory", [LITTLE, 1 << 28])
@pytest.mark.parametrize("n", [0, 1, 100, MANY])
def test_a_built_version_is_the_saved_one(store: SnapshotStore, n: int, memory: int) -> None:
    built = store.build(squares(n), memory=memory, message="built")
    saved = store.save(pmap(dict(squares(n))), head="other")
    assert built.root == saved.root
    assert (built.entries, built.nbytes, built.message) == (n, saved.nbytes, "built")
    assert store.load(built) == store.load(saved)
    assert store.verify().versions == 2


@given(
    st.lists(st.tuples(st.integers(-5, 5) | st.text(max_size=2), st.binary(max_size=1500))),
    st.lists(st.integers()),
)
def test_maps_and_sets_are_built_as_they_would_be_saved(
    pairs: list[tuple[Any, bytes]], members: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder, durable="none") as store:
        assert store.build(pairs).root == store.save(pmap(dict(pairs))).root
        assert store.build(dict(pairs)).root == store.versions[0].root
        assert store.build(members, kind="set").root == store.save(pset(members)).root
        assert store.build(members, kind="vector").root == store.save(pvector(members)).root
        store.verify()


def test_a_derived_version_is_saved_in_increments(store: SnapshotStore) -> None:
    store.build(squares())
    value = store.load().set(7, "new")
    assert store.save(value).nbytes < 2000
    assert store.load()[7] == "new" and store.load()[8] == 64
    assert store.diff(1, 2).changed == {7: (49, "new")}


def test_a_built_version_shares_what_the_store_has(store: SnapshotStore) -> None:
    store.save(pmap(dict(squares())))
    big = store.load()
    assert store.build([(n, big) for n in range(100)]).nbytes < 10_000
    assert store.load()[99] == big
    store.verify()


def test_progress_is_told(store: SnapshotStore) -> None:
    told: list[tuple[int, int]] = []
    store.build([*squares(), (3, 3)], progress=lambda *at: told.append(at), memory=LITTLE)
    assert told == sorted(told)
    assert told[-1] == (MANY + 1, MANY)
    assert len(told) >= 2 * MANY // 5000


def test_the_head_moves_only_from_where_it_is_expected(store: SnapshotStore) -> None:
    first = store.build(squares(3))

    def slow() -> Iterator[tuple[int, int]]:
        yield 1, 1
        store.save(pmap({"in": "between"}))
        yield from squares()

    with pytest.raises(HeadMovedError, match="nothing was saved"):
        store.build([], expected=None)
    with pytest.raises(HeadMovedError, match="nothing was saved"):
        store.build(slow(), expected=first, memory=LITTLE)
    untouched(store, 2)
    assert store.load() == {"in": "between"}


def test_a_build_that_is_tried_again_is_done_once(store: SnapshotStore) -> None:
    first = store.build(squares(), write_id="load-1")
    store.save(pmap({"later": 1}))
    packs = len(os.listdir(os.path.join(store.path, "packs")))
    again = store.build(squares(), write_id="load-1", expected=None, memory=LITTLE)
    assert again == first
    assert store.save(pmap(dict(squares())), write_id="load-1") == first
    untouched(store, 2, packs)
    assert store.load() == {"later": 1}


def test_a_write_id_names_one_value_and_one_head(store: SnapshotStore) -> None:
    store.build(squares(3), write_id="load-1")
    with pytest.raises(WriteIdError, match="load-1"):
        store.build(squares(), write_id="load-1")
    with pytest.raises(WriteIdError, match="load-1"):
        store.build(squares(3), head="other", write_id="load-1")
    untouched(store, 1)
    with pytest.raises(HeadMovedError):
        store.build(squares(4), write_id="load-2", expected=None)
    assert store.build(squares(4), write_id="load-2").number == 2
    with pytest.raises(ValueError, match="a write id"):
        store.build(squares(5), write_id="a\ud800")


class Boom(Exception):
    pass


@pytest.mark.parametrize("after", [0, 10, MANY])
@pytest.mark.parametrize("error", [Boom, OSError, KeyboardInterrupt, GeneratorExit])
def test_an_error_out_of_the_items_leaves_the_store_as_it_was(
    store: SnapshotStore, error: type[BaseException], after: int
) -> None:
    def items() -> Iterator[tuple[int, Any]]:
        for n, square in squares(after):
            yield n, [square, bytes(100)]
        raise error("mine")

    with pytest.raises(error, match="mine"):
        store.build(items(), memory=LITTLE)
    untouched(store)
    assert store.load(store.build(squares(5))) == dict(squares(5))


def test_an_interrupt_while_nodes_are_written_leaves_the_store_as_it_was(
    store: SnapshotStore,
) -> None:
    def stop(taken: int, written: int) -> None:
        if written > MANY // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.build(squares(), memory=LITTLE, progress=stop)
    untouched(store)


@pytest.mark.parametrize("kind", ["map", "set", "vector", "sortedmap", "sortedset"])
def test_nothing_makes_an_empty_collection(store: SnapshotStore, kind: str) -> None:
    factories = {
        "map": pmap,
        "set": pset,
        "vector": pvector,
        "sortedmap": psortedmap,
        "sortedset": psortedset,
    }
    empty: Any = factories[kind]()
    for items in ([], iter(()), (x for x in ())):
        built = store.build(items, kind)
        assert (built.entries, store.load(built)) == (0, empty)
        assert type(store.load(built)) is type(empty)
    assert built.root == store.save(empty).root


@pytest.mark.parametrize("kind", ["map", "sortedmap"])
@pytest.mark.parametrize("wrong", [7, (1,), (1, 2, 3), "abc", None, {1: 2}])
@pytest.mark.parametrize("at", [0, 5, MANY - 1])
def test_an_item_that_is_no_pair_is_named(
    store: SnapshotStore, kind: str, wrong: Any, at: int
) -> None:
    items = itertools.chain(squares(at), [wrong], squares(3))
    with pytest.raises(
        (TypeError, ValueError), match=f"item {at} is no pair of a key and a value"
    ):
        store.build(items, kind, memory=LITTLE)
    untouched(store)


@pytest.mark.parametrize("kind", ["map", "set", "vector", "sortedmap", "sortedset"])
def test_what_can_not_be_gone_through_is_refused(store: SnapshotStore, kind: str) -> None:
    with pytest.raises(TypeError, match="not iterable"):
        store.build(7, kind)  # type: ignore[arg-type]
    untouched(store)


def test_nan_is_one_key_however_many_objects_it_is(store: SnapshotStore) -> None:
    nans = [(float("nan"), n) for n in range(3)]
    assert list(store.load(store.build(nans)).values()) == [2]
    for kind, items in (("sortedmap", nans), ("sortedset", [1.0, float("nan")])):
        with pytest.raises(ValueError, match="nan can't be a key of a sorted collection"):
            store.build(items, kind)


@pytest.mark.parametrize("kind", ["map", "set"])
def test_a_key_that_can_not_be_hashed_is_named(store: SnapshotStore, kind: str) -> None:
    with pytest.raises(TypeError, match="unhashable type: 'list'"):
        store.build([([1], 2)] if kind == "map" else [[1]], kind)
    untouched(store)


def test_an_unsavable_item_is_named(store: SnapshotStore) -> None:
    with pytest.raises(UnsavableValueError, match="key 39999"):
        store.build([*squares(MANY - 1), (MANY - 1, object())], memory=LITTLE)
    untouched(store)


@pytest.mark.parametrize("wrong", [{"kind": "heap"}, {"memory": 1000}, {"head": "a b"}])
def test_wrong_arguments_are_refused_before_an_item_is_taken(
    store: SnapshotStore, wrong: dict[str, Any]
) -> None:
    items = iter([(1, 2)])
    with pytest.raises(ValueError):
        store.build(items, **wrong)
    assert list(items) == [(1, 2)]
    untouched(store)


@pytest.mark.parametrize("which", ["pack", "spill"])
def test_a_disk_that_fills_up_leaves_the_store_as_it_was(
    store: SnapshotStore, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    def full(*_: object, **__: object) -> IO[bytes]:
        return open("/dev/full", "wb", buffering=0)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if which == "pack":
            patch.setattr(growing, "write_fully", refuse)
        else:
            patch.setattr(growing.tempfile, "TemporaryFile", full)
        with pytest.raises(StoreFullError, match="nothing was committed"):
            store.build(squares(), memory=LITTLE)
    untouched(store)
    assert store.build(squares()).entries == MANY


def test_after_a_failed_sync_a_handle_takes_no_more_writes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(handle: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    store = SnapshotStore(folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(StoreClosedError, match="could not confirm a write"):
            store.build(squares())
    with pytest.raises(StoreClosedError, match="takes no more writes"):
        store.build(squares())


KILLED = """
import os, signal, sys
from pstructs.cache import SnapshotStore

def stop(taken, written):
    if taken > 30_000 and written >= int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

SnapshotStore(sys.argv[1]).build(
    ((n, bytes(30)) for n in range(40_000)), memory=1 << 20, progress=stop
)
"""


@pytest.mark.parametrize("written", [0, 20_000])
def test_nothing_is_left_of_a_build_that_was_killed(folder: Path, written: int) -> None:
    SnapshotStore(folder).close()
    done = subprocess.run([sys.executable, "-c", KILLED, folder, str(written)], check=False)
    assert done.returncode == -signal.SIGKILL
    with SnapshotStore(folder) as store:
        untouched(store)


BOUNDED = """
import resource, sys
from pstructs.cache import SnapshotStore

peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
with SnapshotStore(sys.argv[1], durable="none") as store:
    store.build([(0, "the imports are done")])
    before = peak()
    items = {
        "ints": lambda: ((n, n) for n in range(150_000)),
        "texts": lambda: ((f"user:{n:09}", f"a text of {n} for it") for n in range(80_000)),
        "lists": lambda: ((n, list(range(50))) for n in range(40_000)),
        "sorted": lambda: ((n * 7919 % 150_001, n) for n in range(150_000)),
        "sorted texts": lambda: ((f"user:{n * 7919 % 80_001:09}", n) for n in range(80_000)),
        "sorted pairs": lambda: (((n % 100, n * 7919 % 70_001), n) for n in range(70_000)),
        "long": lambda: ((n, bytes(5000)) for n in range(3000)),
    }[sys.argv[2]]
    kind = "sortedmap" if sys.argv[2].startswith("sorted") else "map"
    version = store.build(items(), kind, memory=2 << 20)
    print(version.entries, peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
@pytest.mark.skipif("PSTRUCTS_ASAN" in os.environ, reason="the sanitizer takes memory of its own")
@pytest.mark.parametrize(
    ("what", "entries"),
    [
        ("ints", 150_000),
        ("texts", 80_000),
        ("lists", 40_000),
        ("long", 3000),
        ("sorted", 150_000),
        ("sorted texts", 80_000),
        ("sorted pairs", 70_000),
    ],
)
def test_memory_stays_within_what_was_granted(folder: Path, what: str, entries: int) -> None:
    """The data take 4 to 15 MB; a quarter on top is for pages and arenas half in use."""
    shown = subprocess.run(
        [sys.executable, "-c", BOUNDED, folder, what], check=True, capture_output=True, text=True
    )
    built, taken = map(int, shown.stdout.split())
    assert built == entries
    assert taken < 5 << 19
