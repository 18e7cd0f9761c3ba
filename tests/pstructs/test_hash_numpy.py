"""Scalars of numpy and other libraries' numbers hash like the plain numbers that they equal."""

from __future__ import annotations

import numbers
from decimal import Decimal
from typing import Any

import pytest

from pstructs import _core

np = pytest.importorskip("numpy")


def both(key: object) -> tuple[int, int]:
    """Return H1 and H2."""
    return _core._hash1(key), _core._hash2(key)


INTEGERS = "int8 int16 int32 int64 uint8 uint16 uint32 uint64 longlong".split()
FLOATS = "float16 float32 float64 longdouble".split()


@pytest.mark.parametrize("name", INTEGERS)
def test_numpy_integers_hash_like_ints(name: str) -> None:
    kind = getattr(np, name)
    for value in (0, 1, int(np.iinfo(kind).max), int(np.iinfo(kind).min)):
        assert both(kind(value)) == both(value)
        assert _core._hash_is_stable(kind(value))


@pytest.mark.parametrize("name", FLOATS)
def test_numpy_floats_hash_like_floats(name: str) -> None:
    kind = getattr(np, name)
    for value in (0.0, -0.0, 1.0, 0.5, -1.25, float("inf"), float("nan")):
        assert both(kind(value)) == both(value)
    third = kind(1) / kind(3)
    if name != "longdouble":
        assert both(third) == both(float(third))


def test_other_numpy_scalars_hash_like_what_they_equal() -> None:
    assert both(np.bool_(True)) == both(1)
    assert both(np.bool_(False)) == both(0)
    assert both(np.complex64(1 + 2j)) == both(1 + 2j)
    assert both(np.complex128(3)) == both(3)
    assert both(np.str_("abc")) == both("abc")
    assert both(np.bytes_(b"abc")) == both(b"abc")


def test_longdouble_that_is_no_float_hashes_by_its_exact_value_or_as_any_object() -> None:
    third = np.longdouble(1) / np.longdouble(3)
    assert both(third) == both(np.longdouble(1) / np.longdouble(3))


def test_numpy_times_are_heap_only() -> None:
    for key in (np.timedelta64(5, "s"), np.datetime64("2024-01-01")):
        assert not _core._hash_is_stable(key)
        both(key)


class Whole:
    """An Integral that is equal to an int, in hash too unless it was told to lie."""

    def __init__(self, value: int, hashed: int | None = None) -> None:
        self.value, self.hashed = value, hashed

    def __index__(self) -> int:
        return self.value

    def __hash__(self) -> int:
        return hash(self.value) if self.hashed is None else self.hashed


numbers.Integral.register(Whole)


def test_an_integral_that_hashes_like_its_index_hashes_as_the_int() -> None:
    assert both(Whole(7)) == both(7)
    assert both(Whole(10**30)) == both(Decimal(10**30))


def test_an_integral_that_hashes_otherwise_is_any_object() -> None:
    key = Whole(7, hashed=8)
    assert both(key) != both(7)
    assert not _core._hash_is_stable(key)


def test_index_alone_does_not_make_a_number() -> None:
    class Position:
        def __index__(self) -> int:
            return 3

        def __hash__(self) -> int:
            return 3

    assert not _core._hash_is_stable(Position())


def test_an_exception_of_index_propagates() -> None:
    class Broken(Whole):
        def __index__(self) -> Any:
            raise LookupError("no index")

    with pytest.raises(LookupError, match="no index"):
        _core._hash1(Broken(1))
