"""Keys for tests of sorted collections: they raise, call back and count on demand."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["LessKeyError", "Ordered", "calling", "raising"]


class LessKeyError(Exception):
    """Raised by a key's `__lt__` or `__eq__`: no other code raises it."""


@functools.total_ordering
class Ordered:
    """A key that is ordered by its number; every comparison calls `on_compare` first."""

    on_compare: Callable[[], Any] | None = None

    def __init__(self, number: int) -> None:
        self.number = number

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Ordered):
            return NotImplemented
        if Ordered.on_compare is not None:
            Ordered.on_compare()
        return self.number < other.number

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ordered):
            return NotImplemented
        if Ordered.on_compare is not None:
            Ordered.on_compare()
        return self.number == other.number

    def __hash__(self) -> int:
        return hash(self.number)

    def __repr__(self) -> str:
        return f"Ordered({self.number})"


@contextmanager
def calling(on_compare: Callable[[], Any]) -> Iterator[None]:
    """Run `on_compare` in every comparison; not inside itself."""
    running = False

    def guarded() -> None:
        nonlocal running
        if not running:
            running = True
            try:
                on_compare()
            finally:
                running = False

    before = Ordered.on_compare
    Ordered.on_compare = staticmethod(guarded)  # type: ignore[assignment]
    try:
        yield
    finally:
        Ordered.on_compare = before


@contextmanager
def raising(after: int) -> Iterator[None]:
    """Raise in the n-th (from 0) and every later comparison."""
    n = 0

    def on_compare() -> None:
        nonlocal n
        n += 1
        if n > after:
            raise LessKeyError

    with calling(on_compare):
        yield
