"""Bugs of maps and sets at the edges of types, numbers and the C stack."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pstructs import PMap, _core, partition, pmap, pset


class Sub(PMap[Any, Any]):
    pass


@pytest.mark.parametrize("n", [2**53 + 1, 2**60, 2**63 - 1])
def test_more_parts_than_64_bits_can_multiply_lose_no_entry(n: int) -> None:
    """i * 1024 overflowed: parts with a large index were empty or wrong."""
    a = pmap({i: i for i in range(100)})
    last, rest = partition(a, n - 1, n), a
    for key in last:
        rest = rest.remove(key)
    _core._check(last)
    units = {0, n - 1}
    units |= {(u * n - 1) // 1024 for u in range(1, 1025)}  # the only parts that hold a unit
    assert sum(len(partition(a, i, n)) for i in units) == len(a)
    assert len(last) + len(rest) == len(a)


def test_items_meet_others_without_hashing_their_values() -> None:
    """items() & other hashed every value of the map: a list among them was a TypeError."""
    ours: Any = pmap({1: [], 2: 3}).items()
    assert ours & {(2, 3)} == pset([(2, 3)])
    assert {(2, 3)} & ours == pset([(2, 3)])
    assert ours & [(2, 3), (1, 5), 7] == {(2, 3)}
    assert pset([(2, 3), 4]).intersection(ours) == {(2, 3)}
    assert ours & pmap({1: {}, 2: 3}).items() == {1: [], 2: 3}.items() & {1: {}, 2: 3}.items()
    with pytest.raises(TypeError):
        ours & [(1, [])]


X, Y = float("nan"), float("nan")  # one hash, never equal: a collision node, 26 levels down


def nest(wrap: Callable[[Any], Any]) -> Any:
    a = pmap({X: 1, Y: 2})
    for _ in range(20_000):
        a = wrap(pmap({X: a, Y: 2}))
    return a


def test_equality_of_deep_tries_nested_deep_is_bounded() -> None:
    """Each map was 27 levels deep and counted as one step: 3.13's 10,000 steps overflowed."""
    a, b = nest(lambda a: a), nest(lambda a: a)
    with pytest.raises(RecursionError):
        _ = a == b


@pytest.mark.parametrize(
    "wrap",
    [
        lambda a: a,
        lambda a: a.items(),
        lambda a: iter(a.items()),
        lambda a: [a],
        lambda a: a.set(1, 2).evolver().set(3, []),
        lambda a: Sub(a),
    ],
    ids=["map", "view", "iterator", "list", "evolver", "subclass"],
)
def test_deep_tries_nested_deep_die_without_a_crash(wrap: Callable[[Any], Any]) -> None:
    """The same of the recursion that frees them."""
    a = nest(wrap)
    del a


def test_each_item_has_its_own_hash_though_the_tuple_is_used_again() -> None:
    """From 3.14 on tuples remember their hash: the next item had that of the one before."""
    a = pmap({i: str(i) for i in range(50)})
    assert [hash(item) for item in a.items()] == [hash((k, a[k])) for k in a]


PATCHED = """
import datetime
real = datetime.datetime
class Frozen(real):
    pass
datetime.datetime = Frozen
from pstructs import _core, pmap
a = pmap({real(2020, 1, 1): 1})
assert _core._hash_is_stable(real(2020, 1, 1))
datetime.datetime = real
assert a[real(2020, 1, 1)] == a[Frozen(2020, 1, 1)] == 1
assert _core._hash_is_stable(real(2020, 1, 1))
"""

PURE_PYTHON = """
import sys
sys.modules["_datetime"] = None
import datetime
from pstructs import pmap
d = datetime.datetime(2020, 3, 4, 5)
a = pmap({d: 1, d.date(): 2, d.time(): 3, datetime.timedelta(3): 4})
assert a[datetime.datetime(2020, 3, 4, 5)] == 1 and a[datetime.date(2020, 3, 4)] == 2
"""


@pytest.mark.parametrize("code", [PATCHED, PURE_PYTHON], ids=["patched", "pure python"])
def test_dates_are_known_by_their_own_classes(code: str) -> None:
    """Classes were taken from the module datetime, where tests put others (freezegun does).

    Keys were lost when it was patched back, and the fields of the pure Python classes were
    read as those of the C ones: outside of their tables.
    """
    subprocess.run([sys.executable, "-c", code], env=os.environ, check=True, timeout=60)
