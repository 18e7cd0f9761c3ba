"""Keys that misbehave on demand: equal hashes, raising hashes and comparisons, callbacks.

They are outside the hash domain, so the trie places them by `hash(obj)`: equal hashes collide in
H1 and in H2, down to a collision node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class HashKeyError(Exception):
    """Raised by a key's `__hash__`."""


class EqKeyError(Exception):
    """Raised by a key's `__eq__`."""


class Key:
    """A key with a chosen hash. Equality goes by name, unless told to raise.

    `on_hash` and `on_eq` are called before the answer; they may raise.
    """

    on_hash: Callable[[Key], Any] | None = None
    on_eq: Callable[[Key, object], Any] | None = None

    def __init__(self, name: object, hash_: int | None = None) -> None:
        self.name = name
        self.hash = hash(name) if hash_ is None else hash_

    def __hash__(self) -> int:
        if Key.on_hash is not None:
            Key.on_hash(self)
        return self.hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Key):
            return NotImplemented
        if Key.on_eq is not None:
            Key.on_eq(self, other)
        return self.name == other.name

    def __repr__(self) -> str:
        return f"Key({self.name!r}, {self.hash})"


def colliding(n: int, hash_: int = 17, start: int = 0) -> list[Key]:
    """`n` different keys with one hash."""
    return [Key(i, hash_) for i in range(start, start + n)]


@contextmanager
def calling(
    *,
    on_hash: Callable[[Key], Any] | None = None,
    on_eq: Callable[[Key, object], Any] | None = None,
) -> Iterator[None]:
    """Run `on_hash` / `on_eq` in every hash / comparison of a `Key`; not inside themselves."""

    def guarded(f: Callable[..., Any] | None) -> Callable[..., Any] | None:
        if f is None:
            return None
        running = False

        def once(*args: Any) -> None:
            nonlocal running
            if not running:
                running = True
                try:
                    f(*args)
                finally:
                    running = False

        return once

    hash_before, eq_before = Key.on_hash, Key.on_eq
    Key.on_hash, Key.on_eq = guarded(on_hash), guarded(on_eq)  # type: ignore[assignment]
    try:
        yield
    finally:
        Key.on_hash, Key.on_eq = hash_before, eq_before


@contextmanager
def raising(*, hash_after: int | None = None, eq_after: int | None = None) -> Iterator[None]:
    """Raise in the n-th (from 0) and every later hash / comparison of a `Key`."""
    hashes = eqs = 0

    def on_hash(key: Key) -> None:
        nonlocal hashes
        hashes += 1
        if hash_after is not None and hashes > hash_after:
            raise HashKeyError(key.name)

    def on_eq(key: Key, other: object) -> None:
        nonlocal eqs
        eqs += 1
        if eq_after is not None and eqs > eq_after:
            raise EqKeyError(key.name)

    with calling(on_hash=on_hash, on_eq=on_eq):
        yield
