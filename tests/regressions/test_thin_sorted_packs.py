"""A sorted tree whose inner nodes have one child passed verification; an update crashed.

Removing looked for a sibling of a small node, and took the parent's smallest key for one where
the parent has no other child. And a node that calls its words those of strs was believed: the
smallest key below it was compared as a str, whatever it was.
"""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest

from pstructs import _core, psortedset
from pstructs.packs import Pack, PackWriter, dumps, loads
from support.pack_tools import reseal

Node = tuple[int, int, int]  # offset, entries, smallest key

ARRAY, CHILDREN, SIZES, SORTED, VALUE = 0x80, 8, 4, 1, 2
INT, STR = 1, 3


class Forge:
    """A pack of sorted sets of small ints, record by record."""

    def __init__(self) -> None:
        self.image = bytearray(dumps(psortedset([1]))[:96])

    def record(self, content: bytes) -> int:
        at = len(self.image)
        self.image += bytes(20) + content
        return at

    def leaf(self, *keys: int) -> Node:
        n = len(keys)
        head = bytes([ARRAY | SORTED, 0, n, 0, 0, 0, *range(1, n + 1)])
        return self.record(head + bytes(keys)), n, keys[0]

    def inner(self, level: int, *children: Node, kind: int = INT) -> Node:
        n, count = len(children), sum(count for _, count, _ in children)
        content = bytes([ARRAY | CHILDREN | SIZES | SORTED, level, n, kind << 4, 0, 0])
        content += struct.pack("<IB", count, 2)
        content += struct.pack(f"<{n}H", *(at for at, _, _ in children))
        content += struct.pack(f"<{n}I", *(count for _, count, _ in children))
        content += struct.pack(f"<{n}q", *(least for _, _, least in children))
        content += bytes([1, children[0][2]])
        return self.record(content), count, children[0][2]

    def chain(self, leaf: Node, levels: int) -> Node:
        for level in range(1, levels + 1):
            leaf = self.inner(level, leaf)
        return leaf

    def pack(self, root: Node) -> bytes:
        at = len(self.image)
        message = bytes([0xD7, 1, 5, 0, 0]) + root[0].to_bytes(5, "little")
        self.record(bytes([VALUE]) + struct.pack("<Q", len(message)) + message)
        struct.pack_into("<QQ", self.image, 56, at, len(self.image) - at)
        return reseal(self.image)


def thin(levels: int) -> bytes:
    """The set of 10, 20, 30 ... 120, in six leaves below chains of nodes of one child."""
    forge = Forge()
    chains = [forge.chain(forge.leaf(10 * i, 10 * i + 10), levels) for i in range(1, 12, 2)]
    halves = [
        forge.inner(levels + 1, *part)
        for part in (chains[:1], chains[1:2], chains[2:4], chains[4:])
    ]
    return forge.pack(forge.inner(levels + 2, *halves))


@pytest.mark.skipif("debug" in _core.BUILD, reason="debug builds stop at a thin tree")
@pytest.mark.parametrize("levels", [1, 2, 6])
@pytest.mark.parametrize("trusted", [False, True])
def test_a_verified_tree_of_only_children_can_be_changed(levels: int, trusted: bool) -> None:
    rng = random.Random(levels)
    for _ in range(60):
        tree = loads(thin(levels), trusted=trusted)
        model = set(range(10, 121, 10))
        assert list(tree) == sorted(model)
        for _ in range(60):
            key: Any = rng.choice([rng.randrange(10, 121, 10), rng.randrange(130) + 0.5])
            if rng.random() < 0.7:
                model.discard(key)
                tree = tree.discard(key)
            else:
                model.add(key)
                tree = tree.add(key)
            assert list(tree) == sorted(model)
        evolver = loads(thin(levels)).evolver()
        for key in rng.sample(range(10, 121, 10), 11):
            evolver.discard(key)
        assert len(evolver.persistent()) == 1


@pytest.mark.skipif("debug" in _core.BUILD, reason="debug builds stop at a thin tree")
def test_thin_trees_are_sliced_joined_and_saved() -> None:
    tree = loads(thin(3))
    other = psortedset(range(5, 130, 7))
    assert list(tree | other) == sorted({*tree, *other})
    assert list(tree - other) == sorted({*tree} - {*other})
    assert list(tree.irange(25, 95)) == [30, 40, 50, 60, 70, 80, 90]
    assert loads(dumps(tree.discard(10))) == tree.discard(10)
    pack = Pack.from_buffer(thin(3))
    image = PackWriter(pack.root().discard(30), importable=lambda p: True).image
    assert list(Pack.from_buffer(image, resolve=lambda i: pack).root()) == [
        *(10, 20), *range(40, 121, 10),
    ]  # fmt: skip


@pytest.mark.skipif("debug" in _core.BUILD, reason="debug builds stop at words that lie")
def test_keys_are_not_taken_for_strs_because_a_node_says_so() -> None:
    forge = Forge()
    left = forge.inner(1, forge.leaf(1, 2), forge.leaf(3, 4), forge.leaf(5, 6), kind=STR)
    right = forge.inner(1, forge.leaf(7, 8), forge.leaf(9, 10), forge.leaf(11, 12), kind=STR)
    image = forge.pack(forge.inner(2, left, right, kind=STR))
    for change in range(13):
        tree = loads(image, trusted=True)
        for key in (change, 4, 6, "a", f"\0\0\0\0\0\0\0{chr(change)}"):
            for use in (lambda t, k: k in t, lambda t, k: t.discard(k), lambda t, k: t.add(k)):
                try:
                    result = use(tree, key)
                    tree = tree if isinstance(result, bool) else result
                except (TypeError, ValueError):
                    pass  # a liar that is trusted may give wrong answers
