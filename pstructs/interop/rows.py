"""Records and columns out of nested collections, for data frames and tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pstructs._core import Record
from pstructs._pclass import PClass

__all__ = ["Rows", "columns_of", "rows_of", "unique"]


class Rows(NamedTuple):
    """Records as dicts; `labels` are the keys of a map of records, else None."""

    records: list[dict[str, Any]]
    labels: list[Any] | None


def columns_of(data: Any) -> dict[Any, list[Any]] | None:
    """Return the columns of a mapping of sequences or arrays, else None. Cost: O(cells)."""
    if not isinstance(data, Mapping) or not data:
        return None
    if not all(map(_is_column, data.values())):
        return None
    return {name: list(column) for name, column in data.items()}


def rows_of(data: Any) -> Rows:
    """Return the records of an iterable of records or of a mapping to records.

    A record is a mapping, a `PClass`, a dataclass instance or a named tuple.

    Raises
    ------
    TypeError
        When something is no record.

    Notes
    -----
    Cost: O(cells).
    """
    if isinstance(data, Mapping):
        return Rows([_record(row) for row in data.values()], list(data))
    if isinstance(data, str | bytes) or not isinstance(data, Iterable):
        raise TypeError(f"{type(data).__name__!r} is no collection of records")
    return Rows([_record(row) for row in data], None)


def unique(labels: Iterable[Any], what: str) -> list[Any]:
    """Return labels as a list; ValueError when two are equal, as a map would lose one."""
    found = list(labels)
    seen = set()
    for label in found:
        if label in seen:
            raise ValueError(f"{what} {label!r} is there twice; a map can hold only one")
        seen.add(label)
    return found


def _is_column(value: Any) -> bool:
    """Whether value is a sequence, an array or a Series, and no record."""
    if isinstance(value, str | bytes) or _is_record(value):
        return False
    return isinstance(value, Sequence) or hasattr(value, "tolist")


def _is_record(row: Any) -> bool:
    return (
        isinstance(row, Mapping | PClass)
        or (isinstance(row, tuple) and hasattr(row, "_asdict"))
        or (dataclasses.is_dataclass(row) and not isinstance(row, type))
    )


def _record(row: Any) -> dict[str, Any]:
    if isinstance(row, Mapping):
        return dict(row)
    if isinstance(row, tuple) and hasattr(row, "_asdict"):
        return dict(row._asdict())
    if isinstance(row, PClass):
        return Record._to_dict(row)
    if dataclasses.is_dataclass(row):
        return {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    raise TypeError(
        f"{row!r:.100} is no record: a record is a mapping, a PClass, a dataclass or a named tuple"
    )
