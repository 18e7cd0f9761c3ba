"""numpy, pandas and pyarrow, in and out."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pstructs import PMap, PVector, m, pmap, pset, pvector, s, v
from pstructs.interop.kinds import Kind
from pstructs.interop.numpy import from_arrays, from_numpy, numpy_chunks, to_arrays, to_numpy
from pstructs.interop.pandas import from_dataframe, from_series, to_dataframe, to_series
from pstructs.interop.pyarrow import from_table, to_table
from pstructs.packs import dumps, loads
from pstructs.testing import pmaps, pvectors
from support.interop_samples import MAPPINGS, SEQUENCES, SETS, every, sample

integers = st.integers(-(2**63), 2**63 - 1)


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: str


class Pair(NamedTuple):
    x: int
    y: str


# ---- numpy


@every([*SEQUENCES, *SETS])
def test_elements_become_an_array_in_the_order_of_iteration(kind: Kind) -> None:
    value = sample(kind, 3, 1, 2)
    array = to_numpy(value)
    assert array.dtype == np.int64 and array.tolist() == list(value)
    assert to_numpy(value, "float32").dtype == np.float32


@pytest.mark.parametrize(
    ("elements", "dtype"),
    [
        ([True, False], "bool"),
        ([1.5, 2], "float64"),
        (["a", "bc"], "<U2"),
        ([], "float64"),
        ([(1, 2), (3, 4)], "object"),
        ([(1,), (3, 4)], "object"),
        ([None, 1], "object"),
    ],
)
def test_arrays_are_of_one_dimension_and_of_numpys_own_dtype(elements: Any, dtype: str) -> None:
    array = to_numpy(pvector(elements))
    assert array.shape == (len(elements),) and array.dtype == np.dtype(dtype)
    assert array.tolist() == elements


def test_a_dtype_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        to_numpy(v("a"), int)
    with pytest.raises(ValueError, match="sequences"):
        to_numpy(v((1, 2), (3, 4)), int)


@pytest.mark.parametrize(
    "elements",
    [
        range(100),
        [i / 4 for i in range(100)],
        [True, False] * 40,
        [*range(64), 0.5],
        [*range(64), "x"],
    ],
)
@pytest.mark.parametrize("dtype", [None, "float64", "int64", "int8", "float32", "object"])
def test_a_saved_vector_gives_the_array_of_the_one_in_memory(elements: Any, dtype: Any) -> None:
    def outcome(vector: Any) -> Any:
        try:
            array = to_numpy(vector, dtype)
        except (ValueError, OverflowError) as error:
            return type(error)
        return array.dtype, array.tolist(), [type(x) for x in array.tolist()]

    for made in (pvector(elements), pvector([*elements, 300])):
        assert outcome(loads(dumps(made))) == outcome(made)


def test_numbers_of_a_saved_vector_are_views() -> None:
    saved = loads(dumps(pvector(range(1000))))
    chunks = numpy_chunks(saved)
    assert np.concatenate(chunks).tolist() == list(range(1000))
    views = [chunk for chunk in chunks if chunk.dtype == np.int64]
    assert sum(map(len, views)) >= 1000 - 2 * 32
    assert not any(chunk.flags.owndata or chunk.flags.writeable for chunk in views)


def test_arrays_become_vectors_of_python_values() -> None:
    assert from_numpy(np.arange(3)) == v(0, 1, 2)
    assert {type(x) for x in from_numpy(np.arange(3))} == {int}
    assert from_numpy(np.zeros((2, 2))) == v(v(0.0, 0.0), v(0.0, 0.0))
    assert from_numpy(np.array([], float)) == v()
    with pytest.raises(ValueError, match="dimensions"):
        from_numpy(np.array(1))


@given(pmaps(integers, st.floats(allow_nan=False)))
def test_a_map_goes_through_two_arrays_and_back(value: PMap[int, float]) -> None:
    keys, values = to_arrays(value, "int64", "float64")
    assert from_arrays(keys, values) == value


@every(MAPPINGS)
def test_from_arrays_makes_the_map_that_is_asked_for(kind: Kind) -> None:
    made = from_arrays(np.array([2, 1]), np.array([[1, 2], [3, 4]]), kind.make)
    assert type(made) is kind.cls and made == {1: v(3, 4), 2: v(1, 2)}


def test_arrays_that_make_no_map_are_an_error() -> None:
    with pytest.raises(ValueError, match="the key 1 is there twice"):
        from_arrays(np.array([1, 1]), np.array([1, 2]))
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        from_arrays(np.array([1, 2]), np.array([1]))
    with pytest.raises(ValueError, match=r"shape \(1, 1\)"):
        from_arrays(np.array([[1]]), np.array([1]))


@given(pvectors(integers))
def test_a_vector_goes_through_an_array_and_back(value: PVector[int]) -> None:
    assert from_numpy(to_numpy(value, "int64")) == value


# ---- pandas


def test_a_map_is_a_series_and_back() -> None:
    value = m(a=1, b=2)
    series = to_series(value, name="n", dtype="int32")
    assert series.name == "n" and series.dtype == "int32" and series.to_dict() == dict(value)
    assert from_series(series) == value
    assert {type(x) for x in from_series(series).values()} == {int}
    assert to_series(v(3, 1)).tolist() == [3, 1]
    with pytest.raises(ValueError, match="the label 'a' is there twice"):
        from_series(pd.Series([1, 2], index=["a", "a"]))


@every(MAPPINGS)
def test_from_series_makes_the_map_that_is_asked_for(kind: Kind) -> None:
    made = from_series(pd.Series([1, 2]), kind.make)
    assert type(made) is kind.cls and made == {0: 1, 1: 2}


@pytest.mark.parametrize(
    "rows",
    [
        v(m(x=1, y="a"), m(x=2, y="b")),
        v(Point(1, "a"), Point(2, "b")),
        [Pair(1, "a"), Pair(2, "b")],
        iter([{"x": 1, "y": "a"}, m(x=2, y="b")]),
    ],
    ids=["maps", "dataclasses", "named tuples", "mixed"],
)
def test_records_are_rows(rows: Any) -> None:
    frame = to_dataframe(rows, columns=["x", "y"])
    assert frame.equals(pd.DataFrame({"x": [1, 2], "y": ["a", "b"]}))
    assert from_dataframe(frame) == v(m(x=1, y="a"), m(x=2, y="b"))
    assert {type(row) for row in from_dataframe(frame)} == {PMap}


@every(MAPPINGS)
def test_a_map_of_records_has_its_keys_as_index(kind: Kind) -> None:
    value = kind.make({"r1": m(x=1, y=2.5), "r2": m(x=2, y=None)})
    frame = to_dataframe(value)
    assert sorted(frame.index) == ["r1", "r2"] and frame.loc["r1", "y"] == 2.5
    again = from_dataframe(frame, by_index=True)
    assert again["r1"] == m(x=1, y=2.5) and np.isnan(again["r2"]["y"])
    assert {type(cell) for cell in again["r1"].values()} == {int, float}


def test_a_map_of_sequences_is_columns() -> None:
    frame = to_dataframe(m(x=v(1, 2), y=np.array([2.5, 3.5]), z=("a", "b")))
    assert frame[["x", "y", "z"]].to_dict("list") == {
        "x": [1, 2],
        "y": [2.5, 3.5],
        "z": ["a", "b"],
    }


def test_a_missing_entry_of_a_record_is_missing_in_the_frame() -> None:
    frame = to_dataframe([m(x=1), m(x=2, y="b")])
    assert frame["y"].isna().tolist() == [True, False]


def test_nothing_is_an_empty_frame() -> None:
    assert to_dataframe(pmap()).empty and to_dataframe(v()).empty
    assert from_dataframe(pd.DataFrame()) == v()
    assert from_dataframe(pd.DataFrame(), by_index=True) == pmap()


@pytest.mark.parametrize("wrong", [3, "ab", v(1), m(a=3), m(a=m(b=1), c=2), m(a=s(1))])
def test_what_is_no_table_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"record"):
        to_dataframe(wrong)
    with pytest.raises(TypeError, match=r"record|index"):
        to_table(wrong)


def test_a_frame_with_a_column_or_label_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="the column 'x' is there twice"):
        from_dataframe(pd.DataFrame([[1, 2]], columns=["x", "x"]))
    twice = pd.DataFrame({"x": [1, 2]}, index=["a", "a"])
    assert from_dataframe(twice) == v(m(x=1), m(x=2))
    with pytest.raises(ValueError, match="the label 'a' is there twice"):
        from_dataframe(twice, by_index=True)


# ---- pyarrow

NESTED = pa.schema(
    [
        ("n", pa.int64()),
        ("tags", pa.map_(pa.string(), pa.list_(pa.int32()))),
        ("at", pa.struct([("x", pa.float64()), ("path", pa.list_(pa.string()))])),
    ]
)
ROWS = v(
    m(n=1, tags=m(a=v(1, 2), b=v()), at=m(x=0.5, path=v("p"))),
    m(n=2, tags=pmap(), at=m(x=None, path=None)),
    m(n=None, tags=None, at=None),
)


def test_nested_types_go_through_a_table_and_back() -> None:
    table = to_table(ROWS, NESTED)
    assert table.schema == NESTED
    assert table.to_pylist(maps_as_pydicts="strict")[0]["tags"] == {"a": [1, 2], "b": []}
    again = from_table(table)
    assert again == ROWS
    assert type(again[0]["tags"]) is PMap and type(again[0]["tags"]["a"]) is PVector


def test_without_a_schema_the_columns_are_those_of_all_records() -> None:
    table = to_table([m(x=1), Point(2, "b"), Pair(3, "c")])
    assert table.to_pylist() == [{"x": 1, "y": None}, {"x": 2, "y": "b"}, {"x": 3, "y": "c"}]
    assert to_table(v()).num_rows == 0 and to_table(pmap()).num_rows == 0


def test_without_a_schema_maps_are_structs_and_sets_are_lists() -> None:
    table = to_table([m(at=m(x=1), tags=pset([2]))])
    assert pa.types.is_struct(table.schema.field("at").type)
    assert table.to_pylist() == [{"at": {"x": 1}, "tags": [2]}]


def test_columns_are_a_table() -> None:
    table = to_table(m(x=v(1, 2), y=np.array([0.5, 1.5])))
    assert table.select(["x", "y"]).to_pylist() == [{"x": 1, "y": 0.5}, {"x": 2, "y": 1.5}]


def test_a_record_that_does_not_fit_the_schema_is_an_error() -> None:
    with pytest.raises(pa.ArrowInvalid):
        to_table(v(m(n="x")), pa.schema([("n", pa.int64())]))


def test_a_map_to_records_is_refused_as_tables_have_no_index() -> None:
    with pytest.raises(TypeError, match="pass its values"):
        to_table(m(a=m(x=1)))
    assert to_table(m(a=m(x=1)).values()).to_pylist() == [{"x": 1}]


def test_a_table_with_a_column_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="the column 'x' is there twice"):
        from_table(pa.table([[1], [2]], names=["x", "x"]))


def test_a_table_without_columns_keeps_its_rows() -> None:
    assert from_table(pa.table({"x": [1, 2]}).select([])) == v(pmap(), pmap())


@given(
    st.lists(
        st.fixed_dictionaries(
            {"n": st.none() | integers, "t": pmaps(st.text(max_size=3), integers)}
        )
    )
)
def test_records_go_through_a_table_and_back(rows: list[Any]) -> None:
    schema = pa.schema([("n", pa.int64()), ("t", pa.map_(pa.string(), pa.int64()))])
    records = pvector(map(pmap, rows))
    assert from_table(to_table(records, schema)) == records
