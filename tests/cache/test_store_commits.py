"""Metadata, write ids, and several heads in one commit."""

from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pstructs import m, pmap, psortedmap, pvector
from pstructs.cache import SnapshotStore
from pstructs.cache.meta import pack_meta, unpack_meta
from pstructs.errors import HeadMovedError, MissingVersionError, StoreError, WriteIdError
from support.stores import BIG

SPAWN = multiprocessing.get_context("spawn")

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=40),
    st.binary(max_size=40),
)
META = st.dictionaries(
    st.text(max_size=40),
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=20), max_leaves=30),
    max_size=20,
)


def tuples(value: Any) -> Any:
    return tuple(map(tuples, value)) if isinstance(value, list) else value


# ---- metadata
@given(META)
def test_metadata_are_messagepack_and_come_back(meta: dict[str, Any]) -> None:
    data = pack_meta(meta)
    assert unpack_meta(data) == {key: tuples(value) for key, value in meta.items()}
    if data is not None:
        assert msgpack.unpackb(data) == meta
        assert data == msgpack.packb({key: meta[key] for key in sorted(meta)})


@given(st.binary(max_size=60))
def test_other_bytes_are_refused(data: bytes) -> None:
    try:
        value = unpack_meta(data)
    except ValueError:
        return
    assert isinstance(value, type(pmap()))


def test_a_version_carries_its_metadata(store: SnapshotStore, folder: Path) -> None:
    meta = {"rows": 7, "from": "a.csv", "parts": [1, [2.5, None]], "more": {"ok": True}}
    made = store.save(m(a=1), meta=meta)
    plain = store.save(m(a=1))
    assert made.meta == pmap({**meta, "parts": (1, (2.5, None)), "more": pmap({"ok": True})})
    assert plain.meta == pmap() and plain.write_id is None
    with SnapshotStore(folder) as again:
        assert again.version(1) == made
        assert pickle.loads(pickle.dumps(again.version(1))) == made
        assert hash(again.version(1)) == hash(made)
        assert again.verify().versions == 2


@pytest.mark.parametrize(
    ("meta", "error"),
    [
        ([1], TypeError),
        ({1: 2}, TypeError),
        ({"a": {2: 1}}, TypeError),
        ({"a": {1, 2}}, TypeError),
        ({"a": 2**64}, ValueError),
        ({"a": "\ud800"}, ValueError),
    ],
)
def test_what_metadata_cannot_hold_is_named(
    store: SnapshotStore, meta: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="meta"):
        store.save(m(a=1), meta=meta)
    deep: Any = 1
    for _ in range(1000):
        deep = [deep]
    with pytest.raises(ValueError, match="deep"):
        store.save(m(a=1), meta={"a": deep})
    assert len(store.versions) == 0


# ---- write ids
def test_a_retried_save_returns_the_version_that_was_committed(
    store: SnapshotStore, folder: Path
) -> None:
    first = store.save(m(a=1), write_id="one")
    store.save(m(a=2))
    assert store.save(m(a=1), write_id="one") == first
    assert store.load()["a"] == 2
    with SnapshotStore(folder) as other:
        assert other.save(pmap({"a": 1}), write_id="one") == first
    assert len(store.versions) == 2


def test_a_retried_save_does_not_care_where_the_head_is_by_now(store: SnapshotStore) -> None:
    start = store.save(m(a=0))
    made = store.save(m(a=1), expected=start, write_id="one")
    store.save(m(a=2))
    assert store.save(m(a=1), expected=start, write_id="one") == made
    with pytest.raises(HeadMovedError):
        store.save(m(a=1), expected=start, write_id="two")


@pytest.mark.parametrize("value", [m(a=2), BIG])
def test_another_value_under_a_write_id_is_an_error(store: SnapshotStore, value: Any) -> None:
    store.save(m(a=1), write_id="one")
    with pytest.raises(WriteIdError, match=r"'one' was given to version 1"):
        store.save(value, write_id="one")
    with pytest.raises(WriteIdError):
        store.save(m(a=1), head="side", write_id="one")
    with pytest.raises(WriteIdError):
        store.commit({"main": m(a=1), "side": m(a=1)}, write_id="one")
    assert len(store.versions) == 1
    assert store.verify().unlisted == ()


def test_the_same_value_under_another_write_id_is_another_version(store: SnapshotStore) -> None:
    assert [store.save(m(a=1), write_id=f"{n}").number for n in range(3)] == [1, 2, 3]


def save_all(path: str, who: int, times: int) -> None:
    with SnapshotStore(path, durable="none") as store:
        for n in range(times):
            value = BIG.set("n", n) if n % 5 == 0 else m(n=n)
            store.save(value, write_id=f"write {n}")


def test_processes_that_retry_one_another_make_each_version_once(folder: Path) -> None:
    workers = [SPAWN.Process(target=save_all, args=(str(folder), who, 25)) for who in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(100)
        assert worker.exitcode == 0
    with SnapshotStore(folder) as store:
        assert sorted(v.write_id or "" for v in store.versions) == sorted(
            f"write {n}" for n in range(25)
        )
        report = store.verify()
        assert (report.versions, report.packs, report.unlisted) == (25, 25, ())


# ---- several heads
def test_a_commit_moves_all_its_heads(store: SnapshotStore) -> None:
    start = store.save(m(a=0), head="a")
    values = {"a": m(a=1), "b": BIG, "c": [psortedmap({2: 1}), {"v": pvector([1])}]}
    made = store.commit(values, "three", meta={"n": 3})
    assert {head: store.load(head) for head in values} == values
    assert store.heads() == made
    assert [made[head].number for head in values] == [2, 3, 4]
    assert {(v.message, v.meta["n"]) for v in made.values()} == {("three", 3)}
    assert made["a"].parents == (start.id,) and made["b"].parents == ()
    assert store.verify().versions == 4


def test_a_commit_is_made_altogether_or_not_at_all(store: SnapshotStore) -> None:
    made = store.commit({"a": m(a=1), "b": m(b=1)})
    moved = store.save(m(b=2), head="b")
    with pytest.raises(HeadMovedError, match="'b'") as caught:
        store.commit({"a": BIG, "b": m(b=3)}, expected={"a": made["a"], "b": made["b"]})
    assert caught.value.actual == moved
    with pytest.raises(HeadMovedError):
        store.commit({"a": BIG, "c": m(b=3)}, expected={"a": None})
    with pytest.raises(TypeError):
        store.commit({"a": BIG, "c": object()})
    assert store.heads() == {"a": made["a"], "b": moved}
    report = store.verify()
    assert (report.versions, report.packs, report.unlisted) == (3, 3, ())


def test_one_value_for_two_heads_is_stored_once(store: SnapshotStore) -> None:
    made = store.commit({"a": BIG, "b": BIG})
    assert made["a"].pack == made["b"].pack
    assert made["b"].nbytes == 0 < made["a"].nbytes
    assert store.load("b") == BIG
    assert store.save(BIG.set("x", 1), head="b").nbytes < 5000


def test_a_retried_commit_returns_all_its_versions(store: SnapshotStore) -> None:
    made = store.commit({"a": m(a=1), "b": BIG}, write_id="one")
    assert store.commit({"b": BIG, "a": m(a=1)}, write_id="one") == made
    with pytest.raises(WriteIdError):
        store.commit({"a": m(a=1)}, write_id="one")
    assert len(store.versions) == 2


def test_a_commit_says_what_is_wrong_with_it(store: SnapshotStore) -> None:
    with pytest.raises(ValueError, match="at least one head"):
        store.commit({})
    with pytest.raises(ValueError, match="'b', to which nothing"):
        store.commit({"a": m()}, expected={"b": None})
    with pytest.raises(ValueError, match="can't name a head"):
        store.commit({"a b": m()})
    with pytest.raises(TypeError, match="a write id is"):
        store.save(m(), write_id=3)  # type: ignore[arg-type]
    with pytest.raises(MissingVersionError):
        store.commit({"a": m()}, expected={"a": "nowhere"})
    assert issubclass(WriteIdError, StoreError)
