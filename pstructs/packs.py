"""Packs: values as immutable bytes that are read in place.

`dumps` and `loads` turn a value into the bytes of one self-contained pack and back; `open_pack`
maps a pack file. Collections inside open lazily: a lookup reads the few records on its way and
decodes one value. `Pack` and `PackWriter` are the parts that stores are made of: a pack may refer
to earlier ones, so that saving a derived value writes only what is new. `PackBuilder` makes the
pack of a collection that need not fit into memory.

Packs hold str, bytes, bytearray, int, float, bool, None, list, dict, tuple, set, frozenset,
complex, Decimal, Fraction, date, time, timedelta, datetime, UUID, numpy arrays and scalars, the
collections of pstructs, and every type with a codec (`packable`, `register_codec`). Vectors and
sorted collections open lazily, too; `PList`, `PDeque` and `PBag` do as far as they are made of
vectors and maps. The format is in `docs/spec/pack-v1.md`. Nothing is pickled: opening a pack never
imports or runs anything. (numpy is imported when an array is decoded.)
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from pstructs._codecs import Opaque, register_codec, register_order
from pstructs._core import Pack, PackBuilder, PackWriter
from pstructs._packable import packable

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "Opaque",
    "Pack",
    "PackBuilder",
    "PackWriter",
    "dumps",
    "loads",
    "open_pack",
    "packable",
    "register_codec",
    "register_order",
]


def dumps(value: Any) -> bytes:
    """Return the bytes of a pack that holds `value` and depends on no other pack.

    Raises
    ------
    UnsavableKeyError, UnsavableValueError
        A key or value has a type that packs can't hold; the message names it and the remedy.

    Notes
    -----
    Cost: O(bytes); about 150 ns an entry of a map of str to int.

    Examples
    --------
    >>> from pstructs import m
    >>> loads(dumps([m(a=1), 2.5]))
    [pmap({'a': 1}), 2.5]
    """
    return bytes(PackWriter(value).image)


def loads(buffer: Buffer, trusted: bool = False) -> Any:
    """Return the value of a pack in bytes-like memory.

    Parameters
    ----------
    buffer : bytes-like
        One whole pack.
    trusted : bool
        True reads the buffer in place, checking each record when it is first touched: for bytes
        that you wrote yourself and that nobody changes. False copies and verifies all of it first.

    Raises
    ------
    DamagedPackError, ForeignPackError, FuturePackError, MissingPackError
        What is wrong with the pack.

    Notes
    -----
    Cost: O(1) trusted, O(bytes) otherwise.

    Examples
    --------
    >>> loads(dumps({"a": (1, 2)}))
    {'a': (1, 2)}
    """
    return Pack.from_buffer(buffer, trusted=trusted).root()


def open_pack(path: str | PathLike[str], trusted: bool = True) -> Pack:
    """Open a pack file; `.root()` of it is the value.

    Parameters
    ----------
    path : path-like
        The file.
    trusted : bool
        True maps the file. False, for files that come from elsewhere, reads it into memory and
        verifies it whole first.

    Notes
    -----
    Cost: O(1) trusted, O(bytes) otherwise.

    Examples
    --------
    >>> import os, tempfile
    >>> from pstructs import m
    >>> path = os.path.join(tempfile.mkdtemp(), "a.pack")
    >>> with open(path, "wb") as f:
    ...     _ = f.write(dumps(m(a=1)))
    >>> open_pack(path).root()["a"]
    1
    """
    return Pack.from_file(path, trusted=trusted)
