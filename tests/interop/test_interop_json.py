"""JSON: the standard library's writer and reader, and orjson."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pstructs import PMap, PVector, m, pmap, s, v
from pstructs.conversions import freeze, thaw
from pstructs.interop.json import JSONEncoder, default, loads, object_hook
from pstructs.interop.kinds import Kind, Shape
from support.interop_samples import every, sample

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@every()
def test_every_collection_is_an_object_or_an_array(kind: Kind) -> None:
    value = sample(kind, "b", "a")
    plain = dict(value) if kind.shape is Shape.MAPPING else list(value)
    assert default(value) == plain
    assert json.loads(json.dumps(value, default=default)) == plain
    assert json.loads(json.dumps(value, cls=JSONEncoder)) == plain
    assert orjson.loads(orjson.dumps(value, default=default)) == plain


@every()
def test_a_subclass_is_written_as_its_base(kind: Kind) -> None:
    class Own(kind.cls):  # type: ignore[name-defined, misc]
        pass

    value = sample(kind, "b", "a")
    plain = dict(value) if kind.shape is Shape.MAPPING else list(value)
    assert json.loads(json.dumps(Own(value), cls=JSONEncoder)) == plain


def test_nested_collections_are_written_at_any_depth() -> None:
    value = m(users=m(ada=m(tags=s("maths"), born=[1815, m(month=12)])))
    plain = {"users": {"ada": {"tags": ["maths"], "born": [1815, {"month": 12}]}}}
    assert json.loads(json.dumps(value, cls=JSONEncoder)) == plain
    assert orjson.loads(orjson.dumps(value, default=default)) == plain


@pytest.mark.parametrize("value", [object(), 1j, {1}])
def test_a_value_that_json_lacks_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match=type(value).__name__):
        json.dumps(m(a=value), default=default)
    with pytest.raises(TypeError, match=type(value).__name__):
        json.dumps(m(a=value), cls=JSONEncoder)
    with pytest.raises(TypeError, match="not JSON serializable"):
        orjson.dumps(m(a=value), default=default)


def test_a_cycle_is_reported() -> None:
    inner: list[Any] = []
    inner.append(m(back=inner))
    with pytest.raises(ValueError, match="Circular"):
        json.dumps(inner, cls=JSONEncoder)


def test_reading_gives_persistent_collections_throughout() -> None:
    value = loads('[{"a": [[1], {"b": []}]}, 2]')
    assert value == v(m(a=v(v(1), m(b=v()))), 2)
    assert type(value) is PVector and type(value[0]) is PMap
    assert type(value[0]["a"][1]["b"]) is PVector


def test_loads_passes_its_options_on() -> None:
    assert loads(b'{"a": 1.5}', parse_float=str) == m(a="1.5")
    with pytest.raises(json.JSONDecodeError):
        loads("{")


def test_object_hook_works_in_the_standard_reader() -> None:
    value = json.loads('{"a": [1, {"b": [2]}]}', object_hook=object_hook)
    assert value == m(a=v(1, m(b=v(2)))) and type(value["a"]) is PVector


@given(values)
def test_what_is_written_is_read_again(value: Any) -> None:
    frozen = freeze(value)
    assert loads(json.dumps(frozen, cls=JSONEncoder)) == frozen
    assert loads(orjson.dumps(frozen, default=default)) == frozen
    assert thaw(loads(json.dumps(value))) == value


def test_keys_that_are_numbers_follow_the_writer() -> None:
    value = pmap({1: "a"})
    assert json.dumps(value, cls=JSONEncoder) == '{"1": "a"}'
    with pytest.raises(TypeError):
        orjson.dumps(value, default=default)
    assert orjson.dumps(value, default=default, option=orjson.OPT_NON_STR_KEYS) == b'{"1":"a"}'
