"""Keys of an enemy who has read the hash domain: see docs/spec/hash-v1.md.

H1 multiplies `a ^ P1` with a word that holds half of a 16-byte key. Where `a` is P1 the product is
zero, and whatever the other half says no longer counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from support.hash_reference import P1

__all__ = ["colliding_bytes", "colliding_strings", "mersenne_ints", "shifted_ints"]


def mersenne_ints(n: int) -> list[int]:
    """Return n ints with one `hash()`: multiples of the modulus of Python's numeric hash."""
    return [i * (2**61 - 1) for i in range(n)]


def shifted_ints(n: int) -> list[int]:
    """Return n ints that differ in their high bits only."""
    return [i << 32 for i in range(n)]


def _colliding() -> Iterator[bytes]:
    half = P1.to_bytes(8, "little")
    for i in range(1 << 62):
        yield half + i.to_bytes(8, "little")


def colliding_bytes(n: int) -> list[bytes]:
    """Return n distinct bytes of length 16 that all have the same H1."""
    return list(islice(_colliding(), n))


def colliding_strings(n: int) -> list[str]:
    """Return n distinct strings of 16 characters that all have the same H1."""
    return [key.decode("latin-1") for key in colliding_bytes(n)]
