"""`Entry`: what the tiers of a cache hand to each other.

A result has two forms, the value and its packed image, and each is made from the other when it is
asked for first. So a result that came from disk is decoded once, and one that goes to disk and to
the cluster is encoded once.

A value that can't be changed is handed out as it is. Of one that can be (a list, a dict, an
array, an object), only the image is kept and everyone gets a value of their own.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from typing import Any
from uuid import UUID

from pstructs.cache.digests import COLLECTIONS
from pstructs.packs import Pack, PackWriter

__all__ = ["Entry", "heap_bytes", "is_immutable"]

_ABSENT: Any = object()
_ATOMS: frozenset[type[Any]] = frozenset(
    {type(None), bool, int, float, complex, str, bytes, Decimal, Fraction, UUID}
    | {date, datetime, time, timedelta}
)
_MOST_PARTS = 1000
_SAMPLE = 32
_NODE_BYTES = 24  # an entry's share of the nodes of a collection, beside key and value
_DEEPEST = 6


def is_immutable(value: object) -> bool:
    """Whether `value` is sure to stay as it is: then all may have the same object.

    A tuple of more than 1000 parts is not looked through, and counts as one that can change.

    Examples
    --------
    >>> is_immutable((1, "a")), is_immutable((1, ["a"]))
    (True, False)
    """
    kind = type(value)
    if kind in _ATOMS or kind in COLLECTIONS or isinstance(value, enum.Enum):
        return True
    if kind is tuple or kind is frozenset:
        parts: Any = value
        return len(parts) <= _MOST_PARTS and all(map(is_immutable, parts))
    return False


def heap_bytes(value: object, depth: int = 0) -> int:
    """Return about how many bytes of memory a value takes, seen from the first of its parts.

    Of a container, 32 parts are measured and the rest is taken to be like them.

    Notes
    -----
    *Cost*: O(1) in the size of the containers.

    Examples
    --------
    >>> from pstructs import pmap
    >>> 50_000 < heap_bytes(pmap({n: float(n) for n in range(1000)})) < 120_000
    True
    """
    size = sys.getsizeof(value)
    parts = _parts(value) if depth < _DEEPEST else None
    if parts is None:
        return size
    sample = list(islice(parts, _SAMPLE))
    count = len(value)  # type: ignore[arg-type]
    if type(value) in COLLECTIONS:
        size += _NODE_BYTES * count
    if sample:
        measured = sum(heap_bytes(x, depth + 1) for pair in sample for x in pair)
        size += measured * count // len(sample)
    return size


def _parts(value: Any) -> Iterator[tuple[Any, ...]] | None:
    """The parts of a container; those of a map in pairs."""
    if isinstance(value, str | bytes | bytearray):
        return None
    if hasattr(value, "items") and hasattr(value, "__len__"):
        items: Iterator[tuple[Any, ...]] = iter(value.items())
        return items
    if type(value) in COLLECTIONS or isinstance(value, list | tuple | set | frozenset):
        return ((part,) for part in value)
    return None


class Entry:
    """One cached result.

    Attributes
    ----------
    expires : float or None
        When it is not to be used any more, in seconds since the epoch (`time.time`).
    tags : tuple of str
        What it can be invalidated by.
    failure : bool
        Whether the value stands for an exception: `(name of the class, arguments)`.

    Examples
    --------
    >>> entry = Entry.of([1, 2])
    >>> entry.value() == Entry.packed(entry.pack).value() == [1, 2]
    True
    >>> entry.value() is entry.value()
    False
    """

    __slots__ = ("_pack", "_value", "_weight", "expires", "failure", "tags")

    def __init__(
        self, expires: float | None = None, tags: tuple[str, ...] = (), failure: bool = False
    ) -> None:
        self.expires, self.tags, self.failure = expires, tags, failure
        self._value = _ABSENT
        self._pack: Pack | None = None
        self._weight = 0

    @classmethod
    def of(
        cls,
        value: object,
        expires: float | None = None,
        tags: tuple[str, ...] = (),
        failure: bool = False,
        copies: bool = True,
    ) -> Entry:
        """Return an entry of a value that was just computed.

        With `copies`, a value that can be changed is encoded now, so that what the caller does
        to it later is not seen.

        Raises
        ------
        UnsavableError
        """
        made = cls(expires, tags, failure)
        if copies and not is_immutable(value):
            made._pack = _pack(value)
        else:
            made._value = value
        return made

    @classmethod
    def packed(
        cls,
        pack: Pack,
        expires: float | None = None,
        tags: tuple[str, ...] = (),
        failure: bool = False,
    ) -> Entry:
        """Return an entry of a result that is packed already."""
        made = cls(expires, tags, failure)
        made._pack = pack
        made._weight = pack.nbytes
        return made

    @property
    def pack(self) -> Pack:
        """The pack of the value, which depends on no other pack; a buffer of its bytes."""
        pack = self._pack
        if pack is None:
            pack = self._pack = _pack(self._value)
        return pack

    @property
    def weight(self) -> int:
        """How much room it takes in memory, in bytes.

        The size of the pack for what is kept as one or was opened from one, an estimate for a
        value that was computed here.
        """
        if not self._weight:
            if self._value is _ABSENT:
                self._weight = self.pack.nbytes
            else:
                self._weight = heap_bytes(self._value)
        return self._weight

    def value(self) -> Any:
        """Return the value: the same object when it can't be changed, else a new one."""
        value = self._value
        if value is _ABSENT:
            value = self.pack.root()
            if is_immutable(value):
                self._value = value
        return value

    def slim(self) -> Entry:
        """Return this entry without the image, where the value is at hand."""
        if self._value is _ABSENT or self._pack is None:
            return self
        made = Entry(self.expires, self.tags, self.failure)
        made._value, made._weight = self._value, self.weight
        return made


def _pack(value: object) -> Pack:
    return Pack.from_buffer(PackWriter(value).image, trusted=True)
