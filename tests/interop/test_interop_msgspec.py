"""msgspec: reading with validation, writing, converting."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pstructs import PMap, PSet, m, pmap, s
from pstructs.interop.kinds import Kind, Shape
from pstructs.interop.msgspec import dec_hook, enc_hook
from pstructs.testing import pmaps
from support.interop_samples import MAPPINGS, annotation, every, sample


class Event(msgspec.Struct):
    counts: PMap[str, int]
    deep: PMap[str, PMap[int, PSet[float]]] = pmap()
    bare: PMap = pmap()  # type: ignore[type-arg]


@every()
@pytest.mark.parametrize("format", [msgspec.json, msgspec.msgpack])
def test_every_collection_is_read_again(kind: Kind, format: Any) -> None:
    value = sample(kind, 1, 2, 3)
    data = format.encode(value, enc_hook=enc_hook)
    again = format.decode(data, type=annotation(kind, int), dec_hook=dec_hook)
    assert again == value and type(again) is kind.cls


@every()
def test_elements_are_validated(kind: Kind) -> None:
    plain: Any = {"x": 1} if kind.shape is Shape.MAPPING else ["x"]
    with pytest.raises(msgspec.ValidationError, match="Expected `int`, got `str`"):
        msgspec.convert(plain, annotation(kind, int), dec_hook=dec_hook)


@every()
def test_a_value_of_another_shape_is_refused(kind: Kind) -> None:
    wrong: Any = [1] if kind.shape is Shape.MAPPING else {"a": 1}
    for value in (wrong, 3, "a", None):
        with pytest.raises(msgspec.ValidationError, match=r"Expected `(object|array)`"):
            msgspec.convert(value, annotation(kind, int), dec_hook=dec_hook)


@every()
def test_a_collection_that_fits_is_kept(kind: Kind) -> None:
    value = sample(kind, 1, 2)
    assert msgspec.convert(value, annotation(kind, int), dec_hook=dec_hook) is value
    assert msgspec.convert(value, kind.cls, dec_hook=dec_hook) is value


@every(MAPPINGS)
def test_a_collection_that_does_not_fit_is_refused(kind: Kind) -> None:
    with pytest.raises(msgspec.ValidationError, match="Expected `int`, got `str`"):
        msgspec.convert(sample(kind, "a"), annotation(kind, int), dec_hook=dec_hook)


def test_nested_collections_are_validated_and_named_in_errors() -> None:
    data = b'{"counts": {"a": 1}, "deep": {"x": {"1": [0.5, 2]}}, "bare": {"y": [1]}}'
    event = msgspec.json.decode(data, type=Event, dec_hook=dec_hook)
    assert event == Event(m(a=1), m(x=pmap({1: s(0.5, 2.0)})), m(y=[1]))
    assert type(event.deep["x"][1]) is PSet
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(data.replace(b"0.5", b'"z"'), type=Event, dec_hook=dec_hook)
    assert str(caught.value) == (
        "Expected `float`, got `str`, at `[...][...][0]` in a PMap - at `$.deep`"
    )


def test_keys_of_json_are_read_as_numbers_where_numbers_are_asked_for() -> None:
    assert msgspec.json.decode(b'{"1": 2}', type=PMap[int, int], dec_hook=dec_hook) == {1: 2}
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"x": 2}', type=PMap[int, int], dec_hook=dec_hook)


def test_elements_that_cannot_be_hashed_are_an_error_of_validation() -> None:
    with pytest.raises(msgspec.ValidationError, match="unhashable"):
        msgspec.convert([[1]], PSet[list[int]], dec_hook=dec_hook)


def test_another_type_is_left_to_other_hooks() -> None:
    with pytest.raises(NotImplementedError, match="complex"):
        dec_hook(complex, [1, 2])
    with pytest.raises(TypeError, match="complex"):
        enc_hook(1j)


@given(pmaps(st.text(), st.floats(allow_nan=False, allow_infinity=False)))
def test_what_is_written_is_read_again(value: PMap[str, float]) -> None:
    data = msgspec.json.encode(value, enc_hook=enc_hook)
    assert msgspec.json.decode(data, type=PMap[str, float], dec_hook=dec_hook) == value
