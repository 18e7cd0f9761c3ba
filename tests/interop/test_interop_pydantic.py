"""pydantic v2: fields of persistent types."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

import annotated_types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, validate_call
from pydantic.dataclasses import dataclass

from pstructs import PMap, PSet, PVector, m, pmap, pset, s, v
from pstructs.interop.kinds import Kind, Shape
from pstructs.testing import pmaps
from support.interop_samples import MAPPINGS, SETS, annotation, every, sample

T = TypeVar("T")


class Person(BaseModel):
    model_config = ConfigDict(frozen=True)
    name: str


class Stock(BaseModel):
    prices: PMap[str, int]
    tags: PSet[str] = s()
    people: PMap[int, PMap[str, Person]] = pmap()
    below: PMap[str, Stock] = pmap()
    bare: PMap = pmap()  # type: ignore[type-arg]


class Box(BaseModel, Generic[T]):
    items: PMap[str, T]


def problems(error: pytest.ExceptionInfo[ValidationError]) -> list[tuple[Any, str]]:
    return [(problem["loc"], problem["type"]) for problem in error.value.errors()]


@every()
def test_every_collection_is_validated_and_serialized(kind: Kind) -> None:
    adapter = TypeAdapter(annotation(kind, int))
    value = sample(kind, 1, 2)
    plain: Any = dict(value) if kind.shape is Shape.MAPPING else list(value)
    text: Any = {"1": "1", "2": 2} if kind.shape is Shape.MAPPING else ["1", 2]
    for source in (value, plain, text):
        made = adapter.validate_python(source)
        assert made == value and type(made) is kind.cls
    assert adapter.validate_json(adapter.dump_json(value)) == value
    assert adapter.dump_python(value) == value
    assert type(adapter.dump_python(value)) is kind.cls
    as_json = adapter.dump_python(value, mode="json")
    assert type(as_json) is type(plain)
    assert as_json == ({str(k): x for k, x in plain.items()} if isinstance(plain, dict) else plain)


@every()
def test_a_collection_that_fits_is_kept(kind: Kind) -> None:
    value = sample(kind, 1, 2)
    assert TypeAdapter(annotation(kind, int)).validate_python(value) is value
    assert TypeAdapter(kind.cls).validate_python(value) is value
    assert TypeAdapter(annotation(kind, int)).dump_python(value) is value


@every()
def test_a_coerced_element_is_in_the_result(kind: Kind) -> None:
    value = sample(kind, True, 2.0)
    made = TypeAdapter(annotation(kind, int)).validate_python(value)
    assert made == sample(kind, 1, 2) and made is not value
    parts = {type(part) for part in made} | {
        type(part) for part in (made.values() if kind.shape is Shape.MAPPING else ())
    }
    assert parts == {int}


@every()
def test_a_subclass_is_a_field_type_of_its_own(kind: Kind) -> None:
    class Own(kind.cls):  # type: ignore[name-defined, misc]
        pass

    made = TypeAdapter(Own).validate_python(sample(kind, 1))
    assert type(made) is Own and made == sample(kind, 1)


@every()
def test_the_json_schema_is_that_of_an_object_or_array(kind: Kind) -> None:
    adapter = TypeAdapter(annotation(kind, int))
    expected: Any = {"type": "array", "items": {"type": "integer"}}
    if kind.shape is Shape.MAPPING:
        expected = {"type": "object", "additionalProperties": {"type": "integer"}}
    elif kind.shape is Shape.SET:
        expected["uniqueItems"] = True
    assert adapter.json_schema() == expected
    assert adapter.json_schema(mode="serialization") == expected


@every()
def test_an_error_names_the_place(kind: Kind) -> None:
    plain: Any = {1: 1, 2: "x"} if kind.shape is Shape.MAPPING else [1, "x"]
    where = (2,) if kind.shape is Shape.MAPPING else (1,)
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(annotation(kind, int)).validate_python(plain)
    assert problems(caught) == [(where, "int_parsing")]


@every()
@pytest.mark.parametrize("wrong", [3, None, "ab"])
def test_a_value_of_another_shape_is_refused(kind: Kind, wrong: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind.cls).validate_python(wrong)
    kind_of_problem = "dict_type" if kind.shape is Shape.MAPPING else "list_type"
    assert problems(caught) == [((), kind_of_problem)]


@every()
def test_the_wrong_number_of_arguments_is_a_type_error(kind: Kind) -> None:
    arguments = (int,) if kind.shape is Shape.MAPPING else (int, int)
    with pytest.raises(TypeError, match="arguments"):
        TypeAdapter(kind.cls[arguments])


def test_nested_models_and_collections_are_validated() -> None:
    stock = Stock(
        prices={"fig": "3"},
        people={"1": {"a": {"name": "Ada"}}},
        below={"x": {"prices": {}}},
        bare={"anything": [1]},
    )
    assert stock.people == pmap({1: m(a=Person(name="Ada"))})
    assert type(stock.people[1]) is PMap and type(stock.below["x"].prices) is PMap
    assert Stock.model_validate_json(stock.model_dump_json()) == stock
    assert Stock.model_validate(stock.model_dump()) == stock
    assert Stock(**stock.model_dump(mode="json")) == stock
    with pytest.raises(ValidationError) as caught:
        Stock(prices={"fig": "x"}, people={1: {"a": {"name": 3}}}, below={"x": {}})
    assert problems(caught) == [
        (("prices", "fig"), "int_parsing"),
        (("people", 1, "a", "name"), "string_type"),
        (("below", "x", "prices"), "missing"),
    ]


class Node(BaseModel):
    kids: PVector[Node] = v()
    named: PMap[str, "Node"] = pmap()  # noqa: UP037
    maybe: PMap[str, int] | None = None
    either: PVector[int] | PMap[str, int] = v()


def test_forward_references_and_unions_are_resolved() -> None:
    node = Node(kids=[{"kids": [{}]}], named={"a": {"maybe": {"x": 1}}}, either={"q": 1})
    assert node.kids == v(Node(kids=v(Node())))
    assert node.named["a"].maybe == m(x=1) and node.maybe is None
    assert type(node.either) is PMap and type(Node(either=[1]).either) is PVector
    assert Node.model_validate_json(node.model_dump_json()) == node


def test_functions_and_dataclasses_take_the_types() -> None:
    @dataclass(frozen=True)
    class Path:
        steps: PVector[int]

    @validate_call
    def first(path: PVector[int]) -> int:
        return path[0]

    assert Path(["1"]) == Path(v(1)) and hash(Path([1])) == hash(Path(v(1)))
    assert first(["7"]) == 7


def test_a_generic_model_passes_its_argument_on() -> None:
    assert Box[int](items={"a": "3"}).items == m(a=3)
    with pytest.raises(ValidationError):
        Box[int](items={"a": "x"})


def test_constraints_apply_to_the_elements() -> None:
    adapter = TypeAdapter(PMap[str, Annotated[int, annotated_types.Gt(0)]])
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python(m(a=0))
    assert problems(caught) == [(("a",), "greater_than")]


def test_constraints_apply_to_the_size() -> None:
    class Few(BaseModel):
        some: Annotated[PSet[int], annotated_types.MaxLen(2)]

    assert Few(some=[1, 2, 2]).some == s(1, 2)
    with pytest.raises(ValidationError):
        Few(some=[1, 2, 3])


@every(SETS)
def test_an_element_that_cannot_be_hashed_is_named(kind: Kind) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind.cls).validate_python([1, [2]])
    assert problems(caught) == [((1,), "not_hashable")]


@every([kind for kind in (*SETS, *MAPPINGS) if kind.ordered])
def test_elements_without_an_order_are_an_error_of_validation(kind: Kind) -> None:
    wrong: Any = {1: 1, "a": 2} if kind.shape is Shape.MAPPING else [1, "a"]
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind.cls).validate_python(wrong)
    assert problems(caught) == [((), "not_fitting")]


def test_strict_mode_takes_the_collection_and_no_coercion() -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(strict=True)
        prices: PMap[str, int]

    assert Strict(prices=m(a=1)).prices == m(a=1)
    with pytest.raises(ValidationError):
        Strict(prices=m(a="1"))


def test_a_field_that_was_set_to_something_else_warns_when_serialized() -> None:
    stock = Stock.model_construct(prices=3)
    with pytest.warns(UserWarning, match="PydanticSerializationUnexpectedValue"):
        stock.model_dump()


@given(pmaps(st.text(), st.integers() | st.none()))
def test_what_is_written_is_read_again(value: PMap[str, int | None]) -> None:
    adapter = TypeAdapter(PMap[str, int | None])
    assert adapter.validate_json(adapter.dump_json(value)) == value


def test_a_set_of_another_kind_is_taken_for_its_elements() -> None:
    assert TypeAdapter(PSet[int]).validate_python({1, 2}) == pset([1, 2])
    assert TypeAdapter(PSet[int]).validate_python(frozenset([1])) == s(1)
    assert TypeAdapter(PMap[str, int]).validate_python(m(a=1)) == {"a": 1}
