"""What type checkers know of memoized functions and methods."""

from __future__ import annotations

from typing import assert_type

from pstructs.cache import Digest, MemoryTier, TieredCache, memoize

cache = TieredCache(MemoryTier())


@memoize(cache)
def plain(n: int, text: str = "") -> list[int]:
    """Return n in a list."""
    return [n]


def number(n: int) -> list[str]:
    """Return the tags of `later(n)`."""
    return [f"number {n}"]


@memoize(cache, ttl=5, tags=number)
async def later(n: int) -> str:
    """Return n as text."""
    return str(n)


class Shop:
    """Has methods of all kinds."""

    @memoize(cache, ignore=["self"])
    def tax(self, country: str) -> float:
        """Return a tax."""
        return 0.19

    @staticmethod
    @memoize(cache)
    def double(n: int) -> int:
        """Return twice n."""
        return 2 * n


async def right_uses() -> None:
    """Use them as they are meant."""
    assert_type(plain(1, text="a"), list[int])
    assert_type(await later(1), str)
    assert_type(Shop().tax("DE"), float)
    assert_type(Shop.double(3), int)
    assert_type(plain.key(1), Digest)
    assert_type(Shop.tax.key(Shop(), "DE"), Digest)
    assert_type(plain.cache_info().misses, int)
    assert_type(plain.invalidate(1), bool)


def wrong_uses() -> None:
    """Each line is an error."""
    plain("a")  # type: ignore[arg-type]
    plain.key()  # type: ignore[call-arg]
    Shop().tax(5)  # type: ignore[arg-type]
    plain.cache_info().nothing  # type: ignore[attr-defined]
