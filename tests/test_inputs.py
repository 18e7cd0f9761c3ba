"""Readers of CSV, JSON and NDJSON: all of a file, or an error that names the line."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pstructs.errors import InputFormatError, PstructsError
from pstructs.inputs import guess_format, read_records


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refused(path: Path, **options: Any) -> InputFormatError:
    with pytest.raises(InputFormatError) as caught:
        read_records(path, **options)
    assert caught.value.path == str(path)
    return caught.value


# ---------------------------------------------------------------- what is read


def test_csv_uses_the_first_column_as_key_and_keeps_text_as_text(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "id,name,big\n007,Ada,123456789012345678901234567890\n8,,1\n")
    found = read_records(path)
    assert found.records == {
        "007": {"id": "007", "name": "Ada", "big": "123456789012345678901234567890"},
        "8": {"id": "8", "name": "", "big": "1"},
    }
    assert (found.key, found.format, found.duplicates) == ("id", "csv", 0)


def test_csv_takes_another_key_column(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "id,name\n1,Ada\n2,Bob\n")
    assert list(read_records(path, key="name").records) == ["Ada", "Bob"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_finds_its_separator_in_the_header(tmp_path: Path, separator: str) -> None:
    path = write(tmp_path, "a.csv", f"id{separator}name\n1{separator}Ada\n")
    assert read_records(path).records == {"1": {"id": "1", "name": "Ada"}}


def test_csv_cells_may_hold_separators_quotes_and_line_ends(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'id,text\r\n1,"a,""b""\r\nc"\r\n\r\n2,d\r\n')
    assert read_records(path).records == {
        "1": {"id": "1", "text": 'a,"b"\r\nc'},
        "2": {"id": "2", "text": "d"},
    }


def test_csv_cells_may_be_longer_than_the_csv_modules_own_limit(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    long = "x" * (limit + 1)
    path = write(tmp_path, "a.csv", f"id,text\n1,{long}\n")
    assert read_records(path).records["1"]["text"] == long
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "id,n\né,1\n"),
        ("a.json", '[{"id": "é", "n": "1"}]'),
        ("a.ndjson", '{"id": "é", "n": "1"}\n'),
    ],
)
def test_a_byte_order_mark_is_no_part_of_the_data(tmp_path: Path, name: str, content: str) -> None:
    path = write(tmp_path, name, b"\xef\xbb\xbf" + content.encode())
    assert read_records(path).records == {"é": {"id": "é", "n": "1"}}


def test_json_reads_an_array_of_objects(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", '[\n {"id": 1, "x": [true, null]},\n {"id": 2.5}\n]\n')
    found = read_records(path)
    assert found.records == {1: {"id": 1, "x": [True, None]}, 2.5: {"id": 2.5}}
    assert found.key == "id"


def test_json_reads_an_object_of_records(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", '{"a": {"n": 1}, "b": {"n": 2}, "a": {"n": 3}}')
    found = read_records(path)
    assert found.records == {"a": {"n": 3}, "b": {"n": 2}}
    assert (found.key, found.duplicates) == ("", 1)


@pytest.mark.parametrize(("content", "name"), [("[]", "a.json"), ("{ }\n", "a.json")])
def test_json_without_records_is_an_empty_table(tmp_path: Path, content: str, name: str) -> None:
    assert read_records(write(tmp_path, name, content)).records == {}


def test_csv_with_a_header_alone_is_an_empty_table(tmp_path: Path) -> None:
    assert read_records(write(tmp_path, "a.csv", "id,name\n")).records == {}


@pytest.mark.parametrize("suffix", [".ndjson", ".jsonl"])
def test_ndjson_reads_a_record_a_line_and_skips_blank_lines(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, "a" + suffix, '{"id": "a"}\r\n\r\n  {"id": "b", "x": {}}  \n')
    assert read_records(path).records == {"a": {"id": "a"}, "b": {"id": "b", "x": {}}}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "id,n\na,1\nb,2\na,3\na,4\n"),
        (
            "a.json",
            '[{"id":"a","n":"1"},{"id":"b","n":"2"},{"id":"a","n":"3"},{"id":"a","n":"4"}]',
        ),
        ("a.ndjson", '{"id":"a","n":"1"}\n{"id":"b","n":"2"}\n{"id":"a"}\n{"id":"a","n":"4"}'),
    ],
)
def test_the_last_record_of_a_key_wins_and_the_others_are_counted(
    tmp_path: Path, name: str, content: str
) -> None:
    found = read_records(write(tmp_path, name, content))
    assert found.duplicates == 2
    assert found.records == {"a": {"id": "a", "n": "4"}, "b": {"id": "b", "n": "2"}}


def test_integers_keep_all_their_digits(tmp_path: Path) -> None:
    number = 10**4000 + 7
    path = write(tmp_path, "a.json", json.dumps([{"id": number, "x": -(2**64)}]))
    assert read_records(path).records == {number: {"id": number, "x": -(2**64)}}


def test_progress_ends_at_the_size_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "id\n" + "".join(f"{i}\n" for i in range(10_000)))
    seen: list[tuple[int, int]] = []
    read_records(path, progress=lambda done, total: seen.append((done, total)))
    size = path.stat().st_size
    assert len(seen) > 3
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (size, size)


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
flat = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), text)
records = st.lists(st.dictionaries(text, st.one_of(flat, st.lists(flat)), max_size=3), max_size=6)


@given(rows=records, indent=st.sampled_from([None, 0, 2]))
def test_json_and_ndjson_read_back_what_python_wrote(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], indent: int | None
) -> None:
    folder = tmp_path_factory.mktemp("written")
    rows = [{**row, "id": str(number)} for number, row in enumerate(rows)]
    expected = {row["id"]: row for row in rows}
    array = write(folder, "a.json", json.dumps(rows, indent=indent))
    assert read_records(array, key="id").records == expected
    table = write(folder, "b.json", json.dumps(expected, indent=indent, ensure_ascii=False))
    assert read_records(table).records == expected
    if rows:
        lines = write(folder, "c.ndjson", "\n".join(json.dumps(row) for row in rows))
        assert read_records(lines, key="id").records == expected


@given(rows=st.lists(st.lists(text, min_size=2, max_size=2), min_size=1, max_size=6))
def test_csv_reads_back_what_python_wrote(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    path = tmp_path_factory.mktemp("written") / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["id", "a", "b"])
        writer.writerows([number, *row] for number, row in enumerate(rows))
    found = read_records(path).records
    assert found == {str(i): {"id": str(i), "a": a, "b": b} for i, (a, b) in enumerate(rows)}


# ---------------------------------------------------------------- what is refused

BAD: list[tuple[str, str | bytes, int, str]] = [
    ("a.csv", "id,n\n1,2\n3\n", 3, "1 fields where the header names 2"),
    ("a.csv", "id,n\n1,2,3\n", 2, "3 fields where the header names 2"),
    ("a.csv", 'id,n\n1,"a\nb\n2,c\n', 2, "quotes"),
    ("a.csv", 'id,n\n1,"a"b\n', 2, "quotes"),
    ("a.csv", 'id,n\n1,"a\nb"\n2\n', 4, "1 fields"),
    ("a.csv", "id,id\n1,2\n", 1, "'id' more than once"),
    ("a.csv", b"id,n\n1,a\n2,\xff\n", 3, "0xff is not valid UTF-8"),
    ("a.csv", "id,n\n".encode("utf-16"), 1, "UTF-16"),
    ("a.csv", "", 0, "empty"),
    ("a.csv", "\n \n", 0, "empty"),
    ("a.json", "", 0, "empty"),
    ("a.json", " \n", 0, "empty"),
    ("a.json", "7", 1, "single value"),
    ("a.json", '[\n{"id": 1},\n{"id": }\n]', 3, "not valid JSON"),
    ("a.json", '[\n{"id": 1},\n]', 3, "not valid JSON"),
    ("a.json", '[\n{"id": 1}\n{"id": 2}]', 3, "expected ',' or ']' after record 1"),
    ("a.json", '[\n{"id": 1}', 2, "cut off"),
    ("a.json", "[", 1, "not valid JSON"),
    ("a.json", "{", 1, "cut off"),
    ("a.json", '{"a": 1,\n b: 2}', 2, "expected '\"'"),
    ("a.json", '{"a" 1}', 1, "expected ':'"),
    ("a.json", '[{"id": 1}]\nx', 2, "text after the end"),
    ("a.json", '{"id": 1}\n{"id": 2}', 2, "ndjson"),
    ("a.json", '[{"id": 1},\n 5]', 2, "the record is a number"),
    ("a.json", '[{"id": 1},\n {"x": 2}]', 2, "has no 'id'"),
    ("a.json", '[{"id": [1]}]', 1, "'id' is a list"),
    ("a.json", "[{}]", 1, "the first record is empty"),
    ("a.json", b'[\n{"id": "\xe9"}]', 2, "0xe9 is not valid UTF-8"),
    ("a.json", '[\n{"id": ' + "[" * 200_000 + "]", 2, "nested too deeply"),
    ("a.json", '[{"id": ' + "9" * 5000 + "}]", 1, "5,000 digits"),
    ("a.ndjson", "", 0, "empty"),
    ("a.ndjson", "\n\n", 0, "empty"),
    ("a.ndjson", '{"id": 1}\n{"id": 2\n', 2, "not valid JSON"),
    ("a.ndjson", '{"id": 1}\n\n{"id": 2} {"id": 3}\n', 3, "text after the record"),
    ("a.ndjson", '{"id": 1}\n"x"\n', 2, "the record is text"),
    ("a.ndjson", '{"id": 1}\nnull\n', 2, "the record is null"),
    ("a.ndjson", '{"id": {}}\n', 1, "'id' is an object"),
    ("a.ndjson", b'{"id": 1}\n{"id": "\xc3"}\n', 2, "0xc3 is not valid UTF-8"),
    ("a.ndjson", '{"id": 1}\n{"id": ' + "9" * 5000 + "}\n", 2, "5,000 digits"),
]


@pytest.mark.parametrize(
    ("name", "content", "line", "problem"), BAD, ids=[f"{b[0]}-{b[3]}-{b[2]}" for b in BAD]
)
def test_a_bad_line_is_named_with_its_number(
    tmp_path: Path, name: str, content: str | bytes, line: int, problem: str
) -> None:
    path = write(tmp_path, name, content)
    error = refused(path)
    assert problem in str(error)
    assert error.line == line
    assert str(error).startswith(f"{path}:{line}: " if line else f"{path}: ")


def test_a_missing_key_column_is_named_with_those_there_are(tmp_path: Path) -> None:
    error = refused(write(tmp_path, "a.csv", "id,name\n1,Ada\n"), key="nme")
    assert "'nme'" in str(error) and "'id', 'name'" in str(error)
    error = refused(write(tmp_path, "a.ndjson", '{"id": 1}\n'), key="nme")
    assert error.line == 1 and "'nme'" in str(error)


def test_an_object_of_records_takes_no_key_column(tmp_path: Path) -> None:
    assert "own keys" in str(refused(write(tmp_path, "a.json", '{"a": {}}'), key="id"))


def test_an_unknown_format_is_refused_and_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "id\n1\n")
    assert "csv, json, ndjson" in str(refused(path))
    assert "xml" in str(refused(path, format="xml"))
    assert read_records(path, format="csv").records == {"1": {"id": "1"}}
    assert guess_format(Path("A.CSV")) == "csv"


def test_a_number_of_many_digits_is_read_where_python_allows_it(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", '[{"id": ' + "9" * 5000 + "}]")
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        assert list(read_records(path).records) == [10**5000 - 1]
    finally:
        sys.set_int_max_str_digits(before)


def test_a_file_that_is_not_there_stays_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_records(tmp_path / "none.csv")
    with pytest.raises(IsADirectoryError):
        read_records(tmp_path, format="csv")


def test_the_error_survives_pickling() -> None:
    import pickle

    error = InputFormatError("a.csv", 3, "bad")
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, PstructsError) and isinstance(again, ValueError)
    assert (str(again), again.path, again.line) == ("a.csv:3: bad", "a.csv", 3)
