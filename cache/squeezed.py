"""Compressed packs: a pack as one zstandard frame, and back.

A frame says how long its contents are and ends in a checksum of them. What it says has to be what
the catalog says, so a file that was swapped for one that grows without end is refused before a
byte of it is unpacked.
"""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple

from pstructs.errors import StoreDamagedError

__all__ = ["SUFFIX", "Squeezed", "squeeze", "unsqueeze", "zstandard"]

SUFFIX = ".zst"


class Squeezed(NamedTuple):
    """Where a compressed pack is: its file's path, and how many bytes the pack has."""

    path: str
    nbytes: int


def zstandard() -> ModuleType:
    """Return the package that compresses.

    Raises
    ------
    ModuleNotFoundError
        When it is not installed.
    """
    try:
        import zstandard
    except ImportError as error:
        raise ModuleNotFoundError(
            "compressed packs need the package zstandard; install it with "
            "`pip install pstructs[compress]`",
            name="zstandard",
        ) from error
    return zstandard


def squeeze(image: memoryview, level: int) -> bytes:
    """Return the bytes of a pack, compressed."""
    made: bytes = zstandard().ZstdCompressor(level=level, write_checksum=True).compress(image)
    return made


def unsqueeze(place: Squeezed) -> bytes:
    """Return the bytes of a compressed pack.

    Raises
    ------
    StoreDamagedError
        When the file holds anything but one whole pack of the size that the catalog says.
    FileNotFoundError
    """
    zstd = zstandard()
    with open(place.path, "rb") as source:
        data = source.read()
    try:
        said = zstd.frame_content_size(data)
        if said != place.nbytes:
            raise StoreDamagedError(
                f"{place.path}: the compressed pack says that it has {said} bytes, and the "
                f"catalog says {place.nbytes}; run verify() and restore the store from a copy"
            )
        found: bytes = zstd.ZstdDecompressor().decompress(
            data, max_output_size=place.nbytes, allow_extra_data=False
        )
    except zstd.ZstdError as error:
        raise StoreDamagedError(
            f"{place.path}: the compressed pack is damaged ({error}); run verify() and restore "
            "the store from a copy"
        ) from error
    if len(found) != place.nbytes:
        raise StoreDamagedError(
            f"{place.path}: the compressed pack has {len(found)} bytes, and the catalog says "
            f"{place.nbytes}; run verify() and restore the store from a copy"
        )
    return found
