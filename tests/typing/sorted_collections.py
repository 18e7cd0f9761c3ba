"""What type checkers know of sorted maps and sets."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Set
from typing import assert_type

from pstructs import PSortedMap, PSortedMapEvolver, PSortedSet, m, psortedmap, psortedset

prices = psortedmap({"fig": 3})
assert_type(prices, PSortedMap[str, int])
assert_type(PSortedMap({1: "a"}), PSortedMap[int, str])
assert_type(psortedmap(prices, key=len), PSortedMap[str, int])
empty: PSortedMap[str, int] = psortedmap()

assert_type(prices["fig"], int)
assert_type(prices.get("fig"), int | None)
assert_type(prices.get("fig", 0), int)
assert_type(prices.get("fig", "none"), int | str)
assert_type(prices.set("pear", 4), PSortedMap[str, int])
assert_type(prices.set("pear", "4"), PSortedMap[str, int | str])
assert_type(prices.update({"pear": 4}), PSortedMap[str, int])
assert_type(prices.update_with(lambda old, new: new, {"pear": 4}), PSortedMap[str, int])
assert_type(prices | m(pear=2.5), PSortedMap[str, int | float])
assert_type(prices.remove("fig").discard("fig"), PSortedMap[str, int])
assert_type(prices.first(), tuple[str, int])
assert_type(prices.last(None), tuple[str, int] | None)
assert_type(prices.floor("g"), tuple[str, int])
assert_type(prices.higher("g", None), tuple[str, int] | None)
assert_type(prices.nth(0), tuple[str, int])
assert_type(prices.rank("fig"), int)
assert_type(prices.pop_first(), tuple[tuple[str, int], PSortedMap[str, int]])
assert_type(prices.between("a", "f"), PSortedMap[str, int])
assert_type(list(prices.keys()), list[str])
assert_type(list(prices.values()), list[int])
assert_type(list(prices.items()), list[tuple[str, int]])
assert_type(list(reversed(prices)), list[str])
evolver = prices.evolver()
assert_type(evolver, PSortedMapEvolver[str, int])
evolver["fig"] = 4
assert_type(evolver.persistent(), PSortedMap[str, int])
mapping: Mapping[str, float] = prices
wider: PSortedMap[str, float] = prices
hashable: Hashable = prices

numbers = psortedset([3, 1])
assert_type(numbers, PSortedSet[int])
empty_set: PSortedSet[str] = psortedset()
assert_type(numbers[0], int)
assert_type(numbers[1:], PSortedSet[int])
assert_type(numbers.add(2), PSortedSet[int])
assert_type(numbers.add("a"), PSortedSet[int | str])
assert_type(numbers | {4}, PSortedSet[int])
assert_type(numbers & {4}, PSortedSet[int])
assert_type(numbers - {4}, PSortedSet[int])
assert_type(numbers.first(), int)
assert_type(numbers.ceiling(2, None), int | None)
assert_type(numbers.irange(1, 2), Iterator[int])
assert_type(numbers.evolver().add(1).persistent(), PSortedSet[int])
plain: Set[float] = numbers
wider_set: PSortedSet[float] = numbers


class Day:
    """A key."""


class Holiday(Day):
    """A key of a narrower type."""


plans: PSortedMap[Day, float] = psortedmap({Day(): 2.5}, key=id)
plans = plans.set(Holiday(), 1)
plans = plans | {Day(): 1}
