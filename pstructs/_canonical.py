"""Canonical forms of rare numbers, called by the C core when it hashes them.

Huge integers (over 4096 bits) are stripped of their factors 2 and 5 here, and numbers of other
libraries (`numbers.Real`, `numbers.Complex`) are turned into the plain number that they equal.
"""

from __future__ import annotations

import numbers
from fractions import Fraction
from math import isfinite

__all__ = ["plain_number", "strip"]

_SMALL_BITS = 20_000  # below this, CPython's schoolbook division beats the Newton inverse


def _inverse(odd: int, bits: int) -> int:
    """Return the inverse of an odd number modulo 2**bits, by Newton's iteration."""
    inverse, have = odd & 7, 3  # an odd number is its own inverse modulo 8
    while have < bits:
        have = min(2 * have, bits)
        mask = (1 << have) - 1
        inverse = inverse * (2 - (odd & mask) * inverse) & mask
    return inverse


def _exact_quotient(n: int, divisor: int) -> int | None:
    """Return n / divisor, or None when it leaves a rest.

    CPython divides in quadratic time. When the division is exact, the quotient is also n times
    the inverse of the divisor modulo a power of two, which needs multiplications only.
    """
    bits = n.bit_length() - divisor.bit_length() + 1
    if bits <= 0:
        return None
    if divisor.bit_length() < _SMALL_BITS:
        quotient, rest = divmod(n, divisor)
        return None if rest else quotient
    mask = (1 << bits) - 1
    quotient = (n & mask) * _inverse(divisor & mask, bits) & mask
    return quotient if quotient * divisor == n else None


def strip(n: int) -> tuple[bytes, int, int]:
    """Write a positive integer as m * 2**two * 5**five with m free of both.

    Returns
    -------
    tuple
        The bytes of m, little-endian, and the two exponents.

    Cost: O(b) for b bits when few fives divide n; with M the cost of a multiplication, O(M(b))
    for a power of ten and O(M(b) log b) at most. Small powers 5, 5**2, 5**4, ... are divided out
    going up, so that most numbers stop at once; then the largest power that fits and, halving
    the exponent, every smaller one, each once.

    Examples
    --------
    >>> strip(3 * 2**7 * 5**9)
    (b'\\x03', 7, 9)
    """
    two = (n & -n).bit_length() - 1
    n >>= two
    five = 0
    powers = [5]
    while (quotient := _exact_quotient(n, powers[-1])) is not None:
        n = quotient
        five += 1 << len(powers) - 1
        powers.append(powers[-1] * powers[-1])
        if powers[-1].bit_length() >= _SMALL_BITS:
            while 2 * powers[-1].bit_length() <= n.bit_length() + 1:
                powers.append(powers[-1] * powers[-1])
            break
    for i in reversed(range(len(powers))):
        if (quotient := _exact_quotient(n, powers[i])) is not None:
            n = quotient
            five += 1 << i
    return n.to_bytes((n.bit_length() + 7) // 8, "little"), two, five


def plain_number(x: object) -> int | float | complex | Fraction | None:
    """Return the plain number equal to x, or None when there is none.

    Parameters
    ----------
    x : object
        A number of another library, registered with the classes of `numbers`.

    Examples
    --------
    >>> from fractions import Fraction
    >>> plain_number(Fraction(1, 2))
    Fraction(1, 2)
    """
    if isinstance(x, numbers.Rational):
        return Fraction(int(x.numerator), int(x.denominator))
    if isinstance(x, numbers.Real):
        near = float(x)
        if near == x or near != near:
            return near
        if not isfinite(near) or not hasattr(x, "as_integer_ratio"):
            return None
        numerator, denominator = x.as_integer_ratio()
        return Fraction(int(numerator), int(denominator))
    if isinstance(x, numbers.Complex):
        value = complex(x)
        return value if value == x or value != value else None
    return None
