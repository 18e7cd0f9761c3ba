"""Operations of lists, deques and bags, for leak and allocation tests."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

from pstructs import _core, b, dq, l, pdeque, plist, pvector

__all__ = ["LINEAR", "LINEAR_HASHABLE", "LINEAR_THROUGH_PYTHON", "LinearCase"]


class LinearCase:
    """Ready-made lists and deques over some elements."""

    def __init__(self, elements: list[Any]) -> None:
        self.elements = elements * 3
        self.list: Any = plist(self.elements)
        self.same_list: Any = plist(self.elements)
        self.deque: Any = pdeque(self.elements)
        self.same_deque: Any = pdeque(self.elements[::-1]).reverse()
        self.window: Any = pdeque([1, 2, *self.elements, 3]).popleft().popleft().pop()
        self.bounded: Any = pdeque(self.elements, maxlen=40)
        self.vector: Any = pvector(self.elements)

    def check_unchanged(self) -> None:
        """The collections are what they were made as."""
        for a in (self.list, self.same_list, self.deque, self.same_deque, self.window):
            _core._check(a)
            assert list(a) == self.elements
        _core._check(self.bounded)
        assert list(self.bounded) == self.elements[-40:]


def repeat(a: Any, times: int, do: Callable[[Any], Any]) -> Any:
    for _ in range(times):
        a = do(a)
    return a


def walk(a: Any) -> None:
    for _ in a:
        pass


def fails(error: type[Exception], f: Callable[[], Any]) -> None:
    try:
        f()
    except error:
        return
    raise AssertionError(f"no {error.__name__}")


Do = Callable[[Any], Any]

# Each takes a Case of collection_operations, whose `linear` is a LinearCase.
LINEAR: dict[str, Do] = {
    "plist": lambda c: (plist(c.linear.elements), plist(iter(c.keys)), l(*c.keys)),
    "plist_reverse": lambda c: plist(c.linear.elements, reverse=True),
    "list_cons": lambda c: c.linear.list.cons(c.value).cons(1),
    "list_mcons": lambda c: c.linear.list.mcons(c.keys),
    "list_reverse": lambda c: c.linear.list.reverse(),
    "list_split": lambda c: (c.linear.list.split(5), c.linear.list.split(50)),
    "list_remove": lambda c: c.linear.list.remove(c.keys[-1]),
    "list_slice": lambda c: (c.linear.list[3:], c.linear.list[3:50], c.linear.list[::-2]),
    "list_read": lambda c: (c.linear.list.first, c.linear.list.rest, c.linear.list[7]),
    "list_search": lambda c: (c.missing in c.linear.list, c.linear.list.count(c.keys[3])),
    "list_iterate": lambda c: walk(c.linear.list),
    "list_compare": lambda c: (
        c.linear.list == c.linear.same_list,
        c.linear.list[:9] < c.linear.same_list,
    ),
    "list_repr": lambda c: repr(c.linear.list),
    "list_reduce": lambda c: c.linear.list.__reduce__(),
    "pdeque": lambda c: (pdeque(c.linear.elements, 5), pdeque(iter(c.keys)), dq(*c.keys)),
    "pdeque_of_a_vector": lambda c: pdeque(c.linear.vector, maxlen=50),
    "deque_appends": lambda c: repeat(c.linear.deque, 70, lambda a: a.append(c.value)),
    "deque_appendlefts": lambda c: repeat(c.linear.deque, 70, lambda a: a.appendleft(c.value)),
    "deque_pops": lambda c: repeat(c.linear.deque, 130, lambda a: a.pop()),
    "deque_poplefts": lambda c: repeat(c.linear.deque, 130, lambda a: a.popleft()),
    "deque_pop_some": lambda c: (c.linear.deque.pop(50), c.linear.deque.popleft(50)),
    "deque_window": lambda c: (
        c.linear.window.append(c.value).appendleft(c.value),
        c.linear.window.extend(c.keys),
        c.linear.window.pop(),
    ),
    "deque_queue": lambda c: repeat(c.linear.window, 70, lambda a: a.append(c.value).popleft()),
    "deque_bounded": lambda c: repeat(c.linear.bounded, 70, lambda a: a.append(c.value)),
    "deque_extend": lambda c: (
        c.linear.deque.extend(c.keys),
        c.linear.same_deque.extendleft(c.keys),
        c.linear.bounded.extend(c.linear.deque),
        c.linear.deque.extend(c.linear.vector),
    ),
    "deque_rotate": lambda c: (c.linear.deque.rotate(17), c.linear.same_deque.rotate(-3)),
    "deque_reverse": lambda c: c.linear.deque.reverse().append(1).reverse(),
    "deque_remove": lambda c: c.linear.deque.remove(c.keys[-1]),
    "deque_slice": lambda c: (c.linear.deque[5:-5], c.linear.same_deque[::-3]),
    "deque_read": lambda c: (c.linear.deque.left, c.linear.deque.right, c.linear.window[7]),
    "deque_search": lambda c: (c.missing in c.linear.deque, c.linear.deque.count(c.keys[3])),
    "deque_iterate": lambda c: (walk(c.linear.deque), walk(c.linear.same_deque)),
    "deque_compare": lambda c: (
        c.linear.deque == c.linear.same_deque,
        c.linear.deque < c.linear.window,
        c.linear.deque == c.linear.window,
    ),
    "deque_repr": lambda c: repr(c.linear.bounded),
    "deque_reduce": lambda c: c.linear.bounded.__reduce__(),
}
LINEAR_HASHABLE: dict[str, Do] = {
    "list_hash": lambda c: hash(plist(c.keys)),
    "deque_hash": lambda c: hash(pdeque(c.keys)),
}
# Python's own code between us and the allocator: for leaks only.
LINEAR_THROUGH_PYTHON: dict[str, Do] = {
    "linear_deepcopy": lambda c: (copy.deepcopy(c.linear.list), copy.deepcopy(c.linear.bounded)),
    "linear_errors": lambda c: (
        fails(AttributeError, lambda: plist().first),
        fails(IndexError, lambda: c.linear.list[9999]),
        fails(IndexError, lambda: dq().left),
        fails(ValueError, lambda: c.linear.list.remove(c.missing)),
        fails(ValueError, lambda: c.linear.deque.remove(c.missing)),
        fails(ValueError, lambda: pdeque([], maxlen=-1)),
        fails(ZeroDivisionError, lambda: plist(1 // (i - 70) for i in range(100))),
        fails(ZeroDivisionError, lambda: c.linear.list.mcons(1 // (i - 7) for i in range(9))),
        fails(ZeroDivisionError, lambda: c.linear.deque.extend(1 // (i - 7) for i in range(9))),
    ),
    "linear_pickle": lambda c: pickle.loads(pickle.dumps((l(1, "a"), dq(1, [2]), b(1, 1)))),
    "transform": lambda c: c.map.transform([c.keys[0]], 5, [c.keys[1]], lambda v: v),
    "bag": lambda c: (b(1, 2, 2).add(3).remove(2) + b(1)) - b(2) | b(4, 4) & b(4),
}
