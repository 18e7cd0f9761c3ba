"""Proof that something is gone: its bytes are looked for in all files of a store's folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from pstructs.cache.squeezed import SUFFIX, zstandard
from pstructs.packs import dumps

__all__ = ["pieces", "traces"]

SHORTEST = 4  # bytes; what is shorter is in every file by chance
_CHUNK = 1 << 20
# where the header of a pack says that the root record is, and what a value record has before its
# message (docs/spec/pack-v1.md)
_ROOT, _LENGTH, _BEFORE = slice(56, 64), slice(64, 72), 29


def _leaves(value: Any) -> Iterator[Any]:
    todo = [value]
    while todo:
        top = todo.pop()
        if isinstance(top, str | bytes):
            yield top
        elif isinstance(top, Mapping):
            todo.extend(top.keys())
            todo.extend(top.values())
        elif hasattr(top, "__iter__") and hasattr(top, "__len__"):
            todo.extend(top)
        else:
            yield top


def _encoded(leaf: Any) -> bytes:
    if isinstance(leaf, str):
        return leaf.encode("utf-8", "surrogatepass")
    if isinstance(leaf, bytes):
        return leaf
    image = dumps(leaf)
    start = int.from_bytes(image[_ROOT], "little")
    return image[start + _BEFORE : start + int.from_bytes(image[_LENGTH], "little")]


def pieces(values: Iterable[Any]) -> tuple[list[bytes], int]:
    """Return the encoded bytes of all that values are made of, and how many are too short."""
    found: set[bytes] = set()
    short: set[bytes] = set()
    for value in values:
        for leaf in _leaves(value):
            encoded = _encoded(leaf)
            (found if len(encoded) >= SHORTEST else short).add(encoded)
    return sorted(found), len(short)


@contextlib.contextmanager
def _open(path: str) -> Iterator[BinaryIO]:
    """Open a file, a compressed pack as what it holds."""
    with open(path, "rb") as source:
        if path.endswith(SUFFIX):
            yield zstandard().ZstdDecompressor().stream_reader(source)
        else:
            yield source


def _count(path: str, wanted: list[bytes]) -> int:
    """Return how many of the wanted byte strings are in a file."""
    left, keep, tail = list(wanted), max(map(len, wanted), default=1) - 1, b""
    with _open(path) as source:
        while left and (chunk := source.read(_CHUNK)):
            window = tail + chunk
            left = [piece for piece in left if piece not in window]
            tail = window[len(window) - keep :] if keep else b""
    return len(wanted) - len(left)


def traces(folder: str, wanted: list[bytes]) -> dict[str, int]:
    """Return how many of the wanted byte strings each file in the folder holds, if any."""
    found = {}
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            if count := _count(path, wanted):
                found[os.path.relpath(path, folder)] = count
    return dict(sorted(found.items()))
