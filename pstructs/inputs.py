"""Read records from CSV, JSON and NDJSON files, or refuse the file as a whole.

Every reader gives all records of a file or raises `InputFormatError` with the file, the line
and what to do, so a caller can read first and change its own data only afterwards: a bad line
near the end leaves nothing half imported. `read_records` returns them all in a dict;
`RecordStream` gives them one by one, for files that are larger than the memory.

Text of a CSV cell stays text (``007`` is not the number 7, and a number of any length keeps all
its digits); JSON and NDJSON bring their own types, with integers of any size.
"""

from __future__ import annotations

import contextlib
import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pstructs.errors import InputFormatError

__all__ = ["FORMATS", "Progress", "RecordStream", "Records", "guess_format", "read_records"]

Progress = Callable[[int, int], object]
Tell = Callable[[int], object]

FORMATS = ("csv", "json", "ndjson")
SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}
EVERY = 2_000
"""Records between two calls of `progress`: enough for a smooth bar, too few to cost time."""

LONGEST_CELL = 1 << 30
BLANKS = re.compile(r"[ \t\n\r]*")


class Records(NamedTuple):
    """What a file held.

    Attributes
    ----------
    records : dict
        Key to record, in the order of the file. A record is a dict (any JSON value, where the
        file is an object of values).
    duplicates : int
        How many records were replaced by a later one with the same key.
    key : str
        Name of the key column; empty where the file is an object, whose own keys are used.
    format : str
        One of `FORMATS`.
    """

    records: dict[Any, Any]
    duplicates: int
    key: str
    format: str


def guess_format(path: Path) -> str:
    """Format of a file by the ending of its name.

    Raises
    ------
    InputFormatError
        The ending is none of .csv, .tsv, .json, .ndjson, .jsonl.

    Examples
    --------
    >>> guess_format(Path("people.jsonl"))
    'ndjson'
    """
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise InputFormatError(
            str(path),
            0,
            f"can't tell the format from the name. Say it: one of {', '.join(FORMATS)}",
        ) from None


def read_records(
    path: str | Path,
    *,
    format: str | None = None,
    key: str | None = None,
    progress: Progress | None = None,
) -> Records:
    """Read all records of a file into a dict.

    Parameters
    ----------
    path : str or Path
        A UTF-8 file, with or without a byte order mark.
    format : {"csv", "json", "ndjson"}, optional
        By default what the name's ending says.
    key : str, optional
        Column whose value becomes the key; by default the first column (of the first record).
        The column stays in the record too.
    progress : callable, optional
        Called now and then with (bytes read, bytes in all).

    Returns
    -------
    Records
        Where a key comes twice the last record wins, and `duplicates` counts it.

    Raises
    ------
    InputFormatError
        A line can't be read, or the file is empty, not UTF-8, or lacks the key column.
    OSError
        The file can't be opened.

    Notes
    -----
    *Cost*: O(bytes) time, and memory for all records at once.
    """
    stream = RecordStream(path, format=format, key=key, progress=progress)
    records = dict(stream)
    return Records(records, stream.seen - len(records), stream.key or "", stream.format)


class RecordStream:
    """The records of a file one by one: an iterable of pairs, key and record, to go through once.

    Parameters
    ----------
    path, format, key, progress
        As for `read_records`.

    Attributes
    ----------
    key : str or None
        Name of the key column: from the first record on where none was given; None where the file
        is an object, whose own keys are used.
    format : str
        One of `FORMATS`.
    seen : int
        How many records there were so far.

    Raises
    ------
    InputFormatError
        When the format can't be told; while iterating, as `read_records`.
    OSError
        The file can't be opened.

    Notes
    -----
    *Cost*: O(bytes) time, and memory for one record of a CSV or NDJSON file. A JSON file is one
    value, of which the text is read as a whole.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "people.csv")
    >>> with open(path, "w") as file:
    ...     _ = file.write("id,name\\n7,Ada\\n8,Bob\\n")
    >>> stream = RecordStream(path)
    >>> list(stream)
    [('7', {'id': '7', 'name': 'Ada'}), ('8', {'id': '8', 'name': 'Bob'})]
    >>> stream.key, stream.seen
    ('id', 2)
    """

    def __init__(
        self,
        path: str | Path,
        *,
        format: str | None = None,
        key: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._file = Path(path)
        self.path, self.key, self.seen = str(path), key, 0
        self.format = format or guess_format(self._file)
        if self.format not in FORMATS:
            raise InputFormatError(
                self.path, 0, f"unknown format {format!r}. Use one of {', '.join(FORMATS)}"
            )
        self._tell = progress or (lambda done, total: None)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        readers = {"csv": _read_csv, "json": _read_json, "ndjson": _read_ndjson}
        total = self._file.stat().st_size
        yield from readers[self.format](self._file, self, lambda done: self._tell(done, total))
        self._tell(total, total)

    def keyed(self, line: int, record: dict[str, Any]) -> tuple[Any, Any]:
        """Return a record with its key in front, and count it."""
        if self.key is None:
            if not record:
                raise InputFormatError(
                    self.path, line, "the first record is empty: it has no key column. Remove it"
                )
            self.key = next(iter(record))
        try:
            key = record[self.key]
        except KeyError:
            raise InputFormatError(
                self.path,
                line,
                f"the record has no {self.key!r}, which is the key column. "
                f"Add it, or choose another key column; this record has {_some(record)}",
            ) from None
        if isinstance(key, dict | list):
            raise InputFormatError(
                self.path,
                line,
                f"the value of the key column {self.key!r} is {_kind(key)}. "
                f"Choose a key column that holds text or numbers",
            )
        self.seen += 1
        return key, record


def _some(names: Any, most: int = 8) -> str:
    shown = [repr(name) for name in list(names)[:most]]
    return ", ".join(shown) + (", ..." if len(names) > most else "") or "no columns"


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return names.get(type(value), "null" if value is None else "a number")


# -- text ---------------------------------------------------------------------------------------


def _decode(path: Path, line: int, raw: bytes) -> str:
    """Text of `raw`, which starts at `line`."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line += raw.count(b"\n", 0, error.start)
        raise InputFormatError(
            str(path),
            line,
            f"byte 0x{raw[error.start]:02x} is not valid UTF-8. Save the file as UTF-8",
        ) from None


def _check_mark(path: Path, start: bytes) -> bytes:
    """`start` without a UTF-8 byte order mark; one of UTF-16 is refused."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputFormatError(str(path), 1, "the file is UTF-16. Save it as UTF-8")
    return start.removeprefix(b"\xef\xbb\xbf")


def _lines(path: Path, tell: Tell) -> Iterator[str]:
    """The lines of a UTF-8 file, with their ends."""
    done = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            done += len(raw)
            if number == 1:
                raw = _check_mark(path, raw)
            yield _decode(path, number, raw)
            if number % EVERY == 0:
                tell(done)


def _empty(path: Path, remedy: str) -> InputFormatError:
    return InputFormatError(str(path), 0, f"the file is empty. {remedy}")


# -- CSV ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _long_cells() -> Iterator[None]:
    """The csv module refuses cells over 128 kB by default, and only has a global switch."""
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _separator(header: str) -> str:
    """The one of comma, semicolon and tab that the header has most of."""
    return max(",;\t", key=header.count)


def _header(path: Path, names: list[str], key: str | None) -> list[str]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputFormatError(
            str(path), 1, f"the header names {_some(twice)} more than once. Rename the columns"
        )
    if key is not None and key not in names:
        raise InputFormatError(
            str(path), 1, f"no column {key!r} for the key. The columns are {_some(names, 40)}"
        )
    return names


def _read_csv(path: Path, out: RecordStream, tell: Tell) -> Iterator[tuple[Any, Any]]:
    lines = _lines(path, tell)
    first, skipped = "", 0
    for first in lines:
        if first.strip():
            break
        skipped += 1
    if not first.strip():
        raise _empty(path, "A CSV file starts with a line that names the columns")

    def rest() -> Iterator[str]:
        yield first
        yield from lines

    rows = csv.reader(rest(), delimiter=_separator(first), strict=True)
    with _long_cells():
        names: list[str] | None = None
        while True:
            start = skipped + rows.line_num + 1
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                raise InputFormatError(
                    str(path),
                    start,
                    f"the quotes of this record don't match ({error}). "
                    'Close every quote; inside quotes write "" for one quote',
                ) from None
            if names is None:
                names = _header(path, row, out.key)
                out.key = out.key if out.key is not None else names[0]
            elif row:
                if len(row) != len(names):
                    raise InputFormatError(
                        str(path),
                        start,
                        f"{len(row)} fields where the header names {len(names)}. "
                        "Quote fields that hold a separator, or fix the line",
                    )
                yield out.keyed(start, dict(zip(names, row, strict=True)))


# -- JSON ---------------------------------------------------------------------------------------


def _integer(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        raise _TooManyDigits(
            f"a number of {len(digits):,} digits is longer than Python converts. "
            "Write it as text in quotes, or raise the limit with PYTHONINTMAXSTRDIGITS"
        ) from None


class _TooManyDigits(Exception):
    """Not a ValueError, so that it can't be taken for one of the JSON decoder's own."""


_decoder = json.JSONDecoder(parse_int=_integer)


def _value(path: Path, text: str, at: int, line: int) -> tuple[Any, int]:
    """The JSON value that starts at `at`, which is in `line`, and where it ends."""
    try:
        return _decoder.raw_decode(text, at)
    except json.JSONDecodeError as error:
        bad = line + text.count("\n", at, error.pos)
        raise InputFormatError(
            str(path), bad, f"not valid JSON: {error.msg} at column {error.colno}. Fix the line"
        ) from None
    except _TooManyDigits as error:
        raise InputFormatError(str(path), line, str(error)) from None
    except RecursionError:
        raise InputFormatError(
            str(path), line, "lists or objects are nested too deeply. Flatten the record"
        ) from None


def _record(path: Path, line: int, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputFormatError(
            str(path),
            line,
            f"the record is {_kind(value)}. A record is an object, as in "
            '{"id": 7, "name": "Ada"}',
        )
    return value


def _read_ndjson(path: Path, out: RecordStream, tell: Tell) -> Iterator[tuple[Any, Any]]:
    for number, text in enumerate(_lines(path, tell), 1):
        text = text.strip(" \t\r\n")
        if not text:
            continue
        value, end = _value(path, text, 0, number)
        if end != len(text):
            raise InputFormatError(
                str(path),
                number,
                f"text after the record, at column {end + 1}. Put each record on its own line",
            )
        yield out.keyed(number, _record(path, number, value))
    if not out.seen:
        raise _empty(path, "An NDJSON file holds one JSON object a line")


class _Cursor:
    """A place in the text of a JSON file that knows its line."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text, self.at, self.line = path, text, 0, 1
        self.skip_blanks()

    def advance(self, to: int) -> None:
        self.line += self.text.count("\n", self.at, to)
        self.at = to

    def skip_blanks(self) -> None:
        match = BLANKS.match(self.text, self.at)
        assert match is not None, "the pattern matches the empty string"
        self.advance(match.end())

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self, allowed: str, where: str) -> str:
        """Step over one of the characters `allowed`, and the blanks behind it."""
        char = self.peek()
        if not char:
            raise InputFormatError(
                str(self.path), self.line, f"the file ends {where}: it looks cut off"
            )
        if char not in allowed:
            expected = " or ".join(repr(one) for one in allowed)
            raise InputFormatError(
                str(self.path), self.line, f"expected {expected} {where}, found {char!r}"
            )
        self.advance(self.at + 1)
        self.skip_blanks()
        return char

    def value(self) -> Any:
        found, end = _value(self.path, self.text, self.at, self.line)
        self.advance(end)
        self.skip_blanks()
        return found


def _read_json(path: Path, out: RecordStream, tell: Tell) -> Iterator[tuple[Any, Any]]:
    """Element by element, so that a bad one is reported with its line."""
    text = _decode(path, 1, _check_mark(path, path.read_bytes()))
    cursor = _Cursor(path, text)
    if not cursor.peek():
        raise _empty(path, "A JSON file holds an array of objects, or an object of records")
    if cursor.peek() not in "[{":
        raise InputFormatError(
            str(path),
            cursor.line,
            "the file holds a single value. It should be an array of objects, "
            "or an object whose values are the records",
        )
    close = "]" if cursor.take("[{", "at the start") == "[" else "}"
    if close == "}" and out.key is not None:
        raise InputFormatError(
            str(path),
            1,
            "the file is an object, so its own keys are used. Leave the key column out",
        )
    where = f"after record {0:,}"
    more = cursor.peek() != close
    while more:
        line = cursor.line
        if close == "]":
            yield out.keyed(line, _record(path, line, cursor.value()))
        else:
            if cursor.peek() != '"':
                cursor.take('"', where)
            name = cursor.value()
            cursor.take(":", f"after the key {name!r}")
            out.seen += 1
            yield name, cursor.value()
        where = f"after record {out.seen:,}"
        more = cursor.take("," + close, where) == ","
        if out.seen % EVERY == 0:
            tell(cursor.at)
    if not out.seen:
        cursor.take(close, "in an empty file")
    if cursor.peek():
        raise InputFormatError(
            str(path),
            cursor.line,
            f"text after the end of the {'array' if close == ']' else 'object'}. "
            "Remove it; for one record a line, use the format ndjson",
        )
