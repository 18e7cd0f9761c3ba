"""A digest index: trees that were built anew add only what differs."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pstructs import dq, pbag, pmap, pset, psortedmap, psortedset, pvector
from pstructs.cache import SnapshotStore
from pstructs.packs import Pack, PackWriter, dumps
from support.stores import BIG


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SnapshotStore]:
    with SnapshotStore(tmp_path / "s", durable="none", dedupe=True) as opened:
        yield opened


def again() -> Any:
    return pmap({n: f"{n:020}" for n in range(4000)})


def makers() -> dict[str, Any]:
    rng = range(3000)
    return {
        "map": lambda: pmap({n: str(n) for n in rng}),
        "set": lambda: pset(rng),
        "vector": lambda: pvector(rng),
        "vector of str": lambda: pvector(map(str, rng)),
        "vector with a head": lambda: pvector(rng).insert(0, -1).insert(7, "x"),
        "sorted map": lambda: psortedmap({n: str(n) for n in rng}),
        "sorted set": lambda: psortedset(rng),
        "long values": lambda: pmap({n: f"{n}" * 800 for n in range(200)}),
        "nested": lambda: pmap({n: pmap({m: (n, m) for m in range(40)}) for n in range(60)}),
        "shared parts": lambda: (lambda x: [x, x, {"again": x}, pmap({"a": x, "b": x})])(
            pset(rng)
        ),
        "deque and bag": lambda: [dq(*rng), pbag(str(n % 50) for n in rng)],
        "one key at each level": lambda: [pmap(dict.fromkeys(range(k), 1)) for k in range(1, 70)],
    }


@pytest.mark.parametrize("name", list(makers()))
def test_a_value_that_is_built_again_adds_next_to_nothing(store: SnapshotStore, name: str) -> None:
    make = makers()[name]
    first = store.save(make())
    second = store.save(make())
    assert second.root == first.root
    assert second.nbytes < 1200
    assert second.nbytes < first.nbytes / 3
    assert store.load(second) == make()
    store.verify()


def test_without_it_a_value_that_is_built_again_is_written_whole(tmp_path: Path) -> None:
    with SnapshotStore(tmp_path / "s", durable="none") as store:
        first = store.save(BIG)
        assert store.save(again()).nbytes > first.nbytes / 2


def test_what_differs_is_written(store: SnapshotStore) -> None:
    first = store.save(again())
    value = again().set(17, "another").set("new", 1).remove(3000)
    second = store.save(pmap(dict(value.items())))
    assert second.nbytes < first.nbytes / 10
    assert store.load(second) == value
    store.verify()


def test_a_value_of_another_store_shares_what_is_equal(
    store: SnapshotStore, tmp_path: Path
) -> None:
    first = store.save(again())
    with SnapshotStore(tmp_path / "other", durable="none") as other:
        other.save(again().set(5, "five"))
        second = store.save(other.load())
    assert second.nbytes < first.nbytes / 20
    assert store.load()[5] == "five"
    store.verify()


def test_the_next_save_is_incremental(store: SnapshotStore) -> None:
    store.save(again())
    value = again()
    store.save(value)
    store._known = None  # what the nodes remember is enough
    assert store.save(value.set(1, "one")).nbytes < 4000
    store.verify()


def test_arrays_are_found(store: SnapshotStore) -> None:
    numpy = pytest.importorskip("numpy")
    value = pmap({"a": numpy.arange(50_000), "b": "x" * 5000})
    store.save(value)
    second = store.save(pmap({"a": numpy.arange(50_000), "b": "x" * 5000, "c": 1}))
    assert second.nbytes < 1000
    assert (store.load()["a"] == value["a"]).all()
    store.verify()


def test_a_store_that_is_opened_anew_finds_what_it_holds(tmp_path: Path) -> None:
    with SnapshotStore(tmp_path / "s", durable="none") as store:
        first = store.save(again())
    with SnapshotStore(tmp_path / "s", durable="none", dedupe=True) as store:
        assert store.save(again()).nbytes < first.nbytes / 50
        with pickle.loads(pickle.dumps(store)) as same:
            assert same._known is not None


def test_a_pack_that_is_damaged_or_gone_is_not_referred_to(store: SnapshotStore) -> None:
    first = store.save(again())
    store._known.refresh()  # type: ignore[union-attr]
    (path,) = Path(store.path, "packs").iterdir()
    data = bytearray(path.read_bytes())
    for at in range(200, len(data), 150):
        data[at] ^= 1
    path.write_bytes(data)
    store._folder.forget()
    second = store.save(again(), head="side")
    assert second.nbytes > first.nbytes / 2
    assert store.load(second) == again()
    path.unlink()
    store._folder.forget()
    third = store.save(again(), head="third")
    assert store.load(third) == again()
    assert (
        bytes.fromhex(first.pack)[:8]
        not in store._folder.open_pack(bytes.fromhex(third.pack)).imports
    )


# ---- the hook itself


def known_in(pack: Pack, wrong: int = 0) -> Any:
    found = pack.digests()
    places = {
        found[i : i + 16]: int.from_bytes(found[i + 16 : i + 24], "little")
        for i in range(0, len(found), 24)
    }
    return lambda digest: (pack, places[digest] + wrong) if digest in places else None


def test_digests_tells_every_record() -> None:
    pack = Pack.from_buffer(dumps(BIG))
    assert len(pack.digests()) == 24 * pack.verify()


@pytest.mark.parametrize("wrong", [1, -1, 16, 1000, 2**39])
def test_a_place_where_nothing_is_makes_no_reference(wrong: int) -> None:
    pack = Pack.from_buffer(dumps(BIG))
    writer = PackWriter(again(), importable=lambda _: True, known=known_in(pack, wrong))
    new = Pack.from_buffer(bytes(writer.image), resolve=lambda _: pack)
    assert writer.new_records == pack.verify()
    assert new.root() == BIG


def test_a_node_of_another_level_is_not_taken() -> None:
    """The root of one map can have the content of an inner node of another."""
    deep = pmap(dict.fromkeys(range(40)))
    pack = Pack.from_buffer(dumps([deep, pmap(dict.fromkeys(range(3)))]))
    for size in range(40):
        value = pmap(dict.fromkeys(range(size)))
        writer = PackWriter(value, importable=lambda _: True, known=known_in(pack))
        new = Pack.from_buffer(bytes(writer.image), resolve=lambda _: pack)
        assert new.root() == value


def test_a_pack_that_may_not_be_imported_is_not_referred_to() -> None:
    pack = Pack.from_buffer(dumps(BIG))
    writer = PackWriter(again(), importable=lambda _: False, known=known_in(pack))
    assert writer.imports == ()


def test_an_index_that_fails_fails_the_save() -> None:
    def fail(digest: bytes) -> None:
        raise ZeroDivisionError

    for known, error in ((fail, ZeroDivisionError), (lambda _: 5, TypeError)):
        with pytest.raises(error):
            PackWriter(again(), importable=lambda _: True, known=known)
    with pytest.raises(TypeError):
        PackWriter(BIG, known=5)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32), keep=st.floats(0, 1))
def test_an_index_with_holes_gives_sound_packs(seed: int, keep: float) -> None:
    """Whatever of the records is known: the value is the same, and verified whole."""
    rng = random.Random(seed)

    def part(size: int) -> Any:
        keys = [rng.randrange(10**6) for _ in range(rng.randrange(size))]
        return rng.choice(
            [
                pmap({key: str(key) * rng.choice([1, 400]) for key in keys}),
                pset(keys),
                pvector(keys),
                pvector(map(str, keys)),
                psortedmap({key: key for key in keys}),
            ]
        )

    parts = [part(400) for _ in range(4)]

    def build(parts: list[Any]) -> Any:
        fresh = [pickle.loads(pickle.dumps(x)) if rng.random() < 0.8 else x for x in parts]
        return pmap(
            {"x": fresh[0], "y": [fresh[1], fresh[0]], "z": pmap({"a": fresh[2], "b": fresh[3]})}
        )

    pack = Pack.from_buffer(dumps(build(parts)))
    places = known_in(pack)
    held = {
        key: rng.random() < keep
        for key in (pack.digests()[i : i + 16] for i in range(0, len(pack.digests()), 24))
    }
    value = build([*parts[:3], part(400)])
    writer = PackWriter(
        value,
        importable=lambda _: True,
        known=lambda digest: places(digest) if held.get(digest) else None,
    )
    new = Pack.from_buffer(bytes(writer.image), resolve=lambda _: pack)
    assert new.root() == value
    assert writer.root_digest == PackWriter(value).root_digest
    writer.adopt(new)
    derived = value.set("more", 1)
    last = PackWriter(derived, importable=lambda _: True)
    packs = {new.uuid[:8]: new, pack.uuid[:8]: pack}
    assert Pack.from_buffer(bytes(last.image), resolve=packs.__getitem__).root() == derived
