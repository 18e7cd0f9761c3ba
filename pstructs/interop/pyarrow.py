"""pyarrow: tables in and out, with nested types.

Structs, maps and lists of Arrow become maps, maps and vectors, at any depth, and back.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Any

from pstructs._core import PMap, pmap
from pstructs.interop.kinds import Shape, kind_of, vectors
from pstructs.interop.rows import columns_of, rows_of, unique

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["from_table", "to_table"]


def to_table(data: Any, schema: pa.Schema | None = None) -> pa.Table:
    """Return records or columns as a table of Arrow.

    Parameters
    ----------
    data : collection
        A vector, set or other iterable of records, or a map from names to columns, which are
        sequences. A record is a mapping, a `PClass`, a dataclass or a named tuple.
    schema : pyarrow.Schema, optional
        The columns and their types. Without one, the columns are those of all records, in the
        order of their appearance, and Arrow finds the types: a map in a cell is taken for a
        struct, unless the schema calls it a map.

    Raises
    ------
    TypeError
        When `data` is none of these. A map to records is refused as well, as tables have no
        index: pass its values.

    Notes
    -----
    Cost: O(cells).

    Examples
    --------
    >>> from pstructs import m
    >>> to_table([m(at=m(x=1)), m(at=m(x=2))]).to_pylist()
    [{'at': {'x': 1}}, {'at': {'x': 2}}]
    """
    import pyarrow as pa

    columns = columns_of(data)
    if columns is None:
        if isinstance(data, Mapping) and data:
            raise TypeError("a table has no index for the keys of a map: pass its values")
        records = [] if isinstance(data, Mapping) else rows_of(data).records
        names = dict.fromkeys(name for record in records for name in record)
        columns = {
            name: [record.get(name) for record in records]
            for name in (names if schema is None else schema.names)
        }
    if schema is None:
        return pa.table({str(name): _to_arrow(cells, None) for name, cells in columns.items()})
    return pa.Table.from_arrays(
        [
            pa.array(_to_arrow(columns[field.name], pa.list_(field.type)), field.type)
            for field in schema
        ],
        schema=schema,
    )


def from_table(table: pa.Table) -> Any:
    """Return the rows of a table as a vector of records, which are maps.

    Parameters
    ----------
    table : pyarrow.Table
        Without two columns of one name.

    Raises
    ------
    ValueError
        When a column is there twice.

    Notes
    -----
    Cost: O(cells).

    Examples
    --------
    >>> import pyarrow
    >>> from_table(pyarrow.table({"n": [1, 2]}))[1]
    pmap({'n': 2})
    """
    names = unique(table.column_names, "the column")
    columns = [
        [_from_arrow(cell, column.type) for cell in column.to_pylist()] for column in table.columns
    ]
    if not names:
        return vectors([pmap()] * table.num_rows)
    rows = zip(*columns, strict=True)
    return vectors([pmap(dict(zip(names, row, strict=True))) for row in rows])


def _to_arrow(value: Any, type: pa.DataType | None) -> Any:
    """Return a value in the plain form that pyarrow takes for a type; None: for what it finds."""
    import pyarrow as pa

    if isinstance(value, Mapping):
        if type is not None and pa.types.is_map(type):
            return [
                (_to_arrow(key, type.key_type), _to_arrow(item, type.item_type))
                for key, item in value.items()
            ]
        if type is None or not pa.types.is_struct(type):
            return {key: _to_arrow(item, None) for key, item in value.items()}
        return {
            field.name: _to_arrow(value[field.name], field.type)
            for field in type
            if field.name in value
        }
    kind = kind_of(value.__class__)
    if isinstance(value, list | tuple | Set) or (kind and kind.shape is not Shape.MAPPING):
        inner = None if type is None else getattr(type, "value_type", None)
        return [_to_arrow(element, inner) for element in value]
    return value


def _from_arrow(value: Any, type: pa.DataType) -> Any:
    """Return a value of `to_pylist` with its maps and lists persistent."""
    import pyarrow as pa

    if value is None or not pa.types.is_nested(type):
        return value
    if pa.types.is_map(type):
        return _pairs(value, type)
    if pa.types.is_struct(type):
        return pmap({field.name: _from_arrow(value[field.name], field.type) for field in type})
    return vectors([_from_arrow(element, type.value_type) for element in value])


def _pairs(value: Any, type: pa.MapType) -> PMap[Any, Any]:
    return pmap(
        [(_from_arrow(k, type.key_type), _from_arrow(v, type.item_type)) for k, v in value]
    )
