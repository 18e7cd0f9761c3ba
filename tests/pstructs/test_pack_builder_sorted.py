"""`PackBuilder` for sorted maps and sets: the order is that of the keys."""

from __future__ import annotations

import gc
import operator
import random
import re
import tempfile
import weakref
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pstructs import _core, m, psortedmap, psortedset, pvector
from pstructs.errors import UnsavableValueError
from pstructs.packs import PackBuilder, PackWriter, register_codec, register_order
from support.pack_building import build

small = st.integers(-20, 20)
numbers = st.one_of(
    small,
    st.integers(),
    st.floats(allow_nan=False),
    small.map(float),
    small.map(Fraction),
    st.booleans(),
)
texts = st.one_of(
    st.text(max_size=3),
    st.text("aé\ud800\U0001f600", max_size=12),
    st.sampled_from(["", "\0", "a\0", "a", "abcdefgh", "abcdefghi", "abcdefgh\0"]),
)
key_lists = st.one_of(
    *(
        st.lists(kind, max_size=120)
        for kind in (
            st.integers(),
            numbers,
            texts,
            st.binary(max_size=3),
            st.floats(allow_nan=False),
            st.decimals(allow_nan=False),
            st.dates(),
            st.tuples(small, texts),
            st.lists(small, max_size=2).map(pvector),
            st.tuples(small, st.lists(small, max_size=2).map(pvector)),
        )
    )
)
values = st.one_of(
    small,
    st.text(max_size=2),
    st.binary(min_size=1020, max_size=1030),
    st.dictionaries(small, small, max_size=2).map(psortedmap),
    st.lists(small, max_size=3).map(pvector),
)
chunks = st.one_of(st.none(), st.integers(1, 50))


def tens(key: int) -> int:
    return -(key // 10)


def in_box(key: int) -> Any:
    return pvector([key % 7])


register_order("test.tens", tens)
register_order("test.in_box", in_box)
register_order("casefold", str.casefold)  # as in the docs: a function has one name


def digest(value: Any) -> bytes:
    return PackWriter(value).root_digest


def same(a: Any, b: Any) -> None:
    """Equal entries in one order, and of equal keys the same one."""
    assert list(map(repr, a)) == list(map(repr, b))
    assert a == b


@given(key_lists, st.data(), chunks, st.integers(0, 1 << 16))
def test_a_sorted_map_is_the_one_that_memory_would_hold(
    keys: list[Any], data: st.DataObject, spill_every: int | None, room: int
) -> None:
    pairs = [(key, data.draw(values)) for key in keys]
    expected = psortedmap(pairs)
    pack, builder = build(pairs, "sortedmap", spill_every=spill_every, room=room)
    same(pack.root(), expected)
    assert type(pack.root()) is type(expected)
    assert pack.root_digest == builder.root_digest == digest(expected)
    assert (builder.taken, builder.count) == (len(pairs), len(expected))


@given(key_lists, chunks)
def test_a_sorted_set_is_the_one_that_memory_would_hold(
    keys: list[Any], spill_every: int | None
) -> None:
    expected = psortedset(keys)
    pack, builder = build(keys, "sortedset", spill_every=spill_every)
    same(pack.root(), expected)
    assert (pack.root_digest, builder.count) == (digest(expected), len(expected))


@given(
    st.lists(st.tuples(st.integers(-100, 100), values), max_size=60),
    st.sampled_from([tens, in_box]),
    chunks,
)
def test_a_key_function_decides_what_one_key_is(
    pairs: list[tuple[int, Any]], key: Callable[[int], Any], spill_every: int | None
) -> None:
    keys = [number for number, _ in pairs]
    for kind, items, expected in (
        ("sortedmap", pairs, psortedmap(pairs, key=key)),
        ("sortedset", keys, psortedset(keys, key=key)),
    ):
        pack, _ = build(items, kind, spill_every=spill_every, key=key)
        same(pack.root(), expected)
        assert pack.root_digest == digest(expected)
        assert pack.root().key is key


def test_keys_with_collections_and_a_key_function_keep_their_parts() -> None:
    pairs = [((n % 5, pvector([n, n])), m(n=n)) for n in range(100)]
    order = operator.itemgetter(0)
    register_order("test.first", order)
    expected = psortedmap(pairs, key=order)
    for spill_every in (None, 3):
        pack, _ = build(pairs, "sortedmap", spill_every=spill_every, key=order)
        same(pack.root(), expected)
        assert pack.root_digest == digest(expected)


EDGES = [
    0,
    1,
    2,
    15,
    16,
    17,
    31,
    32,
    33,
    191,
    192,
    193,
    208,
    209,
    2303,
    2304,
    2305,
    27_648,
    28_000,
]


@pytest.mark.parametrize("n", EDGES)
@pytest.mark.parametrize("of", [int, float, "{:09}".format, Decimal])
def test_any_length_gives_the_same_bytes_as_a_writer(n: int, of: Callable[[int], Any]) -> None:
    if of is Decimal and n > 3000:
        pytest.skip("the shape is that of the other types")
    pairs = [(of(k), k) for k in range(n)]
    random.Random(n).shuffle(pairs)
    expected = PackWriter(psortedmap(pairs))
    pack, builder = build(pairs, "sortedmap", spill_every=n // 7 + 1)
    assert pack.root_digest == expected.root_digest
    assert pack.nbytes == len(expected.image)
    assert builder.runs <= 8
    _core._check(pack.root())


def test_of_equal_keys_the_first_key_and_the_last_value_stay() -> None:
    given_keys = [1, 2, 1.0, True, Fraction(1), 2.0, 1, 10**30, Decimal(10**30), 3]
    pairs = list(zip(given_keys, range(10), strict=True))
    for order in (pairs, pairs[::-1]):
        for spill_every in (None, 1, 2, 3):
            same(build(order, "sortedmap", spill_every=spill_every)[0].root(), psortedmap(order))


def test_a_built_map_takes_edits_as_any_other() -> None:
    pack, _ = build([(k, k) for k in range(5000)], "sortedmap", spill_every=999)
    grown = pack.root()
    for k in range(0, 5000, 3):
        grown = grown.remove(k).set(k + 0.5, "new")
    _core._check(grown)
    assert list(grown.between(2.5, 5))[:3] == [3.5, 4, 5]


@pytest.mark.parametrize("spill_every", [None, 1, 3])
@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ([1, "one"], TypeError, "the keys .* and .* can't be sorted"),
        ([1, 2, 3, date(2020, 1, 1)], TypeError, r"datetime.date\(2020, 1, 1\).*can't be sorted"),
        ([1.0, float("nan")], ValueError, "nan can't be a key of a sorted collection"),
        ([float("nan")], ValueError, "nan can't be a key of a sorted collection"),
        ([frozenset("a"), frozenset("b")], ValueError, "neither sorts before the other"),
        ([(1, 2), (1, "b")], TypeError, r"\(1, 2\).*can't be sorted"),
        ([None], TypeError, "can't be sorted"),
        ([1j], TypeError, "can't be sorted"),
        ([[1]], TypeError, "unhashable type: 'list'"),
    ],
)
def test_keys_without_an_order_are_named(
    wrong: list[Any], error: type[Exception], message: str, spill_every: int | None
) -> None:
    with pytest.raises(error):
        psortedset(wrong)
    with pytest.raises(error, match=message):
        build(wrong, "sortedset", spill_every=spill_every)


class Boom(Exception):
    pass


class Wilful:
    """A key whose comparison raises when it is told to."""

    fuse: int | None = None

    def __init__(self, n: int) -> None:
        self.n = n

    def __hash__(self) -> int:
        return hash(self.n)

    def __eq__(self, other: object) -> bool:
        self.burn()
        return isinstance(other, Wilful) and self.n == other.n

    def __lt__(self, other: Wilful) -> bool:
        self.burn()
        return self.n < other.n

    @classmethod
    def burn(cls) -> None:
        if cls.fuse is not None:
            cls.fuse -= 1
            if cls.fuse < 0:
                raise Boom


@pytest.fixture(scope="module")
def wilful() -> type[Wilful]:
    register_codec(Wilful, "test.Wilful", lambda key: key.n, Wilful)
    return Wilful


@pytest.mark.parametrize("spill_every", [None, 5])
def test_an_error_in_a_comparison_comes_out_wherever_it_is_raised(
    wilful: type[Wilful], spill_every: int | None
) -> None:
    keys = [wilful(n * 7 % 30) for n in range(40)]
    fuse, raised = 0, 0
    while True:
        wilful.fuse = fuse
        try:
            found = build(keys, "sortedset", spill_every=spill_every)[0]
        except Boom:
            raised += 1
        else:
            break
        finally:
            wilful.fuse = None
        fuse += 1 + fuse // 20
    assert raised > 20
    assert [key.n for key in found.root()] == list(range(30))
    del found
    assert sum(type(thing) is wilful for thing in gc.get_objects()) == len(keys)


def test_a_comparison_that_calls_the_builder_is_refused(
    monkeypatch: pytest.MonkeyPatch, wilful: type[Wilful]
) -> None:
    builder = PackBuilder(lambda data: None, "sortedset")
    builder.take(iter([wilful(2), wilful(1)]), 1 << 20, 10)
    monkeypatch.setattr(wilful, "burn", lambda self: builder.grow(1))
    with pytest.raises(RuntimeError, match="while it is at work"):
        builder.merge(0)
    with pytest.raises(ValueError, match="has failed"):
        builder.grow(1)


def test_an_order_without_a_name_is_refused_before_an_item_is_taken() -> None:
    with pytest.raises(UnsavableValueError, match="register_order"):
        PackBuilder(lambda data: None, "sortedmap", key=lambda key: key)
    for kind, key in (("map", tens), ("vector", tens), ("sortedmap", 3)):
        with pytest.raises(TypeError, match="a function for the order of a sorted collection"):
            PackBuilder(lambda data: None, kind, key=key)  # type: ignore[arg-type]


def test_an_error_of_the_key_function_comes_out() -> None:
    with pytest.raises(ZeroDivisionError):
        build([3, 2, 0], "sortedset", key=one_over)


def one_over(key: int) -> float:
    return 1 / key


register_order("test.one_over", one_over)


def test_what_can_not_be_saved_is_named() -> None:
    class Odd:
        def __lt__(self, other: object) -> bool:
            return False

        def __repr__(self) -> str:
            return "<odd>"

    with pytest.raises(UnsavableValueError, match="Odd"):
        build([Odd()], "sortedset")
    with pytest.raises(UnsavableValueError, match="key 7"):
        build([(7, object())], "sortedmap")


@pytest.mark.parametrize("item", [7, (1,), (1, 2, 3)])
def test_an_item_that_is_no_pair_is_named(item: Any) -> None:
    with pytest.raises(
        (TypeError, ValueError), match=re.escape(f"item 1 is no pair of a key and a value: {item}")
    ):
        build([(1, 2), item], "sortedmap")


def test_the_memory_of_decoded_keys_counts_as_held() -> None:
    builder = PackBuilder(lambda data: None, "sortedset")
    plain = PackBuilder(lambda data: None, "set")

    def keys() -> Iterator[tuple[date, int]]:
        return ((date(2000, 1, 1) + timedelta(n), n) for n in range(1000))

    builder.take(keys(), 1 << 30, 2000)
    plain.take(keys(), 1 << 30, 2000)
    assert builder.held > plain.held + 1000 * 128
    with tempfile.TemporaryFile(buffering=0) as file:
        builder.spill(file)
    assert builder.held == 0


@pytest.mark.skipif("asan" in _core.BUILD, reason="the sanitizer's allocator does not fail")
@pytest.mark.parametrize("kind", ["map", "sortedmap"])
@pytest.mark.parametrize("spill_every", [None, 9])
@pytest.mark.parametrize("tuples", [False, True])
def test_a_failing_allocation_is_a_memory_error_and_loses_nothing(
    kind: str, spill_every: int | None, tuples: bool
) -> None:
    from support.failing_allocations import fail_every_allocation

    pairs = [((n % 20, "x") if tuples else n % 20, m(n=n)) for n in range(40)]
    register_order("test.identity", operator.pos)
    order = operator.pos if kind == "sortedmap" and not tuples else None
    with tempfile.TemporaryFile(buffering=0) as file:

        def operation() -> bytes:
            builder = PackBuilder(bytearray().extend, kind, key=order)
            waiting = iter(pairs)
            while builder.take(waiting, 1 << 60, spill_every or 100):
                if spill_every:
                    builder.spill(file)
            builder.merge(0)
            builder.finish()
            return builder.root_digest

        assert fail_every_allocation(operation) > 30


class Sink:
    """Refers to its builder, as the builder does to it."""

    builder: PackBuilder

    def __call__(self, data: bytes) -> None:
        pass


@pytest.mark.parametrize("stage", range(4))
def test_a_builder_that_is_dropped_half_way_lets_go_of_what_it_holds(stage: int) -> None:
    sink = Sink()
    sink.builder = builder = PackBuilder(sink, "sortedmap", key=pair)
    builder.take(iter([(k, m(k=k)) for k in range(50)]), 1 << 20, 100)
    steps: list[tuple[str, tuple[int, ...]]] = [("merge", (0,)), ("grow", (20,)), ("finish", ())]
    for name, arguments in steps[:stage]:
        getattr(builder, name)(*arguments)
    dropped = weakref.ref(sink)
    del builder, sink
    gc.collect()
    assert dropped() is None


def pair(key: int) -> tuple[int, int]:
    return key % 3, key


register_order("test.pair", pair)
