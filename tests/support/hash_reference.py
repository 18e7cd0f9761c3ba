"""H1 and H2 in plain Python, written from docs/spec/hash-v1.md: the oracle of the hash tests."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from math import gcd, isfinite, isnan

M64 = (1 << 64) - 1
P0, P1 = 0x510E527FADE682D1, 0x5BE0CD19137E2179
P2, P3 = 0xE360B596DC380C3F, 0x39479381ECBCE703
GOLD, MIX = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
K0, K1 = 0x60A7A9985B936A57, 0x42687A3989FE8F31


def word(data: bytes, at: int, size: int = 8) -> int:
    """Return the little-endian word of `size` bytes at an offset."""
    assert 0 <= at <= len(data) - size
    return int.from_bytes(data[at : at + size], "little")


def u64(x: int) -> bytes:
    """Return 8 little-endian bytes of x modulo 2**64."""
    return (x & M64).to_bytes(8, "little")


def fold(a: int, b: int) -> int:
    """Multiply and exclusive-or the halves of the product."""
    return (a * b & M64) ^ (a * b >> 64)


def finish(a: int, b: int, chain: int, length: int) -> int:
    """Mix the last two words in."""
    product = (a ^ P1) * (b ^ P2 ^ chain)
    return fold((product & M64) ^ P0 ^ length, (product >> 64) ^ P3)


def bytes1(kind: int, data: bytes) -> int:
    """Return H1 of bytes."""
    seed, n = kind * GOLD & M64, len(data)
    if n == 0:
        return finish(0, 0, seed, 0)
    if n < 4:
        return finish(data[0] << 16 | data[n >> 1] << 8 | data[-1], 0, seed, n)
    if n <= 16:
        size = 8 if n >= 8 else 4
        a, b = word(data, 0, size), word(data, n - size, size)
        return finish(a, b, seed, n)

    def lane(at: int, constant: int, chain: int) -> int:
        return fold(word(data, at) ^ constant, word(data, at + 8) ^ chain)

    chain, at = seed, 0
    if n > 48:
        lanes = [seed, seed, seed]
        while n - at > 48:
            lanes = [lane(at + 16 * i, k, lanes[i]) for i, k in enumerate((P1, P2, P3))]
            at += 48
        chain = lanes[0] ^ lanes[1] ^ lanes[2]
    while n - at > 16:
        chain = lane(at, P1, chain)
        at += 16
    return finish(word(data, n - 16), word(data, n - 8), chain, n)


def siphash13(data: bytes, k0: int, k1: int) -> int:
    """Return SipHash-1-3 of bytes under a key of two words."""
    names = b"somepseudorandomlygeneratedbytes"
    v = [int.from_bytes(names[i : i + 8], "big") ^ k for i, k in zip((0, 8, 16, 24), (k0, k1) * 2)]

    def turn(x: int, n: int) -> int:
        return (x << n | x >> (64 - n)) & M64

    def rounds(count: int) -> None:
        for _ in range(count):
            v[0] = v[0] + v[1] & M64
            v[1] = turn(v[1], 13) ^ v[0]
            v[0] = turn(v[0], 32)
            v[2] = v[2] + v[3] & M64
            v[3] = turn(v[3], 16) ^ v[2]
            v[0] = v[0] + v[3] & M64
            v[3] = turn(v[3], 21) ^ v[0]
            v[2] = v[2] + v[1] & M64
            v[1] = turn(v[1], 17) ^ v[2]
            v[2] = turn(v[2], 32)

    whole = len(data) // 8 * 8
    words = [word(data, at) for at in range(0, whole, 8)]
    words.append(int.from_bytes(data[whole:], "little") | (len(data) & 255) << 56)
    for m in words:
        v[3] ^= m
        rounds(1)
        v[0] ^= m
    v[2] ^= 0xFF
    rounds(3)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def leaf(which: int, kind: int, data: bytes) -> int:
    """Return H1 or H2 of the canonical bytes of a kind."""
    return bytes1(kind, data) if which == 1 else siphash13(data, K0 ^ kind, K1)


def integer(which: int, n: int) -> int:
    """Return the hash of an integer within 64 bits."""
    if which == 2:
        return leaf(2, 6, u64(n))
    x = n + GOLD & M64
    x ^= x >> 32
    x = x * MIX & M64
    x ^= x >> 32
    x = x * MIX & M64
    return x ^ x >> 32


def strip(n: int, factor: int) -> tuple[int, int]:
    """Divide a factor out of n as often as it goes; return what is left and how often."""
    count = 0
    while n % factor == 0:
        n, count = n // factor, count + 1
    return n, count


def rational(which: int, negative: bool, n: int, q: int = 1, ten: int = 0) -> int:
    """Return the hash of (-1)**negative * n / q * 10**ten."""
    if n == 0:
        return integer(which, 0)
    common = gcd(n, q)
    n, up2 = strip(n // common, 2)
    n, up5 = strip(n, 5)
    q, down2 = strip(q // common, 2)
    q, down5 = strip(q, 5)
    a, b = ten + up2 - down2, ten + up5 - down5
    if q == 1 and 0 <= a < 64 and 0 <= b < 64:
        value = n * 2**a * 5**b * (-1 if negative else 1)
        if -(2**63) <= value < 2**63:
            return integer(which, value)
    top = n.to_bytes((n.bit_length() + 7) // 8, "little")
    bottom = b"" if q == 1 else q.to_bytes((q.bit_length() + 7) // 8, "little")
    head = bytes([negative]) + u64(a) + u64(b) + u64(len(top))
    return leaf(which, 7, head + top + bottom)


def number(which: int, x: int | float | complex | Decimal | Fraction) -> int:
    """Return the hash of a number."""
    if isinstance(x, complex):
        if x.imag == 0:
            return number(which, x.real)
        return leaf(which, 9, u64(number(which, x.real)) + u64(number(which, x.imag)))
    finite = x.is_finite() if isinstance(x, Decimal) else not isinstance(x, float) or isfinite(x)
    if not finite:
        return leaf(which, 8, b"nan" if isnan(x) else b"inf" if x > 0 else b"-inf")
    if isinstance(x, Decimal):
        sign, digits, exponent = x.as_tuple()
        assert isinstance(exponent, int)
        coefficient = 0
        for digit in digits:
            coefficient = coefficient * 10 + digit
        return rational(which, bool(sign), coefficient, ten=exponent)
    n, q = x.as_integer_ratio()
    return rational(which, n < 0, abs(n), q)


def clock(which: int, x: dt.datetime | dt.time, micros: int, kind: int) -> int:
    """Return the hash of a datetime or time with these local microseconds."""
    offset = x.replace(fold=0).utcoffset()
    if offset is None:
        return leaf(which, kind, u64(micros))
    return leaf(which, kind + 1, u64(micros - offset // dt.timedelta(microseconds=1)))


def parts(which: int, kind: int, hashes: Iterable[int]) -> int:
    """Return the hash of a container from the hashes of its parts."""
    return leaf(which, kind, b"".join(map(u64, hashes)))


def reference_hash(which: int, x: object) -> int:
    """Return H1 (which = 1) or H2 (which = 2) of a key of a type of the domain.

    Subclasses count as their base; registered and heap-only types are not covered.
    """
    if x is None or x is ...:
        return leaf(which, 10 if x is None else 11, b"")
    if isinstance(x, str):
        width = 1 if max(x, default="") <= "\xff" else 2 if max(x) <= "\uffff" else 4
        return leaf(which, width, b"".join(ord(c).to_bytes(width, "little") for c in x))
    if isinstance(x, bytes | memoryview):
        return leaf(which, 5, bytes(x))
    if isinstance(x, int | float | complex | Decimal | Fraction):
        return number(which, x)
    if isinstance(x, tuple):
        return parts(which, 12, (reference_hash(which, e) for e in x))
    if isinstance(x, frozenset):
        return parts(which, 13, sorted(reference_hash(which, e) for e in x))
    if isinstance(x, uuid.UUID):
        return leaf(which, 22, x.int.to_bytes(16, "big"))
    if isinstance(x, enum.Enum):
        cls, name = type(x), x._name_
        named = name is not None and "|" not in name
        last = name if named else x._value_
        path = (cls.__module__, cls.__qualname__, last)
        return parts(which, 23 if named else 24, (reference_hash(which, e) for e in path))
    return moment(which, x)


def moment(which: int, x: object) -> int:
    """Return the hash of a date, datetime, time or timedelta."""
    if isinstance(x, dt.timedelta):
        fields = (x.days, x.seconds, x.microseconds)
        return leaf(which, 21, b"".join((f & 0xFFFFFFFF).to_bytes(4, "little") for f in fields))
    if isinstance(x, dt.datetime):
        since = x.replace(tzinfo=None) - dt.datetime(1, 1, 1)
        return clock(which, x, since // dt.timedelta(microseconds=1), 17)
    if isinstance(x, dt.date):
        return leaf(which, 16, x.year.to_bytes(2, "little") + bytes([x.month, x.day]))
    if isinstance(x, dt.time):
        seconds = x.hour * 3600 + x.minute * 60 + x.second
        return clock(which, x, seconds * 10**6 + x.microsecond, 19)
    raise TypeError(f"not in the hash domain: {x!r}")
