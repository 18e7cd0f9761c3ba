"""However many versions there are, a version reaches few packs, and little that is dead."""

from __future__ import annotations

import os
import random
from typing import Any

from pstructs import PVector, pdeque, pmap, pset, psortedmap, pvector
from pstructs.distributed.levels import FULL, FULL_SMALL, level_of, write
from pstructs.distributed.opened import OPEN_PACKS
from pstructs.distributed.pieces import PIECES, SMALL, Piece, closure
from pstructs.packs import Pack

VERSIONS = int(os.environ.get("PSTRUCTS_SHARED_VERSIONS", "600"))


def publish(value: Any, packs: dict[bytes, bytes]) -> Piece:
    """What `share` does, with a dict as the object store."""
    written = write(value)
    image = bytes(written.writer.image)
    piece = Piece(written.writer.uuid, len(image), data=image, imports=written.imports)
    packs[piece.uuid] = image
    written.writer.adopt(PIECES.add(piece).open())
    return piece


def test_levels_grow_by_four() -> None:
    sizes = [0, SMALL - 1, SMALL, 4 * SMALL - 1, 4 * SMALL, 16 * SMALL]
    assert [level_of(size) for size in sizes] == [-1, -1, 0, 0, 1, 2]


def test_a_long_chain_of_versions_reaches_few_packs_and_little_that_is_dead() -> None:
    dice = random.Random(5)
    m = pmap({i: str(i) for i in range(20_000)})
    packs: dict[bytes, bytes] = {}
    whole = publish(m, packs).nbytes
    written = most = 0
    for i in range(VERSIONS):
        m = m.set(dice.randrange(20_000), f"version {i}")
        piece = publish(m, packs)
        reached = closure([piece])
        levels = [level_of(p.nbytes) for p in reached if p.derived]
        assert sum(at < 0 for at in levels) <= FULL_SMALL + 1
        assert all(levels.count(at) <= FULL for at in set(levels) - {-1})
        assert sum(p.nbytes for p in reached) < 5 * whole
        written += piece.nbytes
        most = max(most, len(reached))
    assert written / VERSIONS < 6_000
    again = Pack.from_buffer(piece.data, trusted=True, resolve=piece.resolve).root()
    assert again == m


def test_packs_point_into_their_own_level_or_higher_ones() -> None:
    dice = random.Random(7)
    m = pset(range(30_000))
    packs: dict[bytes, bytes] = {}
    publish(m, packs)
    for size in (1, 1, 2000, 1, 5000, 1, 1, 20_000, 3, 1):
        m = m.update(dice.randrange(10**9) for _ in range(size))
        piece = publish(m, packs)
        assert all(level_of(p.nbytes) >= level_of(piece.nbytes) for p in closure([piece]))


def test_old_packs_are_forgotten_with_their_last_reader() -> None:
    m = pmap({i: i for i in range(5000)})
    packs: dict[bytes, bytes] = {}
    piece = publish(m, packs)
    for i in range(3000):
        m = m.set(i, -i)
        if i % 100 == 0:
            piece = publish(m, packs)
    del m
    OPEN_PACKS.clear()
    reached = {p.uuid for p in closure([piece])}
    assert PIECES.get(piece.uuid) is piece
    assert all(uuid in reached for uuid in packs if PIECES.get(uuid) is not None)


def test_every_collection_sends_its_new_nodes_only() -> None:
    packs: dict[bytes, bytes] = {}
    vector: PVector[Any] = pvector(f"element {i}" for i in range(30_000))
    for value, change in [
        (vector, lambda x: x.set(15_000, "new")),
        (psortedmap({i: str(i) for i in range(30_000)}), lambda x: x.set(5, "new")),
        (pdeque(str(i) for i in range(30_000)), lambda x: x.append("new")),
        (pset(map(str, range(30_000))), lambda x: x.add("new")),
    ]:
        whole = publish(value, packs).nbytes
        derived = publish(change(value), packs)
        assert derived.nbytes < whole / 20
        opened = Pack.from_buffer(derived.data, trusted=True, resolve=derived.resolve).root()
        assert opened == change(value)
