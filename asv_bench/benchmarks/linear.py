"""Lists, deques and bags: their ends, a queue at work, iteration, building."""

from __future__ import annotations

from collections import deque

from .rivals import SIZES, bag_rival, deque_rival, list_rival, sample

RIVALS = ("pstructs", "rpds", "pyrsistent")


class List:
    """Ints; 1000 calls each unless it works on the whole list."""

    params = (RIVALS, SIZES)
    param_names = ("rival", "entries")

    def setup(self, rival: str, entries: int) -> None:
        self.rival = list_rival(rival)
        self.items = list(range(entries))
        self.list = self.rival.build(self.items)
        self.same = self.rival.build(self.items)

    def time_cons(self, rival: str, entries: int) -> None:
        cons, a = self.rival.cons, self.list
        for i in range(1000):
            a = cons(a, i)

    def time_rest(self, rival: str, entries: int) -> None:
        a = self.list
        for _ in range(1000):
            a.rest  # noqa: B018

    def time_iterate(self, rival: str, entries: int) -> None:
        for _ in self.list:
            pass

    def time_build(self, rival: str, entries: int) -> None:
        self.rival.build(self.items)

    def time_equal(self, rival: str, entries: int) -> None:
        self.list == self.same  # noqa: B015


class Deque:
    """Ints. A built-in deque is copied for a change, so it has no part in the single ones."""

    params = (RIVALS, SIZES)
    param_names = ("rival", "entries")

    def setup(self, rival: str, entries: int) -> None:
        self.rival = deque_rival(rival)
        self.items = list(range(entries))
        self.deque = self.rival.build(self.items)

    def time_append(self, rival: str, entries: int) -> None:
        append, a = self.rival.append, self.deque
        for i in range(1000):
            a = append(a, i)

    def time_popleft_of_one_version(self, rival: str, entries: int) -> None:
        """Ten versions without the first element, all made from the same one."""
        popleft, a = self.rival.popleft, self.deque
        for _ in range(10):
            popleft(a)

    def time_drain(self, rival: str, entries: int) -> None:
        """Up to 1000 elements, one after the other."""
        popleft, a = self.rival.popleft, self.deque
        for _ in range(min(entries, 1000)):
            a = popleft(a)

    def time_queue(self, rival: str, entries: int) -> None:
        """One in, one out, 1000 times."""
        append, popleft, a = self.rival.append, self.rival.popleft, self.deque
        for i in range(1000):
            a = popleft(append(a, i))

    def time_iterate(self, rival: str, entries: int) -> None:
        for _ in self.deque:
            pass

    def time_build(self, rival: str, entries: int) -> None:
        self.rival.build(self.items)


class DequeMiddle:
    """What needs to reach the middle; rpds has none of it."""

    params = (("pstructs", "pyrsistent", "deque"), (10, 1000, 100_000))
    param_names = ("rival", "entries")

    def setup(self, rival: str, entries: int) -> None:
        build = deque if rival == "deque" else deque_rival(rival).build
        self.deque = build(range(entries))
        self.places = sample(list(range(entries)), 10)

    def time_index(self, rival: str, entries: int) -> None:
        a = self.deque
        for i in self.places:
            a[i]

    def time_rotate(self, rival: str, entries: int) -> None:
        """A half turn; the built-in deque is turned in place."""
        self.deque.rotate(len(self.deque) // 2)


class Bag:
    """Ints, each about three times."""

    params = (("pstructs", "pyrsistent"), SIZES)
    param_names = ("rival", "entries")

    def setup(self, rival: str, entries: int) -> None:
        self.build = bag_rival(rival)
        self.items = sample(list(range(max(1, entries // 3))), entries)
        self.bag = self.build(self.items)
        self.other = self.build(self.items[: entries // 2])

    def time_build(self, rival: str, entries: int) -> None:
        self.build(self.items)

    def time_add(self, rival: str, entries: int) -> None:
        a = self.bag
        for i in range(100):
            a = a.add(i)

    def time_count(self, rival: str, entries: int) -> None:
        a = self.bag
        for item in self.items[:100]:
            a.count(item)

    def time_difference(self, rival: str, entries: int) -> None:
        self.bag - self.other
