"""What type checkers know of vectors."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import assert_type

from pstructs import PVector, PVectorEvolver, pvector, v

numbers = pvector([1, 2])
assert_type(numbers, PVector[int])
assert_type(v("a", "b"), PVector[str])
assert_type(PVector(range(3)), PVector[int])
empty: PVector[str] = pvector()
nested: PVector[PVector[float]] = v(v(0.5), v(1))

assert_type(numbers[0], int)
assert_type(numbers[::-1], PVector[int])
assert_type(iter(numbers), Iterator[int])
assert_type(list(reversed(numbers)), list[int])
assert_type(numbers.index(1), int)
assert_type(numbers.count("a"), int)
assert_type(numbers.tolist(), list[int])
assert_type(len(numbers), int)
assert_type(numbers < v(3), bool)

assert_type(numbers.append(3), PVector[int])
assert_type(numbers.append("a"), PVector[int | str])
assert_type(numbers.appendleft(2.5), PVector[int | float])
assert_type(numbers.prepend(0), PVector[int])
assert_type(numbers.extend([3]), PVector[int])
assert_type(numbers.extendleft(["a"]), PVector[int | str])
assert_type(numbers + [3], PVector[int])
assert_type(numbers + v("a"), PVector[int | str])
assert_type(numbers * 2, PVector[int])
assert_type(2 * numbers, PVector[int])
assert_type(numbers.pop().popleft(), PVector[int])
assert_type(numbers.set(0, 5), PVector[int])
assert_type(numbers.set(0, "a"), PVector[int | str])
assert_type(numbers.mset(0, 5, 1, 6), PVector[int])
assert_type(numbers.mset(0, "a"), PVector[int | str])
assert_type(numbers.insert(1, 7), PVector[int])
assert_type(numbers.delete(0), PVector[int])
assert_type(numbers.delete(0, 2), PVector[int])
assert_type(numbers.remove(1), PVector[int])
assert_type(numbers.copy(), PVector[int])

evolver = numbers.evolver()
assert_type(evolver, PVectorEvolver[int])
evolver[0] = 5
del evolver[0]
assert_type(evolver[0], int)
assert_type(evolver.append(1).extend([2]).set(0, 3).insert(0, 4), PVectorEvolver[int])
assert_type(evolver.persistent(), PVector[int])

# a vector is a Sequence, covariant, and hashable
plain: Sequence[float] = numbers
wider: PVector[float] = numbers
hashable: Hashable = numbers
match numbers:
    case [first, *others]:
        assert_type(first, int)
        assert_type(others, list[int])
    case _:
        pass
