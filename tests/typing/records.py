"""Types that checkers infer for records and checked collections; checked, never run."""

from __future__ import annotations

from typing import assert_type

from pstructs import (
    CheckedPMap,
    CheckedPSet,
    CheckedPVector,
    PClass,
    PMap,
    PRecord,
    PSet,
    PVector,
    field,
    optional,
    packable,
    pmap_field,
    pset_field,
    pvector_field,
)


@packable("typing.Row")
class Row(PRecord):
    x = field(type=int)
    y: str = field(type=str, initial="")
    s = pset_field(str)
    v = pvector_field(int)
    m = pmap_field(str, int)


class Box(PClass):
    x = field(type=int, mandatory=True)
    o = field(type=optional(int))
    row = field(type=Row)
    n: int = field(factory=int)


class Table(CheckedPMap[str, int]):
    __key_type__ = str
    __value_type__ = int


class Small(CheckedPSet[int]):
    __type__ = int


class Steps(CheckedPVector[int]):
    __type__ = int


row = Row(x=1)
assert_type(row, Row)
assert_type(row.x, int)
assert_type(row.y, str)
assert_type(row.s, PSet[str])
assert_type(row.v, PVector[int])
assert_type(row.m, PMap[str, int])
assert_type(row.set(x=3), Row)
assert_type(row.set("x", 3), Row)
assert_type(row.update({"x": 1}), Row)
assert_type(Row.create({"x": 1}), Row)
for name, _ in row.items():
    assert_type(name, str)

box = Box(x=1)
assert_type(box.x, int)
assert_type(box.row, Row)
assert_type(box.remove("x"), Box)
assert_type(Box.create({"x": 1}), Box)
assert_type(Table({"a": 1})["a"], int)
assert_type(Table({"a": 1}).discard("a"), Table)
assert_type(Small([1]).remove(1), Small)
assert_type(Steps([1])[0], int)
assert_type(Steps([1]).pop(), Steps)
keys: dict[Row, int] = {row: 1}
