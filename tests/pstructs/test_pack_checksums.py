"""The checksum and the digest of packs agree with their standards."""

from __future__ import annotations

import random
from hashlib import blake2b

import hypothesis.strategies as st
from hypothesis import given

from pstructs import _core
from support.pack_reader import crc32c


def test_crc32c_of_the_standard_check_string() -> None:
    assert _core._crc32c(b"123456789") == (0xE3069283, 0xE3069283)
    assert _core._crc32c(b"") == (0, 0)
    assert _core._crc32c(bytes(32)) == (0x8A9136AA, 0x8A9136AA)


@given(st.binary(max_size=300), st.integers(0, 9))
def test_both_versions_of_crc32c_agree_at_any_length_and_alignment(data: bytes, skip: int) -> None:
    want = crc32c(data[skip:])
    assert _core._crc32c(memoryview(data)[skip:]) == (want, want)


@given(st.lists(st.binary(max_size=600), max_size=12))
def test_digests_are_blake2b_alone_and_side_by_side(messages: list[bytes]) -> None:
    want = [blake2b(x, digest_size=16).digest() for x in messages]
    assert _core._digests(messages) == b"".join(want)
    assert b"".join(_core._digests([x]) for x in messages) == b"".join(want)


def test_digests_at_the_edges_of_blocks() -> None:
    rng = random.Random(1)
    messages = [rng.randbytes(n) for n in (0, 1, 127, 128, 129, 255, 256, 257, 383, 384, 385)]
    for k in range(1, 8):
        for first in range(len(messages)):
            group = (messages * 2)[first : first + k]
            want = b"".join(blake2b(x, digest_size=16).digest() for x in group)
            assert _core._digests(group) == want
