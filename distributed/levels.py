"""Which packs a new one points into, and which it copies: so that neither their number nor the
dead nodes in them grow with the number of versions.

A chain of versions that each point into the one before would keep every pack for ever: each holds
the paths of its version, all but the last of which nobody needs. So packs have levels by size, as
in a log-structured merge tree, and a level that is full is merged:

    level    -1: under 64 kB    0: to 256 kB    1: to 1 MB    2 ...
    holds    32 packs or 64 kB  4 packs         4 packs       4

Only packs that point into others are counted: those that don't, such as the spliced parts of a
result, hold nothing dead by themselves. When what a new version reaches fills a level, the new
pack copies what is still alive in that level and those below, and points only into larger packs.
What nobody reaches then goes. A node is copied at most once a level, so a version costs O(changes)
in the long run, and what it reaches stays within some 5 times its own bytes. A pack never points
into one of a lower level.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from pstructs.distributed import stored
from pstructs.distributed.pieces import PIECES, SMALL, PackSource, Piece, closure
from pstructs.errors import HeadError, PackError
from pstructs.packs import Pack, PackWriter

__all__ = ["Written", "level_of", "piece_of", "write"]

log = logging.getLogger("pstructs.distributed")

FULL_SMALL = 32
"""Small packs a version may reach. Each travels in every handle of it, 1.3 kB for one key of a
million; opening a map through 32 of them takes 0.4 ms."""
FULL = 4
NOTHING, EVERYTHING = -2, 64
MOST_OF_SOURCE = 64
"""Packs of a head that a shared value may bring along; beyond, it is copied whole."""


def level_of(nbytes: int) -> int:
    """The level of a pack of that many bytes: -1 for the small ones."""
    level = -1
    while nbytes >= SMALL:
        nbytes >>= 2
        level += 1
    return level


class Written(NamedTuple):
    """A value as a new pack."""

    writer: PackWriter
    imports: list[Piece]
    origin: tuple[str, bytes] | None
    """The folder of a store and a pack there, when that pack holds the same value."""
    held: list[Pack]
    """Open imports that nothing else may hold, so that they can be sent."""


def write(value: Any, *, whole: bool = False) -> Written:
    """Encode a value as a pack that points into others; `whole`: into none."""
    cut = EVERYTHING if whole else NOTHING
    while True:
        met: dict[bytes, Piece] = {}
        held: list[Pack] = []
        roots: dict[bytes, tuple[str, bytes]] = {}

        def importable(
            pack: Pack, cut: int = cut, met: Any = met, held: Any = held, roots: Any = roots
        ) -> bool:
            if isinstance(pack.owner, PackSource):
                piece = _piece_of_source(pack, held)
            else:
                piece = piece_of(pack)
            if piece is not None and piece.store is not None:
                roots[pack.root_digest] = piece.store, pack.uuid
            return piece is not None and _meet(piece, cut, met)

        writer = PackWriter(value, importable=importable)
        imports = [met[short] for short in writer.imports]
        level = level_of(len(writer.image))
        full = _full(closure(imports, lambda piece: piece.store is None), level)
        if full <= cut:
            return Written(writer, imports, roots.get(writer.root_digest), held)
        cut = full


def piece_of(pack: Pack) -> Piece | None:
    """The piece of an open pack: it was shared, came from a handle, or is a store's."""
    if isinstance(pack.owner, Piece):
        return pack.owner
    path = stored.folder_of(pack)
    if path is None:
        return None
    known = PIECES.get(pack.uuid)
    if known is not None and known.store == path:
        return known
    return PIECES.add(Piece(pack.uuid, pack.nbytes, store=path))


def _piece_of_source(pack: Pack, held: list[Pack]) -> Piece | None:
    """The piece of a large pack of a head, with those that it points into; None: copy it.

    Small packs of a head are many, one a version, and hold little that is alive.
    """
    if pack.nbytes < SMALL:
        return None
    pieces: dict[bytes, Piece] = {}
    stack = [(pack, False)]
    try:
        while stack:
            at, ready = stack.pop()
            known = pieces.get(at.uuid[:8]) or PIECES.get(at.uuid)
            if known is None and not ready:
                stack.append((at, True))
                stack.extend((pack.owner.pack(short), False) for short in at.imports)
                if len(stack) > MOST_OF_SOURCE:
                    return None
                continue
            piece = known or Piece(
                at.uuid,
                at.nbytes,
                data=bytes(at) if at.nbytes < SMALL else None,
                imports=[pieces[short] for short in at.imports],
            )
            pieces[at.uuid[:8]] = PIECES.add(piece)
            held.append(piece.twin(at))
    except (HeadError, PackError) as error:
        log.info("a pack of a head can't be pointed into: %s", error)
        return None
    return pieces[pack.uuid[:8]]


def _meet(piece: Piece, cut: int, met: dict[bytes, Piece]) -> bool:
    if level_of(piece.nbytes) <= cut:
        return False
    if piece.data is None and piece.nbytes < SMALL:
        return False  # a small pack of a store, in a history of many: copy what is alive in it
    met[piece.uuid[:8]] = piece
    return True


def _full(reached: Iterable[Piece], level: int) -> int:
    """The highest level to copy, for a pack of `level` that reaches those: NOTHING for none."""
    counts: Counter[int] = Counter()
    small, cut = 0, NOTHING
    for piece in reached:
        at = level_of(piece.nbytes)
        counts[at] += piece.derived or at < 0
        if at < level:
            cut = max(cut, at)
        if at < 0:
            small += piece.nbytes
    for at, count in counts.items():
        if count >= (FULL_SMALL if at < 0 else FULL):
            cut = max(cut, at)
    return max(cut, -1) if small >= SMALL else cut
