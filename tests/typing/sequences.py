"""What type checkers know of lists, deques and bags."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import assert_type

from pstructs import PDeque, PList, dq, l, pdeque, plist
from pstructs.bags import PBag, b, pbag

numbers = plist([1, 2])
assert_type(numbers, PList[int])
assert_type(l("a", "b"), PList[str])
assert_type(PList([2.5]), PList[float])
empty_list: PList[str] = plist()
assert_type(numbers.first, int)
assert_type(numbers.rest, PList[int])
assert_type(numbers.cons(0), PList[int])
assert_type(numbers.cons("a"), PList[int | str])
assert_type(numbers.mcons([0]), PList[int])
assert_type(numbers.reverse(), PList[int])
assert_type(numbers.split(1), tuple[PList[int], PList[int]])
assert_type(numbers.remove(1), PList[int])
assert_type(numbers[0], int)
assert_type(numbers[1:], PList[int])
assert_type(numbers.index(1), int)
assert_type(iter(numbers), Iterator[int])
as_sequence: Sequence[float] = numbers
wider_list: PList[float] = numbers
hashable: Hashable = numbers
match numbers:
    case [first, *others]:
        assert_type(first, int)
        assert_type(others, list[int])
    case _:
        pass

window = pdeque([1, 2], maxlen=3)
assert_type(window, PDeque[int])
assert_type(dq("a"), PDeque[str])
empty_deque: PDeque[str] = pdeque()
assert_type(window.left, int)
assert_type(window.right, int)
assert_type(window.maxlen, int | None)
assert_type(window.append(3), PDeque[int])
assert_type(window.append("a"), PDeque[int | str])
assert_type(window.appendleft(2.5), PDeque[int | float])
assert_type(window.extend([3]).extendleft([4]), PDeque[int])
assert_type(window.pop().popleft(2), PDeque[int])
assert_type(window.rotate(1).reverse(), PDeque[int])
assert_type(window[0], int)
assert_type(window[::2], PDeque[int])
wider_deque: PDeque[float] = window

bag = pbag([1, 1, 2])
assert_type(bag, PBag[int])
assert_type(b("a"), PBag[str])
assert_type(bag.add(3), PBag[int])
assert_type(bag.add("a"), PBag[int | str])
assert_type(bag.update([3]), PBag[int])
assert_type(bag.remove(1), PBag[int])
assert_type(bag.count(1), int)
assert_type(bag + bag, PBag[int])
assert_type(bag + b("a"), PBag[int | str])
assert_type(bag - b("a"), PBag[int])
assert_type(bag & bag, PBag[int])
assert_type(list(bag), list[int])
wider_bag: PBag[float] = bag
