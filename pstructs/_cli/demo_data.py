"""What the demo works on: records, the edits that make its versions, a column to count by."""

from __future__ import annotations

import random
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

from pstructs._cli.errors import CommandError
from pstructs._cli.text import count
from pstructs.inputs import read_records

__all__ = ["Dataset", "Edit", "edits", "group_of", "load"]

SEED = 1872
"""The edits are the same in every run, so that two runs can be compared."""


class Dataset(NamedTuple):
    """The records, where they come from, and the column to count by."""

    title: str
    records: dict[Any, Any]
    group: str


class Edit(NamedTuple):
    """One change: the record is None where the key goes away."""

    key: Any
    record: Any
    message: str

    def apply(self, model: MutableMapping[Any, Any]) -> None:
        """Do it to a dict."""
        if self.record is None:
            del model[self.key]
        else:
            model[self.key] = self.record


def unicode_records(
    progress: Callable[[int, int], object],
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every character that has a name in Python's `unicodedata`, by its code point."""
    optional = (
        ("decimal", unicodedata.decimal),
        ("digit", unicodedata.digit),
        ("numeric", unicodedata.numeric),
    )
    for code in range(sys.maxunicode + 1):
        if code % 20_000 == 0:
            progress(code, sys.maxunicode)
        char = chr(code)
        name = unicodedata.name(char, None)
        if name is None:
            continue
        record: dict[str, Any] = {
            "name": name,
            "char": char,
            "category": unicodedata.category(char),
            "bidirectional": unicodedata.bidirectional(char),
            "combining": unicodedata.combining(char),
            "east_asian_width": unicodedata.east_asian_width(char),
            "mirrored": bool(unicodedata.mirrored(char)),
        }
        for field, ask in optional:
            value = ask(char, None)
            if value is not None:
                record[field] = value
        decomposition = unicodedata.decomposition(char)
        if decomposition:
            record["decomposition"] = decomposition
        yield f"U+{code:04X}", record


def load(path: Path | None, progress: Callable[[int, int], object]) -> Dataset:
    """The Unicode character database, or the records of a file."""
    if path is None:
        records = dict(unicode_records(progress))
        title = (
            f"{count(len(records), 'named character')} of Unicode {unicodedata.unidata_version}, "
            "from Python's unicodedata"
        )
        return Dataset(title, records, "category")
    found = read_records(path, progress=progress)
    if not found.records:
        raise CommandError(f"{path} holds no records. The demo needs at least one")
    title = f"{count(len(found.records), 'record')} from {path}"
    return Dataset(title, found.records, _column_to_count(found.records))


def group_of(record: Any, column: str) -> str:
    """The group that a record counts for."""
    if isinstance(record, Mapping):
        return str(record.get(column, "(none)"))
    return type(record).__name__


def _column_to_count(records: dict[Any, Any]) -> str:
    """The column with the fewest different values, but at least two if there is one."""
    seen: dict[str, set[str]] = {}
    for record in records.values():
        if isinstance(record, dict):
            for name, value in record.items():
                seen.setdefault(name, set()).add(str(value))
    several = {name: len(values) for name, values in seen.items() if len(values) > 1}
    few = several or {name: len(values) for name, values in seen.items()}
    return min(few, key=few.__getitem__) if few else "type"


def edits(records: dict[Any, Any], number: int) -> Iterator[Edit]:
    """`number` single edits: of ten, eight change a record, one adds and one removes a record."""
    choose = random.Random(SEED)
    now = dict(records)
    keys = list(records)
    for step in range(1, number + 1):
        at = choose.randrange(len(keys))
        key = keys[at]
        if step % 10 == 4:
            key = f"demo-{step}"
            edit = Edit(key, {"name": f"added in edit {step}"}, f"add {key}")
            if key not in now:
                keys.append(key)
        elif step % 10 == 7 and len(keys) > 1:
            edit = Edit(key, None, f"remove {key}")
            keys[at] = keys[-1]
            keys.pop()
        else:
            edit = Edit(key, _noted(now[key], step), f"edit {key}")
        edit.apply(now)
        yield edit


def _noted(record: Any, step: int) -> dict[str, Any]:
    note = f"changed in edit {step}"
    if isinstance(record, dict):
        return {**record, "note": note}
    return {"value": record, "note": note}
