"""Comparing views, and extending evolvers, at the edges of types."""

from __future__ import annotations

from array import array
from typing import Any

import pytest

from pstructs import pmap, pset, psortedmap, pvector


@pytest.mark.parametrize(
    "ours", [pset([1]), pmap({1: 1}).keys(), pmap({1: 1}).items()], ids=["set", "keys", "items"]
)
def test_keys_that_cant_be_ordered_are_unequal_and_no_error(ours: Any) -> None:
    """A PSet or a view of a PMap asked the sorted view's `in`, which raised a TypeError."""
    for theirs in psortedmap({"a": 1}).keys(), psortedmap({"a": 1}).items():
        assert ours != theirs
        assert theirs != ours
        assert not ours <= theirs
        assert not ours > theirs


def test_sets_and_views_equal_a_sorted_view_of_the_same_elements() -> None:
    keys, items = psortedmap({1: 2, 3: 4}).keys(), psortedmap({1: 2, 3: 4}).items()
    assert pset([3, 1]) == keys
    assert pset([3]) < keys
    assert pset([3, 1, 5]) > keys
    assert pmap({3: 4, 1: 2}).keys() == keys
    assert pmap({3: 4, 1: 2}).items() == items


def test_items_are_compared_without_hashing_their_values() -> None:
    """A set was made of the items: a list among the values was a TypeError."""
    ours: Any = psortedmap({1: [], 2: 3}).items()
    equal: list[Any] = [psortedmap({1: [], 2: 3}), pmap({1: [], 2: 3}), {1: [], 2: 3}]
    for same in [mapping.items() for mapping in equal]:
        assert ours == same
        assert same == ours
        assert ours <= same
    unequal: list[Any] = [psortedmap({1: [5], 2: 3}), pmap({1: [5], 2: 3}), {1: 1, 2: 3}]
    for other in [mapping.items() for mapping in unequal]:
        assert ours != other
        assert other != ours
        assert not ours <= other
    assert psortedmap({1: []}).items() < ours
    assert {1: [], 2: 3, 4: 5}.items() > ours


def test_an_evolver_takes_the_numbers_of_an_array_as_extend_of_the_vector_does() -> None:
    """It took numpy's own scalars, where a vector gets ints and floats."""
    numpy = pytest.importorskip("numpy")
    numbers = numpy.arange(3)
    made = pvector([0]).evolver().extend(numbers).persistent()
    assert [type(x) for x in made] == [int] * 4
    assert made == pvector([0]).extend(numbers) == [0, 0, 1, 2]


def test_an_evolver_takes_arrays_and_memoryviews() -> None:
    numbers = array("h", [1, -2, 3])
    assert pvector([0]).evolver().extend(numbers).persistent() == [0, 1, -2, 3]
    backwards = memoryview(numbers)[::-1]
    assert pvector([0]).evolver().extend(backwards).persistent() == [0, 3, -2, 1]


@pytest.mark.parametrize("step", [2**63 - 1, -(2**63)])
def test_an_empty_slice_with_a_huge_step_takes_nothing(step: int) -> None:
    """start + (n - 1) * step overflowed for n = 0."""
    evolver = pvector(range(9)).evolver()
    del evolver[5:5:step]
    assert evolver.persistent() == list(range(9))
    assert psortedmap({i: i for i in range(9)}).keys()[5:5:step] == []
