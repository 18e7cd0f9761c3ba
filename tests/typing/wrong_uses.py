"""Uses that a type checker has to refuse: each line is an error, or this file is."""

from __future__ import annotations

from pstructs import PDeque, PList, PMap, PSet, PVector, diff, m, merge, pmap, pset, pvector, s
from pstructs.bags import PBag


def wrong_maps(stock: PMap[str, int], numbers: PSet[int]) -> None:
    """Maps and their evolvers."""
    stock[1]  # type: ignore[index]
    stock["fig"] = 2  # type: ignore[operator]
    del stock["fig"]  # type: ignore[operator]
    stock.get(1)  # type: ignore[call-overload]
    stock.get()  # type: ignore[call-overload]
    stock.set("fig")  # type: ignore[call-overload]
    stock.update(1)  # type: ignore[call-overload]
    stock.updated({"fig": 1})  # type: ignore[operator]
    stock | 3  # type: ignore[operator]
    narrower: PMap[str, bool] = stock  # type: ignore[assignment]
    other_keys: PMap[object, int] = stock  # type: ignore[assignment]
    pmap(3)  # type: ignore[call-overload]
    m(1)  # type: ignore[call-arg]
    evolver = stock.evolver()
    evolver[1] = 2  # type: ignore[index]
    evolver["fig"] = "many"  # type: ignore[assignment]
    evolver.set("fig", "many")  # type: ignore[arg-type]
    evolver.update({1: 2})  # type: ignore[arg-type]
    text: str = stock.get("fig", 0)  # type: ignore[assignment]
    text = stock["fig"]  # type: ignore[assignment]


def wrong_sets(stock: PMap[str, int], numbers: PSet[int]) -> None:
    """Sets and their evolvers."""
    numbers[0]  # type: ignore[index]
    numbers.add()  # type: ignore[call-arg]
    numbers.update(3)  # type: ignore[arg-type]
    numbers < 3  # type: ignore[operator]
    narrower: PSet[bool] = numbers  # type: ignore[assignment]
    pset(3)  # type: ignore[call-overload]
    numbers.evolver().add("a")  # type: ignore[arg-type]


def wrong_versions(stock: PMap[str, int], numbers: PSet[int]) -> None:
    """Two versions have to be of one kind."""
    diff(stock, numbers)  # type: ignore[call-overload]
    merge(stock, stock, numbers)  # type: ignore[call-overload]
    merge(numbers, s(1), {1})  # type: ignore[call-overload]


def wrong_sequences(
    numbers: PVector[int], linked: PList[int], window: PDeque[int], bag: PBag[int]
) -> None:
    """Vectors, lists, deques and bags."""
    numbers["a"]  # type: ignore[call-overload]
    numbers[0] = 1  # type: ignore[index]
    numbers.append()  # type: ignore[call-arg]
    numbers.extend(3)  # type: ignore[arg-type]
    numbers.set("a", 1)  # type: ignore[arg-type]
    numbers + 3  # type: ignore[operator]
    pvector(3)  # type: ignore[call-overload]
    evolver = numbers.evolver()
    evolver[0] = "a"  # type: ignore[assignment]
    evolver.append("a")  # type: ignore[arg-type]
    narrower: PVector[bool] = numbers  # type: ignore[assignment]
    text: str = numbers[0]  # type: ignore[assignment]
    linked[0] = 1  # type: ignore[index]
    linked.cons()  # type: ignore[call-arg]
    text = linked.first  # type: ignore[assignment]
    window.rotate("a")  # type: ignore[arg-type]
    text = window.left  # type: ignore[assignment]
    window.pop("a")  # type: ignore[arg-type]
    bag + [1]  # type: ignore[operator]
    bag[0]  # type: ignore[index]
    narrower_bag: PBag[bool] = bag  # type: ignore[assignment]
