"""Two saved vectors or sorted collections are compared by digests: what is equal is not read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pstructs import _core, diff, merge, patch, psortedmap, psortedset, pvector
from pstructs.errors import DamagedPackError
from pstructs.packs import Pack, PackWriter, dumps, loads, register_codec

N = 4000


class Shelf:
    """Packs by short id: the smallest store."""

    def __init__(self) -> None:
        self.packs: dict[bytes, Pack] = {}

    def save(self, value: Any) -> Any:
        writer = PackWriter(value, importable=lambda pack: pack.owner is self)
        pack = Pack.from_buffer(
            bytes(writer.image), trusted=True, resolve=self.packs.get, owner=self
        )
        self.packs[pack.uuid[:8]] = pack
        writer.adopt(pack)
        return pack.root()


def reloaded(a: Any, b: Any) -> list[tuple[Any, Any]]:
    """The pair saved in all the ways that it may meet: one after the other, apart, in half."""
    shelf = Shelf()
    stored = shelf.save(a), shelf.save(b)
    alone = tuple(loads(dumps(x), trusted=True) for x in (a, b))
    return [stored, alone, (a, stored[1]), (stored[0], b), (stored[0], alone[1]), (a, alone[1])]


class Counted:
    """A value that counts how often one is decoded, and how often two are compared."""

    decoded = compared = 0

    def __init__(self, n: int) -> None:
        self.n = n

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return isinstance(other, Counted) and self.n == other.n

    __hash__ = None  # type: ignore[assignment]


def decode(n: int) -> Counted:
    Counted.decoded += 1
    return Counted(n)


register_codec(Counted, "test.Counted", lambda x: x.n, decode)

edits = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 70), st.lists(st.integers(0, 9), max_size=70)),
    max_size=4,
)


@given(st.integers(0, 3000), edits)
def test_vectors_however_saved_are_compared_as_lists(
    n: int, edits: list[tuple[float, int, list[int]]]
) -> None:
    a = b = pvector([k % 7 for k in range(n)])
    for where, cut, new in edits:
        at = int(where * len(b))
        b = b[:at] + pvector(new) + b[at + cut :]
    for x, y in reloaded(a, b):
        assert (x == y) == (list(a) == list(b))
        assert patch(x, diff(x, y)) == b
        rebuilt = list(a)
        for a_lo, a_hi, b_lo, b_hi in reversed(_core._vector_edits(x, y)):
            rebuilt[a_lo:a_hi] = b[b_lo:b_hi]
        assert rebuilt == list(b)


@given(
    st.dictionaries(st.integers(0, 2000), st.integers(0, 3), max_size=600),
    st.dictionaries(st.integers(0, 2000), st.integers(0, 3) | st.none(), max_size=20),
)
def test_sorted_maps_however_saved_are_compared_as_dicts(
    start: dict[int, int], changes: dict[int, int | None]
) -> None:
    a = b = psortedmap(start)
    for key, value in changes.items():
        b = b.discard(key) if value is None else b.set(key, value)
    for x, y in reloaded(a, b):
        assert (x == y) == (dict(a) == dict(b))
        assert patch(x, diff(x, y)) == b
    for x, y in reloaded(psortedset(a), psortedset(b)):
        assert (x == y) == (set(a) == set(b))


def vector() -> Any:
    return pvector([Counted(n) for n in range(N)])


def sorted_map() -> Any:
    return psortedmap({n: Counted(n) for n in range(N)})


@pytest.mark.parametrize("make", [vector, sorted_map])
@pytest.mark.parametrize("changed", [0, 1, 5])
def test_comparing_saved_versions_decodes_what_stands_beside_the_changes(
    make: Callable[[], Any], changed: int
) -> None:
    a = b = make()
    for k in range(changed):
        b = b.set(k * 700 + 3, Counted(-1))
    for x, y in reloaded(a, b):
        for compare in (lambda x, y: x == y, diff):
            Counted.decoded = Counted.compared = 0
            compare(x, y)
            # a leaf of each side at a change, and what stands outside of the tree's body
            assert Counted.decoded <= 2 * 32 * (changed + 2)
            assert Counted.compared <= 32 * (changed + 2)


def test_merging_saved_versions_decodes_what_stands_beside_the_changes() -> None:
    base = vector()
    ours, theirs = base.set(100, Counted(-1)), base.set(3000, Counted(-2))
    shelf = Shelf()
    saved = [shelf.save(x) for x in (base, ours, theirs)]
    Counted.decoded = 0
    merged = merge(*saved)
    assert Counted.decoded <= 2 * 32 * 6
    assert merged[100] == Counted(-1) and merged[3000] == Counted(-2)


@pytest.mark.parametrize(
    ("make", "value"), [(pvector, b"a value that"), (psortedset, b"a value that")]
)
def test_what_is_equal_is_not_read(make: Callable[[Any], Any], value: bytes) -> None:
    """Damage in a leaf far from the change is not met by comparing, and is by reading."""
    a = make([value + b" %05d" % n for n in range(N)])
    b = a.set(N - 500, b"x") if make is pvector else a.add(value + b" %05d." % (N - 500))
    pairs = []
    for image in (dumps(a), dumps(b)):
        at = image.index(value + b" 00100") + len(value)
        pairs.append(loads(image[:at] + b"!" + image[at + 1 :], trusted=True))
    assert pairs[0] != pairs[1]
    assert diff(*pairs)
    with pytest.raises(DamagedPackError):
        list(pairs[0])
