"""A collision node with one key twice passed verification.

Its entries were compared by their bytes only, and equal keys have many encodings: 1, 1.0, True, or
1 in two bytes. The set that came out had two entries where Python sees one.
"""

from __future__ import annotations

import struct

import pytest

from pstructs import _core, errors
from pstructs.packs import dumps, loads
from support.pack_reader import MAX_LEVEL
from support.pack_tools import reseal

SMALL = _core.HASH_DOMAIN != 1
BITS, H1_LEVELS, LEVELS = (2, 3, MAX_LEVEL[_core.HASH_DOMAIN]) if SMALL else (5, 13, 26)
ONE = b"\x01"


def record(level: int, datamap: int, body: bytes, flags: int) -> bytes:
    return bytes(20) + bytes([flags, level]) + struct.pack("<I", datamap) + body


def index(key: object, level: int) -> int:
    """The position of a key in a node of that level."""
    h = _core._hash1(key) if level < H1_LEVELS else _core._hash2(key)
    left = 64 - BITS * ((level if level < H1_LEVELS else level - H1_LEVELS) + 1)
    return (h >> left if left >= 0 else h << -left) & ((1 << BITS) - 1)


def collision(key: object, messages: list[bytes]) -> bytes:
    """A pack of a set whose only entries stand in the collision node where key belongs."""
    image = bytearray(dumps(0)[:96])
    ends = bytes(sum(map(len, messages[: i + 1])) for i in range(len(messages)))
    below, at = record(LEVELS, len(messages), ends + b"".join(messages), 4), len(image)
    image += below
    for level in reversed(range(LEVELS)):
        where = struct.pack("<II", 1 << index(key, level), len(messages))
        image += record(level, 0, where + b"\5" + at.to_bytes(5, "little"), 8)
        at = len(image) - 26 - 14
    root, reference = len(image), b"\xd7\x01\0\0\0" + at.to_bytes(5, "little")
    image += bytes(20) + b"\2" + struct.pack("<Q", len(reference)) + reference
    struct.pack_into("<QQ", image, 56, root, len(image) - root)
    return reseal(image)


@pytest.mark.parametrize(
    "messages",
    [
        [ONE, b"\xc3"],
        [ONE, b"\xcb" + struct.pack(">d", 1.0)],
        [ONE, b"\xcc\x01"],
        [ONE, b"\xd3" + bytes(7) + b"\x01"],
        [ONE, b"\xc7\x02\x15\xa11"],
        [ONE, b"\xd6\x15\xa31.0"],
    ],
    ids=["bool", "float", "two bytes", "nine bytes", "longer header", "Decimal"],
)
def test_one_key_in_two_forms_is_damage(messages: list[bytes]) -> None:
    with pytest.raises(errors.DamagedPackError, match="a key twice"):
        loads(collision(1, messages))


def test_nan_has_one_form() -> None:
    nan = [b"\xcb\x7f\xf8" + bytes(6), b"\xcb\x7f\xf8" + bytes(5) + b"\x01"]
    with pytest.raises(errors.DamagedPackError, match="NaN"):
        loads(collision(float("nan"), nan))
    with pytest.raises(errors.DamagedPackError, match="not in order"):
        loads(collision(float("nan"), nan[:1] * 2))
