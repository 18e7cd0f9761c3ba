"""Records and checked collections in JSON, msgspec, pydantic and Rich."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import orjson
import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from rich.pretty import pretty_repr

from pstructs import CheckedPMap, CheckedPSet, CheckedPVector, PClass, PRecord, field, m, v
from pstructs.interop.json import JSONEncoder, default
from pstructs.interop.msgspec import dec_hook, enc_hook
from pstructs.interop.numpy import to_numpy
from pstructs.interop.pandas import to_dataframe


class Thing:
    """A type that no library knows."""


class Point(PClass):
    x = field(type=int, mandatory=True)
    y = field(type=(int, float), initial=0, invariant=lambda y: (y >= 0, "below the axis"))


class Numbers(CheckedPVector):
    __type__ = int


class Names(CheckedPSet):
    __type__ = str


class Prices(CheckedPMap):
    __key_type__ = str
    __value_type__ = float


class Order(PRecord):
    name = field(type=str, mandatory=True)
    count = field(factory=int, serializer=lambda _, count: f"{count} pieces")
    at = field(type=Point)
    numbers = field(type=Numbers)
    names = field(type=Names)
    prices = field(type=Prices)
    anything = field()
    thing = field(type=Thing)


ORDER = Order(
    name="a",
    count="3",
    at=Point(x=1),
    numbers=Numbers([1, 2]),
    names=Names(["n"]),
    prices=Prices({"fig": 2.5}),
    anything=m(a=v(1)),
)
PLAIN = {
    "name": "a", "count": "3 pieces", "at": {"x": 1, "y": 0}, "numbers": [1, 2], "names": ["n"],
    "prices": {"fig": 2.5}, "anything": {"a": [1]},
}  # fmt: skip
DATA = {**PLAIN, "count": "3"}


def places(error: pytest.ExceptionInfo[ValidationError]) -> list[tuple[Any, str]]:
    return [(problem["loc"], problem["type"]) for problem in error.value.errors()]


def test_records_are_written_by_their_serializers() -> None:
    assert json.loads(json.dumps(ORDER, cls=JSONEncoder)) == PLAIN
    assert orjson.loads(orjson.dumps([ORDER], default=default)) == [PLAIN]
    assert msgspec.json.decode(msgspec.json.encode({"a": ORDER}, enc_hook=enc_hook)) == {
        "a": PLAIN
    }


def test_msgspec_reads_records() -> None:
    class Batch(msgspec.Struct):
        order: Order
        numbers: Numbers = Numbers()

    batch = msgspec.convert({"order": DATA, "numbers": [1]}, Batch, dec_hook=dec_hook)
    assert type(batch.order) is Order and batch.order.at == Point(x=1)
    assert type(batch.order.numbers) is Numbers and type(batch.numbers) is Numbers
    again = msgspec.convert({"order": ORDER}, Batch, dec_hook=dec_hook)
    assert again.order is ORDER
    for wrong in ({"name": 3}, {}, {"name": "a", "extra": 1}, 3):
        with pytest.raises(msgspec.ValidationError, match=r"at `\$\.order`"):
            msgspec.convert({"order": wrong}, Batch, dec_hook=dec_hook)
    with pytest.raises(msgspec.ValidationError, match=r"at `\$\.numbers`"):
        msgspec.convert({"order": DATA, "numbers": ["x"]}, Batch, dec_hook=dec_hook)


def test_pydantic_makes_records_of_plain_data_and_keeps_records() -> None:
    class Batch(BaseModel):
        orders: dict[str, Order]
        names: Names = Names()

    batch = Batch(orders={"a": DATA, "b": ORDER}, names=["x", "x"])
    assert batch.orders["b"] is ORDER and batch.names == Names(["x"])
    made = batch.orders["a"]
    assert type(made) is Order and made.count == 3 and made.at == Point(x=1)
    assert type(made.numbers) is Numbers and type(made.prices) is Prices
    assert batch.model_dump()["orders"]["b"] is ORDER
    dumped = json.loads(batch.model_dump_json())
    assert dumped == {
        "orders": {"a": PLAIN | {"anything": {"a": [1]}}, "b": PLAIN},
        "names": ["x"],
    }


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, (("name",), "missing")),
        ({"name": 3}, (("name",), "string_type")),
        ({"name": "a", "extra": 1}, (("extra",), "extra_forbidden")),
        ({"name": "a", "at": {"x": 1, "y": -1}}, (("at",), "not_fitting")),
        ({"name": "a", "at": {"x": "q"}}, (("at", "x"), "int_parsing")),
        ({"name": "a", "numbers": [1, "q"]}, (("numbers", 1), "int_parsing")),
        ({"name": "a", "prices": {"fig": "q"}}, (("prices", "fig"), "float_parsing")),
        ({"name": "a", "thing": 3}, (("thing",), "is_instance_of")),
        ({"name": "a", "count": "q"}, ((), "not_fitting")),
        (3, ((), "dict_type")),
    ],
)
def test_pydantic_names_the_place_of_an_error(data: Any, expected: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Order).validate_python(data)
    assert places(caught) == [expected]


def test_the_json_schema_shows_fields_and_elements() -> None:
    class Plain(PRecord):
        name = field(type=str, mandatory=True)
        points = field(type=Numbers)

    schema = TypeAdapter(Plain).json_schema()
    assert schema["required"] == ["name"] and schema["additionalProperties"] is False
    assert schema["properties"]["points"]["items"] == {"type": "integer"}
    assert TypeAdapter(Names).json_schema()["uniqueItems"] is True
    assert TypeAdapter(Prices).json_schema()["additionalProperties"] == {"type": "number"}


def test_rich_prints_the_fields() -> None:
    assert pretty_repr(Point(x=1)) == "Point(x=1, y=0)"
    assert pretty_repr(Numbers([1])) == "Numbers([1])"


def test_records_are_rows_of_a_frame() -> None:
    frame = to_dataframe([Point(x=1), Point(x=2, y=3)])
    assert frame.to_dict("list") == {"x": [1, 2], "y": [0, 3]}
    assert to_dataframe(v(Order(name="a"))).to_dict("list") == {"name": ["a"]}
    assert to_numpy(Numbers([1, 2])).tolist() == [1, 2]
