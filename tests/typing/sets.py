"""What type checkers know of sets: elements flow through every method."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Set
from typing import assert_type

from pstructs import PSet, PSetEvolver, pset, s

numbers = pset([1, 2])
assert_type(numbers, PSet[int])
assert_type(PSet("ab"), PSet[str])
assert_type(s("a", "b"), PSet[str])
empty: PSet[str] = pset()
assert_type(1 in numbers, bool)
assert_type(iter(numbers), Iterator[int])
assert_type(sorted(numbers), list[int])

assert_type(numbers.add(3), PSet[int])
assert_type(numbers.add("a"), PSet[int | str])
assert_type(numbers.remove(1), PSet[int])
assert_type(numbers.discard(7), PSet[int])
assert_type(numbers.update([3], {4}), PSet[int])
assert_type(numbers.update(["a"]), PSet[int | str])
assert_type(numbers | {3}, PSet[int])
assert_type(numbers | s("a"), PSet[int | str])
assert_type(numbers & {1}, PSet[int])
assert_type(numbers & {"a"}, PSet[int])
assert_type(numbers - {1}, PSet[int])
assert_type(numbers ^ s("a"), PSet[int | str])
assert_type(numbers.union([3], [4]), PSet[int])
assert_type(numbers.union(["a"]), PSet[int | str])
assert_type(numbers.intersection([1]), PSet[int])
assert_type(numbers.difference([1]), PSet[int])
assert_type(numbers.symmetric_difference([2.5]), PSet[int | float])
assert_type(numbers <= {1, 2, 3}, bool)
assert_type(numbers.issubset([1]), bool)
assert_type(numbers.isdisjoint(["a"]), bool)
assert_type(numbers.copy(), PSet[int])

evolver = numbers.evolver()
assert_type(evolver, PSetEvolver[int])
assert_type(evolver.add(3).discard(9), PSetEvolver[int])
assert_type(evolver.update([4]), PSetEvolver[int])
assert_type(evolver.persistent(), PSet[int])

# a set is a Set, covariant, and hashable
plain: Set[float] = numbers
wider: PSet[float] = numbers
hashable: Hashable = numbers
inside: PSet[PSet[int]] = s(numbers)
