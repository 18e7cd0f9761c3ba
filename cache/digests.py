"""Digests of values: the keys of cached results.

The digest of a value is that of the pack it would be saved as, so equal digests mean equal
contents, in every process and on every machine. What is saved already is not read again: the
digest stands in its record. A large collection that is only in memory is encoded once, and its
digest is remembered for as long as the collection lives.

A collection counts as immutable through and through: a list inside a `PMap` that is changed in
place goes unnoticed, here as in a store.
"""

from __future__ import annotations

import weakref
from typing import Any

from pstructs import PBag, PDeque, PList, PMap, PSet, PSortedMap, PSortedSet, PVector
from pstructs.packs import Pack, PackWriter

__all__ = ["COLLECTIONS", "Digest", "digest", "digest_of_parts"]

COLLECTIONS: frozenset[type[Any]] = frozenset(
    {PBag, PDeque, PList, PMap, PSet, PSortedMap, PSortedSet, PVector}
)
# Encoding 64 entries takes about 5 µs; below that, remembering costs as much as it saves.
_LARGE = 64

# By identity, since equal collections may hold values of other types (1 and 1.0).
_known: dict[int, tuple[weakref.ref[Any], bytes]] = {}


class Digest(bytes):
    """16 bytes that stand for the content of a value.

    Examples
    --------
    >>> digest("a") == digest("a") != digest("b")
    True
    """

    __slots__ = ()


def _any_pack(pack: Pack) -> bool:
    return True


def digest(value: object) -> Digest:
    """Return the digest of a savable value; a `Digest` is its own.

    Raises
    ------
    UnsavableKeyError, UnsavableValueError
        When something in `value` can't be saved.

    Notes
    -----
    *Cost*: O(1) for a collection that was saved, loaded or digested before, and O(changes) for
    one made from such a saved one; else O(n).

    Examples
    --------
    >>> from pstructs import m
    >>> digest(m(a=1, b=2)) == digest(m(b=2).set("a", 1))
    True
    >>> digest(1) == digest(True)
    False
    """
    if type(value) is Digest:
        return value
    if type(value) in COLLECTIONS and len(value) >= _LARGE:  # type: ignore[arg-type]
        return Digest(_of_large(value))
    return Digest(PackWriter(value, importable=_any_pack).root_digest)


def _of_large(value: Any) -> bytes:
    place = id(value)
    found = _known.get(place)
    if found is not None and found[0]() is value:
        return found[1]
    made = PackWriter(value, importable=_any_pack).root_digest
    _known[place] = weakref.ref(value, lambda _: _known.pop(place, None)), made
    return made


def digest_of_parts(name: str, parts: tuple[Any, ...]) -> Digest:
    """Return the digest of a name and some values, with large collections remembered each."""
    shortened: list[int] = []
    for i, part in enumerate(parts):
        if type(part) in COLLECTIONS and len(part) >= _LARGE:
            parts = (*parts[:i], _of_large(part), *parts[i + 1 :])
            shortened.append(i)
    writer = PackWriter((name, parts, tuple(shortened)), importable=_any_pack)
    return Digest(writer.root_digest)
