"""Parts of a collection: disjoint, together all of it, and found at no cost.

A worker opens the shared collection and takes its part: branches of the trie of a map or set, a
range of the keys of a sorted collection, a slice of a vector. Results of the parts go together as
cheaply: disjoint tries are spliced at their upper nodes, sorted ranges and vectors are
concatenated.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any, Generic, TypeVar

from pstructs import PMap, PSet, PSortedMap, PSortedSet, PVector, partition
from pstructs.distributed.backend import DEFAULT_TIMEOUT
from pstructs.distributed.handle import Handle, share

__all__ = ["Partition", "check_kind", "part_of", "partitions", "splice"]

C = TypeVar("C")

KINDS = (PMap, PSet, PSortedMap, PSortedSet, PVector)


class Partition(Generic[C]):
    """One part of a shared collection; small and picklable like its handle.

    Attributes
    ----------
    source : Handle
    index, count : int
        Part number `index` of `count`.
    """

    __slots__ = ("count", "index", "source")

    def __init__(self, source: Handle[C], index: int, count: int) -> None:
        self.source, self.index, self.count = source, index, count

    def open(self, timeout: float = DEFAULT_TIMEOUT) -> C:
        """Return the part as a collection of the same type. *Cost*: that of `Handle.open`."""
        part: C = part_of(self.source.open(timeout), self.index, self.count)
        return part

    def __repr__(self) -> str:
        return f"<Partition {self.index} of {self.count} of {self.source!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Partition, (self.source, self.index, self.count)


def partitions(source: Handle[C] | C, n: int) -> list[Partition[C]]:
    """Cut a collection into n disjoint parts for tasks of your own.

    Parameters
    ----------
    source : Handle, PMap, PSet, PSortedMap, PSortedSet or PVector
        A collection is shared first. Parts of a sorted collection are ranges of its keys, those
        of a vector are slices, in order.
    n : int
        Number of parts, at least 1. Some may be empty when there are few entries.

    Returns
    -------
    list of Partition
        Send one to each task; there `open()` returns its entries as a collection.

    Notes
    -----
    *Cost*: O(n), beside sharing.

    Examples
    --------
    >>> import pstructs
    >>> numbers = pstructs.pset(range(1000))
    >>> sum(len(part.open()) for part in partitions(numbers, 4))
    1000
    """
    if n < 1:
        raise ValueError(f"the number of partitions has to be 1 or more, not {n}")
    handle: Handle[C] = share(source)
    return [Partition(handle, i, n) for i in range(n)]


def check_kind(collection: Any) -> None:
    """Raise TypeError for what can't be cut into parts."""
    if not isinstance(collection, KINDS):
        raise TypeError(
            "maps, sets, vectors and sorted collections have parts to work on, not "
            f"{type(collection).__name__}; make a vector of it, for instance"
        )


def part_of(collection: Any, index: int, count: int) -> Any:
    """Return part `index` of `count`. *Cost*: O(log n)."""
    if isinstance(collection, PVector):
        size = len(collection)
        return collection[index * size // count : (index + 1) * size // count]
    check_kind(collection)
    return partition(collection, index, count)


def splice(parts: Iterable[Any], empty: Any) -> Any:
    """Put results of parts together, in the order of the parts.

    Parameters
    ----------
    parts : iterable of collections of one type
        With keys that are disjoint, or vectors.
    empty : collection
        What there is when there are no parts.

    Notes
    -----
    *Cost*: O(log n) a part: nothing within the parts is built again.
    """
    found = [part for part in parts if len(part)]
    if not found:
        return empty
    if isinstance(found[0], PVector):
        return reduce(lambda a, b: a + b, found)
    if isinstance(found[0], PMap | PSortedMap):
        return reduce(lambda a, b: a.update(b), found)
    return reduce(lambda a, b: a | b, found)
