"""`PackBuilder`: the pack of a collection, from any number of items in bounded memory."""

from __future__ import annotations

import errno
import gc
import random
import tempfile
import weakref
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pstructs import m, pmap, pset, psortedmap, pvector
from pstructs.errors import PackError, UnsavableKeyError, UnsavableValueError
from pstructs.packs import Pack, PackBuilder, PackWriter, dumps
from support.hostile import colliding_bytes, colliding_strings
from support.pack_building import build

numbers = st.integers(-3, 3)
equals = numbers.flatmap(
    lambda n: st.sampled_from([n, float(n), Decimal(n), Fraction(n), complex(n)])
)
plain = st.one_of(
    equals,
    st.integers(),
    st.text(max_size=3),
    st.binary(max_size=2),
    st.booleans(),
    st.none(),
    st.floats(allow_nan=False),
    st.sampled_from(colliding_strings(20)),
)
nested = st.one_of(
    st.lists(plain, max_size=3).map(pset),
    st.dictionaries(numbers, equals, max_size=3).map(pmap),
    st.lists(equals, max_size=3).map(pvector),
)
keys = st.one_of(plain, plain, st.tuples(plain, nested), nested)
values = st.one_of(
    plain,
    st.binary(min_size=1020, max_size=1030),
    st.lists(nested, max_size=2),
    st.dictionaries(st.integers(), st.text(max_size=2), max_size=40).map(pmap),
    st.lists(st.integers(), max_size=70).map(pvector),
    st.dictionaries(st.integers(), plain, max_size=3).map(psortedmap),
)
chunks = st.one_of(st.none(), st.integers(1, 50))


def digest(value: Any) -> bytes:
    return PackWriter(value).root_digest


@given(st.lists(st.tuples(keys, values), max_size=60), chunks, st.integers(0, 1 << 16))
def test_a_map_is_the_one_that_memory_would_hold(
    pairs: list[tuple[Any, Any]], spill_every: int | None, room: int
) -> None:
    expected = pmap(dict(pairs))
    pack, builder = build(pairs, spill_every=spill_every, room=room)
    assert pack.root() == expected
    assert pack.root_digest == builder.root_digest == digest(expected)
    assert (builder.taken, builder.count) == (len(pairs), len(expected))


@given(st.lists(keys, max_size=100), chunks)
def test_a_set_is_the_one_that_memory_would_hold(
    members: list[Any], spill_every: int | None
) -> None:
    expected = pset(members)
    pack, builder = build(members, "set", spill_every=spill_every)
    assert pack.root() == expected
    assert (pack.root_digest, builder.count) == (digest(expected), len(expected))


@given(st.lists(values, max_size=200))
def test_a_vector_is_the_one_that_memory_would_hold(elements: list[Any]) -> None:
    pack, builder = build(elements, "vector")
    assert pack.root() == pvector(elements)
    assert pack.root_digest == digest(pvector(elements))
    assert builder.count == builder.taken == len(elements)


@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 64, 65, 1024, 1056, 1057, 32_768, 33_800, 70_000])
@pytest.mark.parametrize("of", [int, str, float])
def test_a_vector_of_any_length_has_the_digest_that_a_writer_gives_it(n: int, of: type) -> None:
    elements = [of(k) for k in range(n)]
    pack, _ = build(elements, "vector")
    assert pack.root_digest == digest(pvector(elements))
    assert pack.root() == pvector(elements)


@pytest.mark.parametrize("n", [0, 1, 2, 33, 1100, 70_000])
@pytest.mark.parametrize("runs", [None, 7])
def test_any_length_gives_the_same_bytes_as_a_writer(n: int, runs: int | None) -> None:
    data = {random.getrandbits(48): random.getrandbits(20) for _ in range(n)}
    pack, builder = build(data.items(), spill_every=runs and n // runs + 1)
    expected = PackWriter(pmap(data))
    assert pack.root_digest == expected.root_digest
    assert pack.nbytes == len(expected.image)
    assert builder.runs <= 8


def test_of_equal_keys_the_first_key_and_the_last_value_stay() -> None:
    given_keys: list[Any] = [1, "x", 1.0, True, "x", 1, 2]
    pairs = list(zip(given_keys, range(7), strict=True))
    for order in (pairs, pairs[::-1]):
        for spill_every in (None, 1, 2, 3):
            found = build(order, spill_every=spill_every)[0].root()
            expected = dict(order)
            assert found == expected
            assert sorted(map(repr, found)) == sorted(map(repr, expected))


def test_a_key_that_comes_a_thousand_times_takes_no_memory_twice() -> None:
    pairs = [(("the", m(a=1)), n) for n in range(1000)] + [("another", n) for n in range(1000)]
    pack, builder = build(pairs, spill_every=100)
    assert pack.root() == {("the", m(a=1)): 999, "another": 999}
    assert builder.count == 2


def test_nan_is_one_key() -> None:
    nan = float("nan")
    pack, _ = build([(nan, 1), (float("inf") - float("inf"), 2), (nan, 3)])
    assert list(pack.root().values()) == [3]


def test_values_that_many_items_share_are_written_once_until_they_are_handed_on() -> None:
    shared = pmap({n: str(n) for n in range(1000)})
    pack, _ = build((n, shared) for n in range(1000))
    assert pack.nbytes < 2 * len(dumps(shared)) + 1000 * 40
    assert pack.root()[999] == shared


def test_what_the_store_has_is_imported_and_the_rest_is_copied() -> None:
    mine, other = (
        Pack.from_buffer(dumps({"big": pmap({n: n for n in range(3000)})}), trusted=True)
        for _ in range(2)
    )
    pairs = [(n, (mine if n % 2 else other).root()["big"]) for n in range(2000)]
    pack, builder = build(pairs, spill_every=300, importable=lambda p: p is mine)
    assert pack.imports == builder.imports == (mine.uuid[:8],)
    assert builder.root_digest == digest(pmap(pairs))
    assert len(dumps(other.root())) < pack.nbytes


def test_large_out_of_line_values_leave_memory_piece_by_piece() -> None:
    pieces: list[int] = []
    builder = PackBuilder(lambda data: pieces.append(len(data)))
    assert not builder.take(((n, bytes([n]) * 300_000) for n in range(40)), 1 << 60, 1000)
    assert builder.held < 40 * 100
    assert len(pieces) >= 8 and max(pieces) < 2 << 20


def test_an_item_that_can_not_be_saved_is_named() -> None:
    class Mine:
        pass

    with pytest.raises(UnsavableValueError, match=r"'bad'.*Mine"):
        build([("good", 1), ("bad", [Mine()])])
    with pytest.raises(UnsavableKeyError, match="Mine"):
        build([(Mine(), 1)])
    with pytest.raises(TypeError, match="unhashable"):
        build([([], 1)])
    with pytest.raises(TypeError, match="item 1 is no pair of a key and a value: 5"):
        build([(1, 2), 5])
    with pytest.raises(ValueError, match="item 0 is no pair of a key and a value"):
        build([(1, 2, 3)])


def test_after_an_error_a_builder_is_of_no_use() -> None:
    def broken() -> Iterator[tuple[int, int]]:
        yield 1, 2
        raise LookupError("mine")

    builder = PackBuilder(bytearray().extend)
    with pytest.raises(LookupError, match="mine"):
        builder.take(broken(), 1 << 30, 100)
    for call in (builder.finish, lambda: builder.take(iter([]), 1, 1), lambda: builder.merge(1)):
        with pytest.raises(ValueError, match="has failed; make a new one"):
            call()


def test_calls_come_in_their_order() -> None:
    builder = PackBuilder(bytearray().extend)
    with pytest.raises(ValueError, match="takes entries"):
        builder.finish()
    with pytest.raises(ValueError, match="once the pack is finished"):
        builder.root_digest
    builder.merge(0)
    with pytest.raises(ValueError, match="makes nodes"):
        builder.take(iter([]), 1, 1)
    builder.finish()
    with pytest.raises(ValueError, match="is finished"):
        builder.grow(1)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"kind is 'map', 'set', .* not 'heap'"):
        PackBuilder(print, "heap")
    with pytest.raises(TypeError, match="sink must be callable"):
        PackBuilder(None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="uuid must be 16 bytes, not 2"):
        PackBuilder(print, uuid=b"ab")
    with pytest.raises(TypeError, match="needs an iterator"):
        PackBuilder(print).take([1], 1, 1)  # type: ignore[arg-type]


def test_a_builder_refuses_to_be_entered_twice() -> None:
    calls = 0

    def again() -> Iterator[tuple[int, int]]:
        nonlocal calls
        for n in range(3):
            with pytest.raises(RuntimeError, match="while it is at work"):
                builder.take(iter([]), 1, 1)
            calls += 1
            yield n, n

    builder = PackBuilder(bytearray().extend)
    assert not builder.take(again(), 1 << 30, 100)
    assert calls == 3


def test_errors_of_the_sink_and_of_the_file_come_through() -> None:
    def full(data: bytes) -> None:
        raise OSError(errno.ENOSPC, "full")

    builder = PackBuilder(full)
    with pytest.raises(OSError, match="full"):
        builder.take(((n, bytes(5000)) for n in range(1000)), 1 << 60, 1000)
    builder = PackBuilder(bytearray().extend)
    builder.take(iter([(1, 2)]), 1 << 60, 1000)
    with tempfile.TemporaryFile() as file, open(file.fileno(), "rb", closefd=False) as closed:
        closed.close()
        with pytest.raises(ValueError, match="closed"):
            builder.spill(closed)
    with open("/dev/full", "wb") as file, pytest.raises(OSError) as caught:
        builder.spill(file)
    assert caught.value.errno in (errno.ENOSPC, errno.ESPIPE)


def test_a_file_that_was_cut_is_an_error() -> None:
    builder = PackBuilder(bytearray().extend)
    with tempfile.TemporaryFile() as file:
        for start in range(0, 20_000, 5000):
            builder.take(((n, n) for n in range(start, start + 5000)), 1 << 60, 10_000)
            builder.spill(file)
        builder.merge(0)
        file.truncate(1000)
        with pytest.raises(PackError, match=r"can't be read back \(it was cut off\)"):
            builder.finish()


def test_a_builder_keeps_nothing_that_it_took() -> None:
    values = [frozenset([n, -1 - n]) for n in range(100)]
    watchers = [weakref.ref(value) for value in values]
    builder = PackBuilder(bytearray().extend)
    builder.take(iter(list(enumerate(values))), 1 << 60, 1000)
    del values
    gc.collect()
    assert all(watcher() is None for watcher in watchers)


def test_a_cycle_through_the_sink_is_collected() -> None:
    class Sink:
        builder: PackBuilder

        def __call__(self, data: bytes) -> None:
            pass

    sink = Sink()
    sink.builder = PackBuilder(sink)
    gone = weakref.ref(sink)
    del sink
    gc.collect()
    assert gone() is None


def test_keys_of_one_hash_are_told_apart_and_given_twice() -> None:
    keys = [*colliding_strings(400), *colliding_bytes(400)]
    pairs = [(key, n) for n, key in enumerate(keys)] * 2 + [(keys[7], "last"), (keys[300], "too")]
    random.Random(1).shuffle(pairs)
    for spill_every in (None, 100):
        pack, _ = build(pairs, spill_every=spill_every)
        assert pack.root() == dict(pairs)
        assert pack.root_digest == digest(pmap(dict(pairs)))
