"""Keys outside the domain: heap-only, refused when they have to be stable, or given a codec."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Hashable
from fractions import Fraction
from typing import Any

import pytest

import pstructs
from pstructs import _core, pmap, pset
from pstructs.errors import CodecError, UnsavableKeyError


def both(key: object) -> tuple[int, int]:
    """Return H1 and H2."""
    return _core._hash1(key), _core._hash2(key)


class Thing:
    """An ordinary object: hash and equality by identity."""


@pytest.mark.parametrize(
    "key", [Thing(), Thing, len, range(3), both, (1, Thing()), frozenset([int])]
)
def test_any_other_object_is_heap_only(key: Hashable) -> None:
    assert both(key) == both(key)
    assert not _core._hash_is_stable(key)
    with pytest.raises(UnsavableKeyError, match="register_codec"):
        pstructs.stable_hash(key)


@pytest.mark.parametrize(
    "key",
    [
        (1, ("a", frozenset([Thing()]))),
        pset([1, (2, Thing())]),
        pmap({"a": 1, "b": pset([Thing()])}),
        pmap({Thing(): 1}),
    ],
)
def test_unsavable_key_error_names_the_inner_type(key: Hashable) -> None:
    with pytest.raises(UnsavableKeyError, match="'Thing'"):
        pstructs.stable_hash(key)


def test_a_map_with_an_unhashable_value_is_unhashable() -> None:
    with pytest.raises(TypeError, match="value of key 'a' is of unhashable type 'list'"):
        pstructs.stable_hash(pmap({"a": []}))


@pytest.mark.parametrize("function", ["_hash1", "_hash2", "stable_hash"])
@pytest.mark.parametrize("key", [[], {}, set(), bytearray(), (1, []), ((), ({},)), (Fraction, [])])
def test_unhashable_keys_raise_the_usual_error(function: str, key: Any) -> None:
    with pytest.raises(TypeError, match="unhashable type: '"):
        getattr(_core, function)(key)


class Raising:
    """Raises in __hash__."""

    def __hash__(self) -> int:
        raise LookupError("no hash today")


class RaisingText(str):
    """A str that raises in __hash__."""

    def __hash__(self) -> int:
        raise LookupError("no hash today")


@pytest.mark.parametrize("function", ["_hash1", "_hash2", "stable_hash"])
@pytest.mark.parametrize("key", [Raising(), RaisingText("x"), (1, Raising()), (RaisingText(),)])
def test_exceptions_of_hash_propagate(function: str, key: Any) -> None:
    with pytest.raises(LookupError, match="no hash today"):
        getattr(_core, function)(key)


def test_a_hash_of_minus_one_is_no_error() -> None:
    class MinusOne:
        def __hash__(self) -> int:
            return -1

    assert hash(MinusOne()) == -2
    assert both(MinusOne()) == both(MinusOne())
    assert both(-1) != both(-2)


@pytest.mark.parametrize("function", ["_hash1", "_hash2", "_hash_is_stable", "stable_hash"])
def test_deep_nesting_ends_in_recursion_error(function: str) -> None:
    key: tuple[Any, ...] = ()
    for _ in range(100_000):
        key = (key,)
    with pytest.raises(RecursionError):
        getattr(_core, function)(key)
    old = sys.getrecursionlimit()
    sys.setrecursionlimit(10**8)
    try:
        with pytest.raises(RecursionError):
            getattr(_core, function)(key)
    finally:
        sys.setrecursionlimit(old)


# ---- registered key types


def test_a_registered_key_hashes_by_name_and_encoding() -> None:
    class Point:
        def __init__(self, x: int, y: int) -> None:
            self.x, self.y = x, y

    _core._register_key_type(Point, "test.point", lambda p: (p.x, p.y))
    assert both(Point(1, 2)) == both(Point(1, 2))
    assert both(Point(1, 2)) != both(Point(2, 1))
    assert _core._hash_is_stable((Point(1, 2),))
    assert pstructs.stable_hash(Point(1, 2)) == _core._hash1(Point(1, 2))
    assert both(Point(1, 2)) not in {both((1, 2)), both(("test.point", (1, 2)))}


def test_a_type_used_before_it_was_registered_is_refused() -> None:
    class Late:
        pass

    _core._hash1((1, Late()))
    with pytest.raises(CodecError, match="register before first use as key"):
        _core._register_key_type(Late, "test.late", str)


def test_a_type_of_the_domain_is_refused() -> None:
    class Sub(str):
        pass

    for cls in (int, str, tuple, type(None), memoryview, Fraction, Sub):
        with pytest.raises(CodecError, match="hash domain"):
            _core._register_key_type(cls, "test.domain", str)


def test_an_encoder_that_gives_no_stable_key_is_refused() -> None:
    class Bad:
        pass

    _core._register_key_type(Bad, "test.bad", lambda key: [1])
    with pytest.raises(CodecError, match=r"'test\.bad' encoded a 'Bad' as a 'list'"):
        _core._hash1(Bad())


def test_an_exception_of_an_encoder_propagates() -> None:
    class Fails:
        pass

    def encode(key: Fails) -> str:
        raise LookupError("can't encode")

    _core._register_key_type(Fails, "test.fails", encode)
    with pytest.raises(LookupError, match="can't encode"):
        _core._hash2((Fails(),))


def test_arguments_of_register_are_checked() -> None:
    with pytest.raises(TypeError):
        _core._register_key_type(1, "x", str)
    with pytest.raises(TypeError, match="callable"):
        _core._register_key_type(Thing, "x", 1)


def test_heap_only_types_are_not_kept_alive() -> None:
    refs = []
    for _ in range(200):
        cls = type("Brief", (), {})
        _core._hash1(cls())
        refs.append(weakref.ref(cls))
        del cls
    gc.collect()
    assert not [ref for ref in refs if ref() is not None]
