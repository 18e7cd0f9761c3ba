"""Drive a `PackBuilder` as stores do, with packs and spilled entries in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from typing import Any

from pstructs.packs import Pack, PackBuilder

__all__ = ["build"]


def build(
    items: Iterable[Any],
    kind: str = "map",
    *,
    spill_every: int | None = None,
    room: int = 0,
    importable: Callable[[Pack], bool] | None = None,
    key: Callable[[Any], Any] | None = None,
) -> tuple[Pack, PackBuilder]:
    """Return the pack of the items, verified whole, and its builder; a run for so many items."""
    image = bytearray()
    builder = PackBuilder(image.extend, kind, importable=importable, key=key)
    waiting = iter(items)
    with tempfile.TemporaryFile(buffering=0) as file:
        while builder.take(waiting, 1 << 60, spill_every or 1000):
            if spill_every:
                builder.spill(file)
        builder.merge(room)
        while builder.grow(7):
            pass
        header = builder.finish()
    assert image[:96] == bytes(96)
    image[:96] = header
    assert len(image) == builder.nbytes
    if importable is not None:
        return Pack.from_buffer(bytes(image), trusted=True), builder
    return Pack.from_buffer(bytes(image)), builder
