"""Packs with right checksums and wrong references or counts, opened as trusted.

The fuzzer found them. A record that refers to itself was copied into a new pack without end, until
the C stack was used up. A count was taken for the truth: `stable_hash` allocated as much as it
says times eight, which may be next to nothing when it overflows, and set algebra asked the system
for all of it; a tree with more entries than its count came down to a negative length.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest

from pstructs import errors, m, pset, pvector, stable_hash
from pstructs.packs import Pack, PackWriter, dumps, loads
from support.pack_reader import Reader, crc32c
from support.pack_tools import reseal


def root_node(image: bytes, kind: int, reader: Any = None) -> int:
    records = (reader or Reader(image)).records.values()
    return int(max(r.offset for r in records if r.kind == kind and r.level == 0))


def own_entry(value: object) -> bytes:
    """The pack of {"a": value} where the reference to the value names the map itself."""
    image = bytearray(dumps(m(a=value)))
    outer = root_node(bytes(image), 1)
    at = image.index(b"\xd7\x01", outer) + 2
    image[at] = 1
    image[at + 3 : at + 8] = outer.to_bytes(5, "little")
    return reseal(image)


@pytest.mark.parametrize("image", [own_entry(m(b=1)), own_entry(m())])
def test_a_record_that_holds_itself_is_not_copied(image: bytes) -> None:
    with pytest.raises(errors.DamagedPackError):
        loads(image)
    value = loads(image, trusted=True)
    for whole in (value, value.set("b", 1), [value]):
        with pytest.raises(errors.DamagedPackError, match="backwards"):
            PackWriter(whole)


def counting(count: int) -> bytes:
    """The pack of a set of 400 that says it has `count`."""
    image = bytearray(dumps(pset(range(400))))
    struct.pack_into("<I", image, root_node(bytes(image), 0) + 30, count)
    return reseal(image)


def counting_with_import(count: int) -> tuple[bytes, Pack]:
    """The same with eight bytes for the count, in a pack that imports another."""
    base = Pack.from_buffer(dumps(pset(range(400))))
    writer = PackWriter(base.root().add("more"), importable=lambda pack: True)
    image = bytearray(writer.image)
    node = struct.unpack_from("<Q", image, 56)[0]
    while image[node + 20 : node + 22] != b"\x08\0":  # the root's node, right before it
        node -= 1
    image[node + 20] |= 64
    image[node + 30 : node + 34] = struct.pack("<Q", count)
    struct.pack_into("<Q", image, 56, struct.unpack_from("<Q", image, 56)[0] + 4)
    return reseal(image), base


USES: list[Callable[[Any], object]] = [
    stable_hash,
    lambda v: v | pset(range(9)),
    lambda v: pset(range(9)) - v,
    lambda v: sorted(v, key=str),
]


@pytest.mark.parametrize("use", USES)
def test_a_count_beyond_the_bytes_of_the_pack_is_damage(use: Callable[[Any], object]) -> None:
    image = counting(0xFFFFFFF0)
    for trusted in (False, True):
        with pytest.raises(errors.DamagedPackError, match="count"):
            use(loads(image, trusted=trusted))


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("count", [2**61 + 1, 2**63 - 1, 2**64 - 1])
def test_a_count_that_no_tree_has_is_damage(use: Callable[[Any], object], count: int) -> None:
    image, base = counting_with_import(count)
    with pytest.raises(errors.DamagedPackError):
        Pack.from_buffer(image, resolve=lambda short: base)
    pack = Pack.from_buffer(image, trusted=True, resolve=lambda short: base)
    with pytest.raises(errors.DamagedPackError, match="count"):
        use(pack.root())


def test_a_count_that_is_too_large_allocates_nothing_it_does_not_need() -> None:
    image, base = counting_with_import(2**46)
    pack = Pack.from_buffer(image, trusted=True, resolve=lambda short: base)
    value = pack.root()
    with pytest.raises(MemoryError):
        stable_hash(value)
    assert set(value) == {*range(400), "more"}
    assert set((value | frozenset(["new"])) - value) == {"new"}


def test_a_collection_with_more_entries_than_it_says_is_found_out() -> None:
    value = loads(counting(2), trusted=True)
    assert len(value) == 2
    with pytest.raises(errors.DamagedPackError, match="another number of entries"):
        value - pset(range(9))


def test_a_leaf_with_fewer_elements_than_its_parent_says_is_not_saved_on() -> None:
    """A derived vector refers to such a leaf: what it would say of it was not compared."""
    image = bytearray(dumps(pvector([1.5] * 2000)))
    leaves = [r for r in Reader(bytes(image)).records.values() if r.kind == 4 and r.level == 0]
    at, behind = sorted(leaf.offset for leaf in leaves)[1:3]
    image[at + 22] -= 1
    struct.pack_into("<I", image, at, crc32c(image[at + 4 : behind - 8]))
    for importable in (None, lambda pack: True):
        value = Pack.from_buffer(bytes(image), trusted=True).root()
        with pytest.raises(errors.DamagedPackError, match="elements"):
            PackWriter(value.set(0, 2.5), importable=importable)
