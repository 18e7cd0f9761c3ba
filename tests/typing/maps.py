"""What type checkers know of maps: keys and values flow through every method."""

from __future__ import annotations

from collections.abc import Hashable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import assert_type

from pstructs import PMap, PMapEvolver, PSet, m, pmap

stock = pmap({"fig": 3})
assert_type(stock, PMap[str, int])
pairs = [(1, "a"), (2, "b")]
assert_type(pmap(pairs), PMap[int, str])
assert_type(PMap(pairs), PMap[int, str])
assert_type(PMap({1: b"a"}), PMap[int, bytes])
assert_type(pmap(stock), PMap[str, int])
assert_type(m(x=1, y=2), PMap[str, int])
empty: PMap[str, int] = pmap()
also_empty: PMap[str, int] = PMap()
nested: PMap[str, PMap[int, float]] = m(a=pmap({1: 2.5}))
assert_type(nested["a"][1], float)

# lookups
assert_type(stock["fig"], int)
assert_type(stock.get("fig"), int | None)
assert_type(stock.get("fig", 0), int)
assert_type(stock.get("fig", "none"), int | str)
assert_type(stock.get("fig", None), int | None)
assert_type(stock.get("fig", default=b""), int | bytes)
assert_type("fig" in stock, bool)
assert_type(len(stock), int)

# updates give the type of what they hold afterwards
assert_type(stock.set("fig", 4), PMap[str, int])
assert_type(stock.set("fig", "many"), PMap[str, int | str])
assert_type(stock.set(7, 4), PMap[str | int, int])
assert_type(stock.remove("fig"), PMap[str, int])
assert_type(stock.set("kiwi", 1).discard("kiwi"), PMap[str, int])
assert_type(stock.update({"pear": 4}), PMap[str, int])
assert_type(stock.update({"pear": 4}, m(plum=5)), PMap[str, int])
assert_type(stock.update([("pear", 2.5)]), PMap[str, int | float])
assert_type(stock.update_with(lambda old, new: old + new, {"fig": 1}), PMap[str, int])
assert_type(stock | {"pear": 4}, PMap[str, int])
assert_type(stock | m(pear=2.5), PMap[str, int | float])
assert_type({"pear": 4} | stock, PMap[str, int])
assert_type(stock + m(pear=4), PMap[str, int])
assert_type(stock.copy(), PMap[str, int])

# iteration and views
for key in stock:
    assert_type(key, str)
for key, number in stock.items():
    assert_type((key, number), tuple[str, int])
assert_type(iter(stock), Iterator[str])
assert_type(list(stock.keys()), list[str])
assert_type(list(stock.values()), list[int])
assert_type(list(stock.items()), list[tuple[str, int]])
assert_type(list(stock.itervalues()), list[int])
assert_type(list(stock.iteritems()), list[tuple[str, int]])
assert_type(stock.keys() & {"fig"}, PSet[str])
assert_type(stock.keys() | {1}, PSet[str | int])
assert_type(stock.keys() - {"fig"}, PSet[str])
assert_type(stock.items() - {("fig", 3)}, PSet[tuple[str, int]])
assert_type(stock.keys().mapping, PMap[str, int])
keys: KeysView[str] = stock.keys()
values: ValuesView[int] = stock.values()
items: ItemsView[str, int] = stock.items()
assert_type(dict(stock), dict[str, int])

# evolvers
evolver = stock.evolver()
assert_type(evolver, PMapEvolver[str, int])
evolver["pear"] = 4
del evolver["pear"]
assert_type(evolver["fig"], int)
assert_type(evolver.get("fig"), int | None)
assert_type(evolver.get("fig", 0), int)
assert_type(evolver.set("plum", 4).discard("plum"), PMapEvolver[str, int])
assert_type(evolver.update({"pear": 1}), PMapEvolver[str, int])
assert_type(evolver.is_dirty(), bool)
assert_type(evolver.persistent(), PMap[str, int])

# a map is a Mapping, covariant in its values, and hashable
mapping: Mapping[str, float] = stock
wider: PMap[str, float] = stock
hashable: Hashable = stock
index: PMap[PMap[str, int], str] = pmap({stock: "first"})


def total(prices: PMap[str, float]) -> float:
    """Take a map of ints as well."""
    return sum(prices.values())


assert_type(total(stock), float)


# names of keys are attributes
assert_type(stock.fig, int)

match stock:
    case {"fig": found}:
        assert_type(found, int)
    case _:
        pass


class Fruit:
    """A key."""


class Fig(Fruit):
    """A key of a narrower type."""


crates: PMap[Fruit, float] = pmap({Fruit(): 2.5})
crates = crates.set(Fig(), 1)
crates = crates.update({Fruit(): 1}, pmap({Fruit(): 2.5}))
crates = crates | {Fruit(): 1} | pmap({Fruit(): 1})
assert_type(crates.set(Fig(), 1.5), PMap[Fruit, float])
assert_type(crates.remove(Fig()), PMap[Fruit, float])
figs: PMap[Fig, int] = pmap({Fig(): 1})
assert_type(figs.set(Fruit(), 1), PMap[Fig | Fruit, int])
