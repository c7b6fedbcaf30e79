"""CSV files of values: what is read, and what is refused with its line."""

from __future__ import annotations

import contextlib
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.model.data_file import parse_csv
from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from workloads.http.compile import compile_http
from workloads.http.data import read_data


@pytest.mark.parametrize(
    ("content", "columns", "rows"),
    [
        (b"a,b\n1,2\n", ("a", "b"), [("1", "2")]),
        (b"a,b\r\n1,2\r\n3,4", ("a", "b"), [("1", "2"), ("3", "4")]),
        (b"\xef\xbb\xbfa\n1\n", ("a",), [("1",)]),
        (b' a ,"b c"\n1,2\n', ("a", "b c"), [("1", "2")]),
        (b'a\n"x,y"\n"q ""z"""\n"two\nlines"\n', ("a",), [("x,y",), ('q "z"',), ("two\nlines",)]),
        (b"a,b\n,\n 1 , 2\n", ("a", "b"), [("", ""), (" 1 ", " 2")]),
        (b"\n\na\n\n1\n\n2\n\n", ("a",), [("1",), ("2",)]),
        ("имя\nж\n".encode(), ("имя",), [("ж",)]),
    ],
)
def test_rows_are_read(content: bytes, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    table = parse_csv(content, "f.csv")
    assert table.columns == columns
    assert list(table.rows) == rows


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "f.csv has no rows"),
        (b"a,b\n", "f.csv has no rows"),
        (b"a,b\n1,2\n3\n", "f.csv, line 3: the number of fields is 1, but that of columns 2"),
        (b"a\n1,2\n", "f.csv, line 2: the number of fields is 2, but that of columns 1"),
        (b'a\n"1\n', "f.csv, line 2: not CSV: unexpected end of data"),
        (b'a\n"1"2\n', "f.csv, line 2: not CSV"),
        (b"a\n1\n\xff\n", "f.csv, line 3: not UTF-8"),
        (b"a,a\n1,2\n", "two columns named 'a'"),
        (b"a,\n1,2\n", "'' cannot name a column"),
        (b"{x}\n1\n", "'{x}' cannot name a column"),
        (b"a|b\n1\n", "'a|b' cannot name a column"),
        (b"PK\x03\x04\x00\x00\n", "f.csv has no rows"),
    ],
)
def test_what_is_no_table_is_refused_with_its_line(content: bytes, words: str) -> None:
    with pytest.raises(PlanError) as refused:
        parse_csv(content, "f.csv")
    assert words in refused.value.message


@given(st.binary(max_size=60))
def test_any_bytes_are_a_table_or_one_clear_error(content: bytes) -> None:
    with contextlib.suppress(PlanError):
        table = parse_csv(content, "f.csv")
        assert table.rows
        assert all(len(row) == len(table.columns) for row in table.rows)


@pytest.mark.parametrize("name", ["missing.csv", "directory", "zero\0byte"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(PlanError, match="cannot be read"):
        read_data(tmp_path / name)


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (file := tmp_path / "large.csv").open("wb") as stream:
        stream.truncate(65 << 20)
    with pytest.raises(PlanError, match="65 MiB; at most 64 MiB"):
        read_data(file)


def test_a_hundred_thousand_rows_need_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "many.csv"
    file.write_text("name,id\n" + "".join(f"user-{n},{n}\n" for n in range(100_000)))
    tracemalloc.start()
    try:
        data, _ = read_data(file)
        plan = HttpPlan(requests=(HttpRequest(url="http://h/{{name}}?{{id}}"),), connections=1, data=data)
        tape = compile_http(plan)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100 << 20
    assert sum(len(part) for part in tape.to_wire()["values"].values() if isinstance(part, bytes)) < 5 << 20
