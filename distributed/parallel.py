"""Work on all of a collection in parallel: `parallel` and `map_reduce`.

Steps are only noted; one pass over each part does them all when a result is asked for:

    parallel(m).filter(f).map_values(g).collect()      a collection, spliced from the parts
                                       .reduce(h)      a value
                                       .count() .top_k() .group_by() .map_reduce()
"""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from pstructs import PMap, PVector, pmap, pvector
from pstructs.distributed.chain import Chain, Filter, Join, MapValues, Step, has_pairs, like
from pstructs.distributed.handle import Handle, share, share_here
from pstructs.distributed.parts import check_kind, splice
from pstructs.distributed.work import Job, Limits, run

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from pstructs.cache import SnapshotStore, Version

__all__ = ["Parallel", "map_reduce", "parallel"]

C = TypeVar("C")
R = TypeVar("R")

ENTRIES_A_PART = 16_384
MOST_PARTS = 1024
"""What a trie can be cut into: the positions of its first two levels."""
WORK_TIMEOUT = 3600.0
"""Seconds for all of an operation, whose functions are the caller's."""

_NOTHING: Any = object()


class Parallel(Generic[C]):
    """A collection and what is to be done with it. Made by `parallel`; immutable.

    Functions get the entries of a map as two arguments, key and value, unless it says otherwise,
    and the elements of other collections as one. The results don't depend on the number of
    workers, nor on how long they take: parts are cut, and their results combined, in one order.

    Examples
    --------
    >>> import pstructs
    >>> ages = pstructs.m(ada=36, bob=41, cleo=29)
    >>> older = parallel(ages).filter(lambda name, age: age > 30).map_values(lambda age: age + 1)
    >>> older.collect() == {"ada": 37, "bob": 42}
    True
    >>> older.count(), older.reduce(max)
    (2, 42)
    """

    __slots__ = ("_chain", "_limits", "_parts", "_source", "_whole")

    def __init__(
        self, source: Handle[C], whole: C, parts: int, limits: Limits, chain: Chain
    ) -> None:
        self._source, self._whole, self._parts = source, whole, parts
        self._limits, self._chain = limits, chain

    def __repr__(self) -> str:
        steps = "".join(f".{type(step).__name__}" for step in self._chain.steps)
        return f"<Parallel{steps} in {self._parts} parts of {self._source!r}>"

    # ---- steps

    def filter(self, function: Callable[..., object]) -> Parallel[C]:
        """Keep the entries for which `function` is true. *Cost*: O(1) now."""
        return self._then(Filter(function))

    def map_values(self, function: Callable[[Any], Any]) -> Parallel[Any]:
        """Replace values of a map, or elements of a vector, by what `function` makes of them.

        The keys stay, so the results of the parts are spliced. *Cost*: O(1) now.

        Raises
        ------
        TypeError
            For a set: its elements are its keys.
        """
        if not has_pairs(self._whole) and not isinstance(self._whole, PVector):
            raise TypeError(
                f"the elements of a {type(self._whole).__name__} decide where they are; use "
                "map_reduce() to make another collection of them"
            )
        return self._then(MapValues(function))

    def join(
        self,
        other: Handle[Any] | Mapping[Any, Any],
        how: Literal["inner", "left"] = "inner",
    ) -> Parallel[Any]:
        """Replace each value by the pair of it and the value of the same key in another map.

        Parameters
        ----------
        other : Handle, PMap or PSortedMap
            A collection is shared first; workers look keys up in place.
        how : {"inner", "left"}
            What to do with keys that the other map lacks: leave them out, or pair the value with
            None.

        Notes
        -----
        *Cost*: O(1) now, beside sharing; one lookup an entry later.

        Examples
        --------
        >>> import pstructs
        >>> ages, cities = pstructs.m(ada=36, bob=41), pstructs.m(ada="Lund")
        >>> parallel(ages).join(cities).collect()
        pmap({'ada': (36, 'Lund')})
        """
        if how not in ("inner", "left"):
            raise ValueError(f"how is 'inner' or 'left', got {how!r}")
        if not has_pairs(self._whole):
            raise TypeError(f"maps are joined by their keys, not a {type(self._whole).__name__}")
        handle: Handle[Any] = _sent(other, self._limits.processes)
        if not isinstance(handle.open(), Mapping):
            raise TypeError("a map is joined with another map, which workers look keys up in")
        return self._then(Join(handle, how))

    def _then(self, step: Step) -> Parallel[C]:
        return Parallel(
            self._source, self._whole, self._parts, self._limits, self._chain.then(step)
        )

    # ---- results

    def collect(self) -> C:
        """Return the entries as a collection of the same type.

        Notes
        -----
        *Cost*: O(entries / workers); putting the parts together is O(log n) a part, since
        they are disjoint. Large parts stay in the object store and are read in place.
        """
        parts = self._run("collect", self._chain.collect)
        result: C = splice(parts, like(self._whole, []))
        return result

    def reduce(self, function: Callable[[Any, Any], Any], initial: Any = _NOTHING) -> Any:
        """Combine all values of a map, or all elements of another collection, into one.

        Parameters
        ----------
        function : callable
            Associative: it also combines the results of parts, in order.
        initial : optional
            Goes in before the first.

        Raises
        ------
        TypeError
            There are no entries and no `initial`.
        """
        found = self._run("reduce", partial(_reduce, self._chain, function))
        values = (value for results in found for value in results)
        if initial is not _NOTHING:
            return reduce(function, values, initial)
        return reduce(function, values)

    def map_reduce(
        self,
        map_fn: Callable[[C], Any],
        reduce_fn: Callable[[Any, Any], R],
        initial: R | None = None,
    ) -> R:
        """Apply a function to each part, as a collection, and combine the results in order.

        Parameters
        ----------
        map_fn : callable
            Gets a part, after the steps, as a collection of the same type, in a worker.
        reduce_fn : callable
            Combines two results, here: it need be associative only.
        initial : optional
            Goes in before the first result; None: the first result starts.
        """
        results = self._run("map_reduce", partial(_map, self._chain, map_fn))
        total: R = next(results) if initial is None else initial
        for result in results:
            total = reduce_fn(total, result)
        return total

    def count(self) -> int:
        """Return the number of entries. *Cost*: O(1) when there are no steps."""
        if not self._chain.steps:
            return len(self._whole)  # type: ignore[arg-type]
        return sum(self._run("count", partial(_count, self._chain)))

    def top_k(self, k: int, by: Callable[..., Any] | None = None) -> list[Any]:
        """Return the k largest entries, the largest first.

        Parameters
        ----------
        k : int
        by : callable, optional
            Says what to compare. By default the value of a map's entry, or the element.

        Returns
        -------
        list
            (key, value) pairs of a map, elements of another collection; of equals, those that
            come first in a sorted collection or vector.

        Examples
        --------
        >>> import pstructs
        >>> parallel(pstructs.m(ada=36, bob=41, cleo=29)).top_k(2)
        [('bob', 41), ('ada', 36)]
        """
        found = self._run("top_k", partial(_top, self._chain, k, by))
        ranked = itertools.chain.from_iterable(found)
        return [entry for _, entry in heapq.nlargest(k, ranked, key=lambda pair: pair[0])]

    def group_by(self, key: Callable[..., Any]) -> PMap[Any, PVector[Any]]:
        """Return the entries by what `key` says of them.

        Returns
        -------
        PMap of key to PVector
            (key, value) pairs of a map, elements of another collection, in the order of a sorted
            collection or vector.

        Notes
        -----
        *Cost*: O(entries / workers), and O(log n) a group and part here. To count or add up
        groups, `map_reduce` sends less.

        Examples
        --------
        >>> import pstructs
        >>> parallel(pstructs.pvector(range(6))).group_by(lambda n: n % 2)[1]
        pvector([1, 3, 5])
        """
        groups: dict[Any, PVector[Any]] = {}
        for part in self._run("group_by", partial(_group, self._chain, key)):
            for name, members in part.items():
                known = groups.get(name)
                groups[name] = members if known is None else known + members
        return pmap(groups)

    def to_snapshot(
        self, store: SnapshotStore, head: str = "main", message: str | None = None
    ) -> Version:
        """Save what `collect` returns as a new version of a store."""
        return store.save(self.collect(), head, message)

    def to_arrow(self) -> pa.Table:
        """Return the records that are values, or elements, as one table of Arrow.

        The columns of a table are made by the workers. See `pstructs.interop.pyarrow.to_table`
        for what a record is.
        """
        import pyarrow as pa

        return pa.concat_tables(self._tables("to_arrow"), promote_options="default")

    def to_pandas(self) -> pd.DataFrame:
        """Return the records that are values, or elements, as one frame of pandas."""
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame

    def to_ray_data(self) -> Any:
        """Return the records that are values, or elements, as a `ray.data.Dataset`."""
        import ray.data

        return ray.data.from_arrow(self._tables("to_ray_data"))

    def _tables(self, what: str) -> list[pa.Table]:
        """At least one, since one without rows is a table, too."""
        tables = list(self._run(what, partial(_table, self._chain)))
        return [table for table in tables if table.num_rows] or tables[:1]

    def _run(self, what: str, work: Callable[[Any], Any]) -> Iterator[Any]:
        return run(Job(self._source, self._parts, work), self._limits._replace(what=what))


def parallel(
    source: Handle[C] | C,
    *,
    partitions: int | None = None,
    processes: int | None = None,
    timeout: float = WORK_TIMEOUT,
    progress: Callable[[int, int], object] | None = None,
    cancel: threading.Event | None = None,
) -> Parallel[C]:
    """Work on all of a collection in parallel, step by step in one pass.

    Parameters
    ----------
    source : Handle, PMap, PSet, PVector, PSortedMap or PSortedSet
        A collection is shared first.
    partitions : int, optional
        Number of parts. By default it follows from the number of entries alone, 16,384 a part, so
        that the result (of sums of floats, say) is the same on every machine.
    processes : int, optional
        Work in so many processes of this machine, without Ray. Functions then have to be those of
        modules. A collection that is in a `SnapshotStore` goes to them as a reference to it, and
        they map its file; any other is pickled.
    timeout : float
        Seconds for all of an operation. Unfinished work is ended then.
    progress : callable, optional
        Called here with the number of parts that are done and that of all parts.
    cancel : threading.Event, optional
        Set it, from another thread or from `progress`, to give the work up: nothing new is
        started, and what runs ends by itself in about a second.

    Returns
    -------
    Parallel

    Raises
    ------
    TypeError
        The collection is of a type that has no parts.
    ShareError
        From operations: the packs can't be reached, or the time is up.
    WorkCancelledError
        From operations: `cancel` was set.
    Exception
        From operations: what a function raised. Tasks that have begun end by themselves.

    Notes
    -----
    *Cost*: that of sharing, now. Operations: O(entries / workers) and 2 ms a task, of which there
    are some 4 a worker. Without Ray and without `processes` the parts are done one after the
    other in this process, with the same result, and a warning is logged once.

    Examples
    --------
    >>> import pstructs
    >>> words = pstructs.pvector(["to", "be", "or", "not", "to", "be"])
    >>> parallel(words).filter(lambda word: len(word) == 2).map_values(str.upper).collect()
    pvector(['TO', 'BE', 'OR', 'TO', 'BE'])
    """
    if partitions is not None and partitions < 1:
        raise ValueError(f"the number of partitions has to be 1 or more, not {partitions}")
    handle: Handle[C] = _sent(source, processes)
    whole = handle.open()
    check_kind(whole)
    parts = partitions
    if parts is None:
        parts = min(max(1, math.ceil(len(whole) / ENTRIES_A_PART)), MOST_PARTS)  # type: ignore[arg-type]
    return Parallel(
        handle, whole, parts, Limits(timeout, progress, cancel, processes, "parallel"), Chain()
    )


def map_reduce(
    source: Handle[C] | C,
    map_fn: Callable[[C], Any],
    reduce_fn: Callable[[Any, Any], R],
    initial: R | None = None,
    partitions: int | None = None,
    *,
    timeout: float = WORK_TIMEOUT,
) -> R:
    """Apply a function to each part of a collection, in parallel, and combine the results.

    Short for `parallel(source, ...).map_reduce(map_fn, reduce_fn, initial)`.

    Examples
    --------
    >>> import operator, pstructs
    >>> ages = pstructs.pmap({"ada": 36, "bob": 41, "cleo": 29})
    >>> map_reduce(ages, lambda part: sum(part.values()), operator.add, initial=0)
    106
    """
    work = parallel(source, partitions=partitions, timeout=timeout)
    return work.map_reduce(map_fn, reduce_fn, initial)


def _sent(source: Handle[C] | C, processes: int | None) -> Handle[C]:
    """A handle that the workers can open: processes are in no cluster."""
    if processes is None:
        return share(source)
    if isinstance(source, Handle) and source.where == "ray":
        source = source.open()
    return share_here(source)


# ---- what workers do with a part


def _reduce(chain: Chain, function: Callable[[Any, Any], Any], part: Any) -> list[Any]:
    values = chain.values(part)
    for first in values:
        return [reduce(function, values, first)]
    return []


def _map(chain: Chain, function: Callable[[Any], Any], part: Any) -> Any:
    return function(chain.collect(part))


def _count(chain: Chain, part: Any) -> int:
    return sum(1 for _ in chain.entries(part))


def _top(chain: Chain, k: int, by: Callable[..., Any] | None, part: Any) -> list[tuple[Any, Any]]:
    pairs = has_pairs(part)
    ranked: Iterable[tuple[Any, Any]]
    if pairs:
        ranked = (
            (value if by is None else by(key, value), (key, value))
            for key, value in chain.entries(part)
        )
    else:
        ranked = ((x if by is None else by(x), x) for x in chain.entries(part))
    return heapq.nlargest(k, ranked, key=lambda pair: pair[0])


def _group(chain: Chain, key: Callable[..., Any], part: Any) -> dict[Any, PVector[Any]]:
    groups: dict[Any, list[Any]] = {}
    pairs = has_pairs(part)
    for entry in chain.entries(part):
        groups.setdefault(key(*entry) if pairs else key(entry), []).append(entry)
    return {name: pvector(members) for name, members in groups.items()}


def _table(chain: Chain, part: Any) -> pa.Table:
    from pstructs.interop.pyarrow import to_table

    return to_table(list(chain.values(part)))
