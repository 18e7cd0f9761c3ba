"""A record whose bitmaps looked like a collision node's was read as one.

In the heap a collision node is known by a nodemap of all ones with its number of entries in
datamap. A record with that nodemap and a datamap that overlaps it, or a collision record of no
entries, became a node whose slots were counted wrongly: a read out of bounds.
"""

from __future__ import annotations

import struct

import pytest

from pstructs import errors, pset
from pstructs.packs import dumps, loads
from support.pack_reader import Reader
from support.pack_tools import devour, reseal

SOURCE = pset(range(400))


def edited(level: int, flags: int, datamap: int, nodemap: int | None) -> bytes:
    """The pack of SOURCE with the bitmaps of its root node replaced."""
    image = bytearray(dumps(SOURCE))
    records = Reader(bytes(image)).records.values()
    root = next(r.offset for r in records if r.kind == 0 and r.level == 0)
    if nodemap is not None:
        flags |= image[root + 20]
        struct.pack_into("<I", image, root + 26, nodemap)
    image[root + 20] = flags
    image[root + 21] = level
    struct.pack_into("<I", image, root + 22, datamap)
    return reseal(image)


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize(
    "image",
    [
        edited(0, 0, 0xFFFFFFFF, 0xFFFFFFFF),
        edited(0, 0, 7, 0xFFFFFFFF),
        edited(26, 4, 0, None),
        edited(5, 4, 0, None),
        edited(26, 4, 1, None),
        edited(0, 0, 0, None),
    ],
)
def test_such_a_record_is_damage(image: bytes, trusted: bool) -> None:
    with pytest.raises(errors.DamagedPackError):
        devour(loads(image, trusted=trusted))
