"""Metadata of versions: what a user says of a commit beyond its message, as MessagePack bytes.

A mapping of str to scalars and lists. The bytes are part of the version's id, so they are one
form of many that MessagePack allows: keys in order, and every number as short as it can be. What
comes back is immutable: a persistent map, and tuples for lists.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

from pstructs import PMap, pmap

__all__ = ["NO_META", "pack_meta", "unpack_meta"]

NO_META: Final[PMap[str, Any]] = pmap()
_DEPTH = 16
_INTS = (
    (0xCC, ">B", 0, 2**8), (0xCD, ">H", 0, 2**16), (0xCE, ">I", 0, 2**32), (0xCF, ">Q", 0, 2**64),
    (0xD0, ">b", -(2**7), 0), (0xD1, ">h", -(2**15), 0), (0xD2, ">i", -(2**31), 0),
    (0xD3, ">q", -(2**63), 0),
)  # fmt: skip
# of str, bytes, lists, maps: the first byte of short ones, how long these can be, and longer ones
_LENGTHS: dict[type, tuple[int, int, tuple[tuple[int, str], ...]]] = {
    str: (0xA0, 32, ((0xD9, ">B"), (0xDA, ">H"), (0xDB, ">I"))),
    bytes: (0, 0, ((0xC4, ">B"), (0xC5, ">H"), (0xC6, ">I"))),
    list: (0x90, 16, ((0xDC, ">H"), (0xDD, ">I"))),
    dict: (0x80, 16, ((0xDE, ">H"), (0xDF, ">I"))),
}


def pack_meta(meta: Mapping[str, Any] | None) -> bytes | None:
    """Return metadata as bytes; None for none.

    Raises
    ------
    TypeError, ValueError
        For anything but a mapping of str to None, bool, int, float, str, bytes, and lists and
        mappings of these.
    """
    if meta is None:
        return None
    if not isinstance(meta, Mapping):
        raise TypeError(f"meta is a mapping of str to plain values, got {type(meta).__name__}")
    if not meta:
        return None
    out = bytearray()
    _pack(out, meta, "meta", _DEPTH)
    return bytes(out)


def _length(out: bytearray, kind: type, length: int) -> None:
    first, short, longer = _LENGTHS[kind]
    if length < short:
        out.append(first | length)
        return
    for code, form in longer:
        if length < 256 ** struct.calcsize(form):
            out.append(code)
            out += struct.pack(form, length)
            return
    raise ValueError(f"meta can't hold something of length {length}")


def _pack(out: bytearray, value: Any, where: str, depth: int) -> None:
    if depth == 0:
        raise ValueError(f"{where} is nested more than {_DEPTH} deep")
    if value is None or value is True or value is False:
        out.append({None: 0xC0, False: 0xC2, True: 0xC3}[value])
    elif type(value) is int:
        _pack_int(out, value, where)
    elif type(value) is float:
        out.append(0xCB)
        out += struct.pack(">d", value)
    elif type(value) is str:
        try:
            text = value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{where} can't hold lone surrogates: {value!r:.200}") from None
        _length(out, str, len(text))
        out += text
    elif type(value) is bytes:
        _length(out, bytes, len(value))
        out += value
    elif isinstance(value, list | tuple):
        _length(out, list, len(value))
        for i, item in enumerate(value):
            _pack(out, item, f"{where}[{i}]", depth - 1)
    elif isinstance(value, Mapping):
        for key in value:
            if type(key) is not str:
                raise TypeError(f"{where} has the key {key!r:.200}; keys are str")
        _length(out, dict, len(value))
        for key in sorted(value):
            _pack(out, key, f"a key of {where}", depth)
            _pack(out, value[key], f"{where}[{key!r:.50}]", depth - 1)
    else:
        raise TypeError(
            f"{where} is a {type(value).__name__}; metadata hold None, bool, int, float, str, "
            "bytes and lists and mappings of these. Save anything else as part of the value"
        )


def _pack_int(out: bytearray, value: int, where: str) -> None:
    if -32 <= value < 128:
        out.append(value & 0xFF)
        return
    for code, form, low, high in _INTS:
        if low <= value < high:
            out.append(code)
            out += struct.pack(form, value)
            return
    raise ValueError(f"{where} is {value}, and an int has 64 bits; give it as a str")


def unpack_meta(data: bytes | None) -> PMap[str, Any]:
    """Return the metadata that `pack_meta` made bytes of.

    Raises
    ------
    ValueError
        When these are other bytes.
    """
    if data is None:
        return NO_META
    try:
        value, end = _unpack(data, 0, _DEPTH)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"not metadata: {error}") from None
    if end != len(data) or not isinstance(value, PMap):
        raise ValueError("not metadata")
    return value


def _unpack(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth == 0:
        raise ValueError("not metadata: nested too deep")
    code, at = data[at], at + 1
    if code < 0x80 or code >= 0xE0:
        return (code if code < 0x80 else code - 256), at
    if code in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[code], at
    if code == 0xCB:
        return struct.unpack_from(">d", data, at)[0], at + 8
    for number, form, _, _ in _INTS:
        if code == number:
            return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)
    for kind, (first, short, longer) in _LENGTHS.items():
        if first <= code < first + short:
            return _unpack_items(data, at, kind, code - first, depth)
        for number, form in longer:
            if code == number:
                (length,) = struct.unpack_from(form, data, at)
                return _unpack_items(data, at + struct.calcsize(form), kind, length, depth)
    raise ValueError(f"not metadata: byte {code:#x}")


def _unpack_items(data: bytes, at: int, kind: type, length: int, depth: int) -> tuple[Any, int]:
    if kind in (str, bytes):
        end = at + length
        if end > len(data):
            raise ValueError("not metadata: cut off")
        return (data[at:end].decode() if kind is str else data[at:end]), end
    items = []
    for _ in range(length if kind is list else 2 * length):
        item, at = _unpack(data, at, depth - 1)
        items.append(item)
    if kind is list:
        return tuple(items), at
    return pmap(dict(zip(items[::2], items[1::2], strict=True))), at
