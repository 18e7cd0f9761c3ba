"""One task a partition: `partitions` and `map_reduce`.

A partition is a part of the trie: the parts of one collection are disjoint, together they are all
of it, and finding one costs nothing, since a worker opens the shared pack and takes its branches.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from pstructs import partition
from pstructs.distributed.backend import (
    DEFAULT_TIMEOUT,
    ray_or_none,
    say_in_process,
)
from pstructs.distributed.handle import Handle, share
from pstructs.errors import ShareError

__all__ = ["Partition", "map_reduce", "partitions"]

C = TypeVar("C")
R = TypeVar("R")

ENTRIES_A_PARTITION = 16_384
MOST_PARTITIONS = 64
WORK_TIMEOUT = 3600.0
"""Seconds for all of a `map_reduce`, whose functions are the caller's."""


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
        whole: Any = self.source.open(timeout)
        part: C = partition(whole, self.index, self.count)
        return part

    def __repr__(self) -> str:
        return f"<Partition {self.index} of {self.count} of {self.source!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Partition, (self.source, self.index, self.count)


def partitions(source: Handle[C] | C, n: int) -> list[Partition[C]]:
    """Cut a map or set into n disjoint parts for tasks of your own.

    Parameters
    ----------
    source : Handle, PMap or PSet
        A collection is shared first.
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
    handle = _handle(source)
    return [Partition(handle, i, n) for i in range(n)]


def map_reduce(
    source: Handle[C] | C,
    map_fn: Callable[[C], R],
    reduce_fn: Callable[[R, R], R],
    initial: R | None = None,
    partitions: int | None = None,
    *,
    timeout: float = WORK_TIMEOUT,
) -> R:
    """Apply a function to each part of a collection, in parallel, and combine the results.

    Parameters
    ----------
    source : Handle, PMap or PSet
        A collection is shared first.
    map_fn : callable
        Gets a part as a collection of the same type, in a Ray task; returns anything picklable.
    reduce_fn : callable
        Combines two results, here, in the order of the parts: it need be associative only.
    initial : optional
        Goes in before the first result; None: the first result starts.
    partitions : int, optional
        Number of parts. By default it follows from the number of entries alone, so that the
        result (of sums of floats, say) is the same on every machine.
    timeout : float
        Seconds for all of it. Unfinished tasks are cancelled then.

    Returns
    -------
    whatever `reduce_fn` returns

    Raises
    ------
    ShareError
        The packs can't be reached, or the time is up.
    Exception
        What `map_fn` or `reduce_fn` raised. Tasks that have begun end by themselves.

    Notes
    -----
    *Cost*: O(entries / workers) and about a millisecond a part. Without Ray the parts are done
    one after the other in this process, with the same result, and a warning is logged once.

    Examples
    --------
    >>> import operator, pstructs
    >>> ages = pstructs.pmap({"ada": 36, "bob": 41, "cleo": 29})
    >>> map_reduce(ages, lambda part: sum(part.values()), operator.add, initial=0)
    106
    """
    handle = _handle(source)
    n = partitions if partitions is not None else _count_for(len(handle.open()))  # type: ignore[arg-type]
    if n < 1:
        raise ValueError(f"the number of partitions has to be 1 or more, not {n}")
    parts = [Partition(handle, i, n) for i in range(n)]
    ray = ray_or_none()
    if ray is None:
        say_in_process()
        results = _run_here(parts, map_fn)
    else:
        results = _run(ray, parts, map_fn, timeout)
    with contextlib.closing(results):
        total: R = next(results) if initial is None else initial
        for result in results:
            total = reduce_fn(total, result)
    return total


def _handle(source: Handle[C] | C) -> Handle[C]:
    handle: Handle[C] = share(source)
    return handle


def _count_for(entries: int) -> int:
    return min(max(1, math.ceil(entries / ENTRIES_A_PARTITION)), MOST_PARTITIONS)


def _apply(part: Partition[C], map_fn: Callable[[C], R]) -> R:
    return map_fn(part.open())


def _run_here(parts: list[Partition[C]], map_fn: Callable[[C], R]) -> Generator[R, None, None]:
    for part in parts:
        yield map_fn(part.open())


def _run(
    ray: Any, parts: list[Partition[C]], map_fn: Callable[[C], R], timeout: float
) -> Generator[R, None, None]:
    """Yield the results in the order of the parts.

    Tasks that take too long are cancelled. After an error the others are left to end by
    themselves: Ray 2.60 stops the whole driver when a task ends while it is cancelled.
    """
    until = time.monotonic() + timeout
    function = ray.put(map_fn)  # once, not once a task
    task = ray.remote(_apply)
    waiting = [task.remote(part, function) for part in parts]
    while waiting:
        try:
            result = ray.get(waiting[0], timeout=max(0.0, until - time.monotonic()))
        except ray.exceptions.GetTimeoutError as error:
            for ref in waiting:
                ray.cancel(ref)
            raise ShareError(
                f"map_reduce: {len(waiting)} of {len(parts)} parts are not done after "
                f"{timeout:g} s. Give it a larger timeout=, or see whether the cluster has "
                "free CPUs."
            ) from error
        del waiting[0]
        yield result
