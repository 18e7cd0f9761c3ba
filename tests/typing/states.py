"""What type checkers know of atoms, histories and records."""

from __future__ import annotations

from typing import Any, assert_type

from pstructs import (
    Atom,
    CheckedPMap,
    CheckedPSet,
    CheckedPVector,
    History,
    PClass,
    PMap,
    PRecord,
    PVector,
    Step,
    derived,
    field,
    m,
    v,
)

atom = Atom(m(fig=1))
assert_type(atom, Atom[PMap[str, int]])
assert_type(atom.value, PMap[str, int])
assert_type(atom.deref(), PMap[str, int])
assert_type(atom.swap(lambda value: value.set("fig", 2)), PMap[str, int])
assert_type(atom.reset(m(fig=3)), PMap[str, int])
assert_type(atom.swap_vals(lambda value: value), tuple[PMap[str, int], PMap[str, int]])
assert_type(atom.compare_and_set(m(), m()), bool)
count = atom.derive(len)
assert_type(count.value, int)
assert_type(count.derive(str).value, str)


def total(value: PMap[str, int]) -> float:
    """Return a sum."""
    return sum(value.values())


assert_type(derived(total, atom).value, float)

history = History(v(1))
assert_type(history, History[PVector[int]])
assert_type(history.state, PVector[int])
assert_type(history.record(v(2), "two"), Step[PVector[int]])
assert_type(history.undo(), PVector[int])
assert_type(history.redo(), PVector[int])
assert_type(history.current.state, PVector[int])
assert_type(list(history), list[Step[PVector[int]]])
assert_type(history.bisect(lambda state: len(state) > 1), Step[PVector[int]] | None)


class Point(PClass):
    """Fields have the type that they declare."""

    x = field(type=int, mandatory=True)
    y = field(type=float, initial=0.0)


class Named(PRecord):
    """So have those of records."""

    name = field(type=str)


point = Point(x=1)
assert_type(point.x, int)
assert_type(point.y, float)
assert_type(point.set(y=2.5), Point)
assert_type(Named(name="a").name, str)
assert_type(Named(name="a").set("name", "b"), Named)
assert_type(Named(name="a")["name"], Any)


class Numbers(CheckedPVector[int]):
    """A checked vector."""

    __type__ = int


class Names(CheckedPSet[str]):
    """A checked set."""

    __type__ = str


class Prices(CheckedPMap[str, float]):
    """A checked map."""

    __key_type__ = str
    __value_type__ = float


assert_type(Numbers([1])[0], int)
assert_type(Names(["a"]).add("b"), Names)
assert_type(Numbers([1]).append(2).set(0, 3).extend([4]), Numbers)
assert_type(Prices({"a": 1.5})["a"], float)
assert_type(Prices().set("a", 1.5).update({"b": 2.5}).remove("a"), Prices)
assert_type(list(Names(["a"])), list[str])
