"""Hashes spread like random numbers, and keys made to collide in H1 differ in H2."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from pstructs import _core
from support.hostile import colliding_bytes, colliding_strings, mersenne_ints, shifted_ints

COUNT = 20_000

KEYS: dict[str, Callable[[int], Any]] = {
    "sequential": lambda i: i,
    "negative": lambda i: -i,
    "stride 8": lambda i: 8 * i,
    "stride 1000": lambda i: 1000 * i,
    "stride 2**20": lambda i: i << 20,
    "shifted": lambda i: i << 32,
    "beyond 64 bits": lambda i: i << 70,
    "mersenne": lambda i: i * (2**61 - 1),
    "floats": lambda i: i + 0.5,
    "k%d": lambda i: f"k{i}",
    "%08d": lambda i: f"{i:08d}",
    "long": lambda i: f"user:{i}:profile:attributes:and:more:of:it:to:be:long",
    "greek": lambda i: f"\u03b1{i}",
    "bytes": lambda i: i.to_bytes(4, "little"),
    "tuples": lambda i: (i // 100, i % 100),
    "frozensets": lambda i: frozenset((i // 100, i % 100 + 10**6)),
}


@pytest.mark.parametrize("which", [1, 2])
@pytest.mark.parametrize("name", KEYS)
def test_top_bits_spread_like_random_ones(name: str, which: int) -> None:
    hash_of = _core._hash1 if which == 1 else _core._hash2
    hashes = {hash_of(KEYS[name](i)) for i in range(COUNT)}
    assert len(hashes) == COUNT
    for bits in (5, 10, 15):
        cells = 1 << bits
        counts = Counter(h >> (64 - bits) for h in hashes)
        expected = COUNT / cells
        chi = sum((c - expected) ** 2 / expected for c in counts.values())
        chi += (cells - len(counts)) * expected
        # Its mean is cells - 1 and its variance twice that; six deviations never happen.
        assert abs(chi - (cells - 1)) < 6 * (2 * (cells - 1)) ** 0.5, (bits, chi)


@pytest.mark.parametrize("make", [colliding_bytes, colliding_strings])
def test_keys_that_collide_in_h1_differ_in_h2(make: Callable[[int], list[Any]]) -> None:
    keys = make(3000)
    assert len(set(keys)) == 3000
    assert len({_core._hash1(key) for key in keys}) == 1
    assert len({_core._hash2(key) for key in keys}) == 3000


def test_collisions_in_h1_do_not_reach_h2_of_containers() -> None:
    keys = colliding_strings(500)
    for wrap in (lambda key: (1, key), lambda key: frozenset([key, 2])):
        assert len({_core._hash1(wrap(key)) for key in keys}) == 1
        assert len({_core._hash2(wrap(key)) for key in keys}) == 500


@pytest.mark.parametrize("make", [mersenne_ints, shifted_ints])
def test_ints_with_one_python_hash_never_collide(make: Callable[[int], list[int]]) -> None:
    keys = make(20_000)
    assert len({_core._hash1(key) for key in keys}) == 20_000


def test_large_sets_do_not_cancel_out() -> None:
    """Sums or exclusive ors of element hashes would: here every set is the whole less one."""
    whole = frozenset(range(600))
    hashes = {_core._hash1(whole - {i}) for i in range(600)}
    assert len(hashes) == 600
