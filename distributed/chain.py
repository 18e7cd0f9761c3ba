"""What is done with the entries of a part, in one pass: filters, maps and joins, chained.

A chain is data: it is pickled once, goes to every worker, and runs over each part there. Nothing
is made between its steps. The entries of a map are (key, value) pairs, and functions take them as
two arguments; the entries of sets and vectors are their elements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

from pstructs import (
    PMap,
    PSet,
    PSortedMap,
    PSortedSet,
    PVector,
    pmap,
    pset,
    psortedmap,
    psortedset,
    pvector,
)
from pstructs.distributed.handle import Handle

__all__ = ["Chain", "Filter", "Join", "MapValues", "Step", "has_pairs", "like"]


class Filter:
    """Keep the entries for which a function is true."""

    def __init__(self, function: Callable[..., object]) -> None:
        self.function = function

    def over(self, entries: Iterator[Any], pairs: bool) -> Iterator[Any]:
        """Run over entries."""
        function = self.function
        if pairs:
            return (entry for entry in entries if function(*entry))
        return filter(function, entries)


class MapValues:
    """Replace each value of a map, or element of a vector, by what a function makes of it."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def over(self, entries: Iterator[Any], pairs: bool) -> Iterator[Any]:
        """Run over entries."""
        function = self.function
        if pairs:
            return ((key, function(value)) for key, value in entries)
        return map(function, entries)


class Join:
    """Replace each value by (value, value of the same key in another map)."""

    def __init__(self, other: Handle[Any], how: Literal["inner", "left"]) -> None:
        self.other, self.how = other, how

    def over(self, entries: Iterator[Any], pairs: bool) -> Iterator[Any]:
        """Run over entries."""
        other = self.other.open()
        if self.how == "left":
            return ((key, (value, other.get(key))) for key, value in entries)
        return ((key, (value, other[key])) for key, value in entries if key in other)


Step = Filter | MapValues | Join


class Chain:
    """Steps to run over the entries of a part.

    Parameters
    ----------
    steps : tuple of Filter, MapValues and Join
    """

    def __init__(self, steps: tuple[Step, ...] = ()) -> None:
        self.steps = steps

    def then(self, step: Step) -> Chain:
        """Return this chain with one step more."""
        return Chain((*self.steps, step))

    def entries(self, part: Any) -> Iterator[Any]:
        """Run over a part. *Cost*: O(entries)."""
        pairs = has_pairs(part)
        return self._over(iter(part.items() if pairs else part), pairs)

    def _over(self, entries: Iterator[Any], pairs: bool) -> Iterator[Any]:
        for step in self.steps:
            entries = step.over(entries, pairs)
        return entries

    def values(self, part: Any) -> Iterator[Any]:
        """The values of the resulting entries of a map; the elements of other collections."""
        entries = self.entries(part)
        return (value for _, value in entries) if has_pairs(part) else entries

    def collect(self, part: Any) -> Any:
        """Return the resulting entries as a collection of the same type.

        What only loses a few entries shares all other nodes with the part, so that little of it
        has to be sent.
        """
        if not self.steps:
            return part
        if isinstance(part, PVector) or not all(isinstance(step, Filter) for step in self.steps):
            return like(part, list(self.entries(part)))
        before = list(part.items() if has_pairs(part) else part)
        kept = list(self._over(iter(before), has_pairs(part)))
        if 2 * len(kept) <= len(before):
            return like(part, kept)
        return part if len(kept) == len(before) else _without(part, before, kept)


def has_pairs(collection: Any) -> bool:
    """Whether the entries of a collection are (key, value) pairs."""
    return isinstance(collection, PMap | PSortedMap)


def _without(part: Any, before: list[Any], kept: list[Any]) -> Any:
    """The part with nothing but the entries kept, which are some of the objects in `before`."""
    evolver = part.evolver()
    rest, missing = iter(kept), object()
    wanted = next(rest, missing)
    for entry in before:
        if entry is wanted:  # not ==, which a key need not be to itself
            wanted = next(rest, missing)
        else:
            evolver.discard(entry[0] if has_pairs(part) else entry)
    return evolver.persistent()


def like(part: Any, entries: list[Any]) -> Any:
    """Return entries, in the order of the part, as a collection of its type."""
    if isinstance(part, PVector):
        return pvector(entries)
    if isinstance(part, PMap):
        return pmap(dict(entries))
    if isinstance(part, PSet):
        return pset(entries)
    if isinstance(part, PSortedMap):
        return psortedmap(entries, key=part.key)
    assert isinstance(part, PSortedSet)
    return psortedset(entries, key=part.key)
