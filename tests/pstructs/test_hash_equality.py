"""Equal keys have equal hashes, whatever their types, and the hashes are those of the spec."""

from __future__ import annotations

import datetime as dt
import enum
import math
import uuid
from collections import namedtuple
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as some
import pytest
from hypothesis import example, given

from pstructs import _core, pmap, pset
from support.hash_reference import reference_hash

UTC = dt.UTC


def both(key: object) -> tuple[int, int]:
    """Return H1 and H2."""
    return _core._hash1(key), _core._hash2(key)


def by_reference(key: object) -> tuple[int, int]:
    """Return H1 and H2 as the spec has them."""
    return reference_hash(1, key), reference_hash(2, key)


def assert_one_hash(*keys: object) -> None:
    """All keys hash like the first."""
    for key in keys:
        assert both(key) == both(keys[0]), (key, keys[0])


# ---- numbers


@given(some.integers())
@example(2**63)
@example(-(2**63))
@example(10**1240)
def test_integer_hashes_as_the_spec_says(n: int) -> None:
    assert both(n) == by_reference(n)
    assert_one_hash(n, Decimal(n), Fraction(n))


@given(some.floats(allow_nan=False))
@example(5e-324)
@example(2.0**63)
@example(-(2.0**63))
def test_float_hashes_like_its_exact_ratio(x: float) -> None:
    assert both(x) == by_reference(x)
    assert_one_hash(x, complex(x), Decimal(x))
    if math.isfinite(x):
        assert_one_hash(x, Fraction(x))


@given(some.fractions())
def test_fraction_hashes_as_the_spec_says(x: Fraction) -> None:
    assert both(x) == by_reference(x)


@given(some.decimals(allow_nan=False))
@example(Decimal("1e-400"))
@example(Decimal("12345678901234567890.00"))
def test_decimal_hashes_like_the_equal_fraction(x: Decimal) -> None:
    assert both(x) == by_reference(x)
    if x.is_finite():
        assert_one_hash(x, Fraction(x))


@given(some.complex_numbers(allow_nan=False))
def test_complex_hashes_as_the_spec_says(x: complex) -> None:
    assert both(x) == by_reference(x)


@given(some.integers(1, 2**80), some.integers(0, 3000), some.integers(0, 9000))
@example(1, 0, 8191)
@example(1, 0, 8192)
@example(1, 0, 16384)
def test_factors_two_and_five_are_taken_out_of_huge_ints(m: int, two: int, five: int) -> None:
    n = m * 2**two * 5**five
    assert both(n) == by_reference(n)


def test_huge_powers_of_ten_equal_their_decimals() -> None:
    for exponent in (1000, 1233, 1234, 5000, 20_000, 40_000):
        for m in (1, 3, -7, 2**70 + 1):
            sign, digits = int(m < 0), tuple(map(int, str(abs(m))))
            assert_one_hash(m * 10**exponent, Decimal((sign, digits, exponent)))


def test_numbers_that_are_equal_have_one_hash() -> None:
    assert_one_hash(1, True, 1.0, 1 + 0j, Decimal(1), Decimal("1.000"), Fraction(1))
    assert_one_hash(0, False, 0.0, -0.0, -0j, Decimal("-0"), Decimal("0e99"), Fraction(0))
    assert_one_hash(0.5, Fraction(1, 2), Decimal("0.5"), Decimal("0.500"), 0.5 + 0j)
    assert_one_hash(Fraction(1, 10), Decimal("0.1"))
    assert_one_hash(float("inf"), Decimal("inf"))
    assert_one_hash(float("-inf"), Decimal("-inf"))


def test_nearly_equal_numbers_differ() -> None:
    keys = [0.1, Decimal("0.1"), Fraction(1, 3), 1 / 3, Decimal("0.3333333333333333333333333333")]
    assert len({both(key) for key in keys}) == len(keys)


def test_all_nans_are_one_key() -> None:
    assert_one_hash(float("nan"), math.nan, -math.nan, Decimal("nan"), Decimal("-nan123"))


def test_signaling_nan_is_refused() -> None:
    with pytest.raises(TypeError, match="signaling NaN"):
        _core._hash1(Decimal("snan"))


def test_decimal_with_more_digits_than_python_turns_into_an_int() -> None:
    digits = Decimal("7" * 6000)
    assert_one_hash(digits, int(digits))


def test_a_decimal_exponent_is_never_expanded() -> None:
    assert len({both(Decimal(f"{m}e{e}")) for m in (1, -1) for e in (999999999, -999999999)}) == 4


# ---- text and bytes


@given(some.text(some.characters(codec=None, exclude_categories=())))
def test_text_hashes_as_the_spec_says(text: str) -> None:
    assert both(text) == by_reference(text)


@given(some.binary(max_size=200))
def test_bytes_hash_as_the_spec_says(data: bytes) -> None:
    assert both(data) == by_reference(data)
    assert_one_hash(data, memoryview(data), memoryview(data).cast("b"))
    assert_one_hash(data[::-2], memoryview(data)[::-2])


@pytest.mark.parametrize("n", range(130))
def test_every_length_hashes_as_the_spec_says(n: int) -> None:
    data = bytes((i * 37 + 11) % 251 for i in range(n))
    assert both(data) == by_reference(data)
    text = data.decode("latin-1")
    assert both(text) == by_reference(text)
    wide = "".join(chr(0x400 + b) for b in data)
    assert both(wide) == by_reference(wide)


def test_writable_memoryview_is_refused() -> None:
    with pytest.raises(ValueError, match="writable"):
        _core._hash1(memoryview(bytearray(3)))


def test_text_and_bytes_differ() -> None:
    assert both("abc") != both(b"abc")


# ---- containers

leaves = some.one_of(
    some.none(), some.booleans(), some.integers(), some.floats(allow_nan=False), some.text()
)
nested = some.recursive(
    leaves, lambda inner: some.tuples(inner, inner) | some.frozensets(inner), max_leaves=20
)


@given(nested)
def test_nested_containers_hash_as_the_spec_says(key: object) -> None:
    assert both(key) == by_reference(key)


@given(some.lists(some.integers() | some.text(), unique=True), some.randoms())
def test_a_frozenset_hashes_the_same_in_any_order(items: list[Any], random: Any) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)
    assert_one_hash(frozenset(items), frozenset(shuffled), pset(shuffled))


def test_a_large_frozenset_hashes_as_the_spec_says() -> None:
    key = frozenset(range(5000))
    assert both(key) == by_reference(key)


def test_a_namedtuple_hashes_like_its_tuple() -> None:
    Point = namedtuple("Point", "x y")
    assert_one_hash((1, 2), Point(1, 2), (1.0, Decimal(2)))


def test_order_and_nesting_of_a_tuple_count() -> None:
    keys = [(1, 2), (2, 1), (1, (2,)), ((1,), 2), (1, 2, ()), frozenset([1, 2])]
    assert len({both(key) for key in keys}) == len(keys)


def test_equal_collections_hash_equal_however_they_were_made() -> None:
    grown = pmap({}).set("b", 2).set("a", 1.0).set("c", 3).remove("c")
    assert_one_hash(pmap({"a": 1, "b": 2}), grown)
    assert_one_hash(pset([1, 2]), pset([2, 1, 3]).remove(3), frozenset([1.0, 2]))
    assert both(pmap({1: 2})) != both(pmap({2: 1}))


# ---- dates


@given(some.datetimes(timezones=some.none() | some.timezones()))
def test_datetime_hashes_as_the_spec_says(moment: dt.datetime) -> None:
    assert both(moment) == by_reference(moment)
    assert both(moment.date()) == by_reference(moment.date())
    assert both(moment.time()) == by_reference(moment.time())


@given(some.timedeltas())
def test_timedelta_hashes_as_the_spec_says(delta: dt.timedelta) -> None:
    assert both(delta) == by_reference(delta)


def test_aware_datetimes_hash_by_utc() -> None:
    noon = dt.datetime(2024, 3, 1, 12, tzinfo=UTC)
    east = dt.timezone(dt.timedelta(hours=5, minutes=30))
    assert_one_hash(noon, noon.astimezone(east), noon.astimezone(ZoneInfo("Europe/Berlin")))
    assert both(noon) != both(noon.replace(tzinfo=None))
    assert_one_hash(dt.time(12, tzinfo=UTC), dt.time(17, 30, tzinfo=east))
    assert both(dt.time(12, tzinfo=UTC)) != both(dt.time(12))


def test_fold_does_not_count() -> None:
    for zone in (None, ZoneInfo("Europe/Berlin")):
        first = dt.datetime(2020, 10, 25, 2, 30, tzinfo=zone)
        second = first.replace(fold=1)
        assert first == second
        assert_one_hash(first, second)


def test_date_and_datetime_differ() -> None:
    assert both(dt.date(2024, 1, 1)) != both(dt.datetime(2024, 1, 1))


def test_an_exception_of_a_time_zone_propagates() -> None:
    class Broken(dt.tzinfo):
        def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
            raise LookupError("no such zone")

    with pytest.raises(LookupError, match="no such zone"):
        _core._hash1(dt.datetime(2024, 1, 1, tzinfo=Broken()))


def test_uuid_hashes_by_value() -> None:
    key = uuid.UUID("12345678-1234-5678-1234-567812345678")
    assert both(key) == by_reference(key) == both(uuid.UUID(int=key.int))


# ---- enums


class Plain(enum.Enum):
    ONE = 1
    TWO = 2


class Number(enum.IntEnum):
    ONE = 1


class Text(enum.StrEnum):
    A = "a"


class Mixed(str, enum.Enum):  # noqa: UP042  (the older way is the one under test)
    A = "a"


class Bits(enum.Flag):
    R = 1
    W = 2


def test_plain_enum_members_hash_by_class_and_name() -> None:
    assert both(Plain.ONE) == by_reference(Plain.ONE)
    assert both(Plain.ONE) not in {both(1), both("ONE"), both(Plain.TWO)}


def test_members_that_equal_a_value_hash_like_it() -> None:
    assert_one_hash(1, Number.ONE)
    assert_one_hash("a", Text.A, Mixed.A)


def test_combined_flags_hash_by_value() -> None:
    for flags in (Bits.R, Bits.R | Bits.W, Bits(0)):
        assert both(flags) == by_reference(flags)
    assert_one_hash(Bits.R | Bits.W, Bits.W | Bits.R)


# ---- subclasses


def loud(base: type) -> type:
    """Return a subclass that overrides __hash__ and answers as its base."""

    class Loud(base):  # type: ignore[misc]
        def __hash__(self) -> int:
            return int(base.__hash__(self))

    return Loud


def other(base: type) -> type:
    """Return a subclass with equality and a hash of its own."""

    class Other(base):  # type: ignore[misc]
        def __eq__(self, x: object) -> bool:
            return self is x

        def __hash__(self) -> int:
            return 12345

    return Other


BASES: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (int, (7,)),
    (int, (10**40,)),
    (float, (0.25,)),
    (complex, (1, 2)),
    (str, ("text",)),
    (bytes, (b"bytes",)),
    (tuple, ((1, "a"),)),
    (frozenset, ((1, 2),)),
    (Decimal, ("1.5",)),
    (Fraction, (1, 3)),
    (dt.date, (2024, 1, 1)),
    (dt.datetime, (2024, 1, 1, 5)),
    (dt.time, (5,)),
    (dt.timedelta, (5,)),
]


@pytest.mark.parametrize(("base", "args"), BASES)
def test_a_subclass_that_inherits_hash_hashes_as_its_base(base: type, args: tuple[Any]) -> None:
    assert_one_hash(base(*args), type("Sub", (base,), {})(*args))


@pytest.mark.parametrize(("base", "args"), BASES)
def test_a_subclass_that_answers_like_its_base_hashes_as_it(base: type, args: tuple[Any]) -> None:
    key = loud(base)(*args)
    assert_one_hash(base(*args), key)
    assert _core._hash_is_stable(key)


@pytest.mark.parametrize(("base", "args"), BASES)
def test_a_subclass_that_answers_otherwise_is_any_object(base: type, args: tuple[Any]) -> None:
    key = other(base)(*args)
    assert both(key) != both(base(*args))
    assert not _core._hash_is_stable(key)


def test_a_subclass_that_hashes_what_its_base_cannot_is_any_object() -> None:
    assert not _core._hash_is_stable(other(tuple)([[]]))


def test_own_attributes_of_a_number_subclass_do_not_change_its_value() -> None:
    class Liar(int):
        def __int__(self) -> int:
            return 99

        def __abs__(self) -> int:
            return 99

    assert_one_hash(2**80, Liar(2**80))
    assert_one_hash(5, Liar(5))
