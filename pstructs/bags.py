"""The persistent bag, or multiset: a `PMap` of how often each element is there.

Everything is done by the map: an update copies one path of it, and equality and the hash skip
what two bags share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from itertools import repeat
from typing import Any, Generic, NoReturn, Self, TypeVar

from pstructs._core import PMap, pmap
from pstructs._interop_methods import InteropMethods

__all__ = ["PBag", "b", "pbag"]

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_T1 = TypeVar("_T1")


class PBag(InteropMethods, Generic[_T_co]):
    """A persistent bag: a set whose elements can be there more than once.

    Parameters
    ----------
    elements : iterable of hashable
        What is in it.

    Notes
    -----
    *Cost*: add, remove, count and `in` O(log32 d) for d different elements; len O(1); the
    operators O(d).

    Examples
    --------
    >>> from pstructs import pbag
    >>> bag = pbag([1, 1, 2])
    >>> bag.add(2).count(2), bag.count(2), len(bag.remove(1))
    (2, 1, 2)
    """

    __slots__ = ("__weakref__", "_counts", "_size")
    _counts: PMap[Any, int]
    _size: int

    def __new__(cls, elements: Iterable[_T_co] = (), /) -> Self:
        """Return a bag of the elements."""
        if isinstance(elements, PBag):
            return cls._of(elements._counts, elements._size)
        counts = Counter(iter(elements))  # iter: a mapping would be taken for counts
        return cls._of(pmap(counts), counts.total())

    @classmethod
    def _of(cls, counts: PMap[Any, int], size: int) -> Self:
        self = super().__new__(cls)
        self._counts = counts
        self._size = size
        return self

    @property
    def counts(self) -> PMap[Any, int]:
        """How often each element is there, as a map."""
        return self._counts

    def add(self, element: _T1) -> PBag[_T_co | _T1]:
        """Return a bag with element once more."""
        return PBag._of(self._counts.set(element, self.count(element) + 1), self._size + 1)

    def update(self, iterable: Iterable[_T1]) -> PBag[_T_co | _T1]:
        """Return a bag with every element of iterable once more; the bag itself if it is empty.

        Parameters
        ----------
        iterable : iterable of hashable
            May hold an element several times.
        """
        more = Counter(iter(iterable))
        if not more:
            return self
        counts = self._counts.evolver()
        for element, n in more.items():
            counts[element] = counts.get(element, 0) + n
        return PBag._of(counts.persistent(), self._size + more.total())

    def remove(self, element: object) -> PBag[_T_co]:
        """Return a bag with element once less.

        Raises
        ------
        KeyError
            The element is not there.
        """
        n = self._counts[element]
        counts = self._counts.remove(element) if n == 1 else self._counts.set(element, n - 1)
        return PBag._of(counts, self._size - 1)

    def count(self, element: object) -> int:
        """Return how often element is there; 0 if it is not."""
        return self._counts.get(element, 0)

    def __len__(self) -> int:
        """Return the number of elements, each as often as it is there."""
        return self._size

    def __iter__(self) -> Iterator[_T_co]:
        """Iterate over the elements, equal ones one after the other."""
        for element, n in self._counts.iteritems():
            yield from repeat(element, n)

    def __contains__(self, elt: object) -> bool:
        """Return whether elt is there at least once."""
        return elt in self._counts

    def __repr__(self) -> str:
        """Return the call of pbag() that makes an equal bag."""
        return f"pbag({list(self)})"

    def _repr_pretty_(self, printer: Any, cycle: bool, /) -> None:
        """Print to IPython's pretty printer."""
        from pstructs.interop.pretty import ipython_pretty

        ipython_pretty(self, printer, cycle)

    def __eq__(self, other: object) -> bool:
        """Return whether both hold the same elements equally often."""
        if not isinstance(other, PBag):
            return NotImplemented
        return self._counts == other._counts

    def __hash__(self) -> int:
        """Return the hash of the counts, which the map remembers."""
        return hash(self._counts)

    def __lt__(self, other: object) -> NoReturn:
        """Refuse: bags have no order."""
        raise TypeError("PBags are not orderable")

    __le__ = __gt__ = __ge__ = __lt__

    def _with(self, changes: Iterable[tuple[Any, int]], size: int) -> PBag[Any]:
        """Return a bag of `size` elements in which some are there n times (0: not at all)."""
        counts = self._counts.evolver()
        for element, n in changes:
            if n > 0:
                counts[element] = n
            else:
                counts.discard(element)
        return PBag._of(counts.persistent(), size)

    def __add__(self, other: PBag[_T1]) -> PBag[_T_co | _T1]:
        """Return the elements of both."""
        if not isinstance(other, PBag):
            return NotImplemented
        sums = ((e, self.count(e) + n) for e, n in other._counts.iteritems())
        return self._with(sums, self._size + other._size)

    def __sub__(self, other: PBag[object]) -> PBag[_T_co]:
        """Return the elements of self, each less often by the times it is in other."""
        if not isinstance(other, PBag):
            return NotImplemented
        left, size = [], self._size
        for element, n in other._counts.iteritems():
            if have := self.count(element):
                left.append((element, have - n))
                size -= min(have, n)
        return self._with(left, size)

    def __or__(self, other: PBag[_T1]) -> PBag[_T_co | _T1]:
        """Return each element as often as it is in the one that has more of it."""
        if not isinstance(other, PBag):
            return NotImplemented
        more, size = [], self._size
        for element, n in other._counts.iteritems():
            if (have := self.count(element)) < n:
                more.append((element, n))
                size += n - have
        return self._with(more, size)

    def __and__(self, other: PBag[object]) -> PBag[_T_co]:
        """Return each element as often as it is in the one that has less of it."""
        if not isinstance(other, PBag):
            return NotImplemented
        both = {e: min(n, other.count(e)) for e, n in self._counts.iteritems() if e in other}
        return PBag._of(pmap(both), sum(both.values()))

    def __copy__(self) -> Self:
        """Return the bag itself: it never changes."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how pickle and deepcopy make it again: from the counts."""
        return _of_counts, (type(self), self._counts)


def _of_counts(cls: type[PBag[Any]], counts: PMap[Any, int]) -> PBag[Any]:
    return cls._of(counts, sum(counts.values()))


Hashable.register(PBag)


def pbag(elements: Iterable[_T]) -> PBag[_T]:
    """Return a bag of the elements of an iterable.

    Parameters
    ----------
    elements : iterable of hashable
        May hold an element several times.

    Returns
    -------
    PBag
        *Cost*: O(n) for n elements; O(1) for a PBag.

    Examples
    --------
    >>> from pstructs import pbag
    >>> pbag("abba") == pbag("aabb")
    True
    """
    return PBag(elements)


def b(*elements: _T) -> PBag[_T]:
    """Return a bag of the arguments.

    Examples
    --------
    >>> from pstructs import b
    >>> len(b(1, 2, 1) + b(1))
    4
    """
    return pbag(elements)
