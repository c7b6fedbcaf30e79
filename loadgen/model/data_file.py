"""A data file: CSV rows, one for each request, whose columns stand in requests as `{{name}}`."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass

from loadgen.model.errors import PlanError

MAX_BYTES = 64 << 20
MAX_ROWS = 1_000_000
MAX_FIELD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A data file as a plan names it; `file` is "" for none.

    `sha256`, `columns` and `rows` are those of its content when the plan was made.  The rows are not part of the plan:
    they may be many, and secret.
    """

    file: str = ""
    sha256: str = ""
    columns: tuple[str, ...] = ()
    rows: int = 0


NO_DATA = DataFile()


@dataclass(frozen=True, slots=True)
class Table:
    """The content of a data file: its columns, and its rows, each with one text per column."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    """The line on which each row begins, for messages."""


def parse_csv(content: bytes, file: str) -> Table:
    """The rows of CSV (RFC 4180) with a line of column names first, in UTF-8 with or without a byte order mark.

    Lines without any text are skipped.  Raises PlanError that names the file, and the line.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PlanError(f"{file}, line {line}: not UTF-8", hint="save the file as UTF-8") from error
    csv.field_size_limit(MAX_FIELD_BYTES)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    columns: tuple[str, ...] = ()
    next_line = 1
    try:
        for fields in reader:
            line, next_line = next_line, reader.line_num + 1
            if not fields or fields == [""]:
                continue
            if not columns:
                columns = _columns(fields, file)
                continue
            if len(fields) != len(columns):
                raise PlanError(
                    f"{file}, line {line}: the number of fields is {len(fields)}, but that of columns {len(columns)}",
                    hint='put fields that contain commas into quotes: "a, b"',
                )
            rows.append(tuple(fields))
            lines.append(line)
    except csv.Error as error:
        raise PlanError(f"{file}, line {reader.line_num}: not CSV: {error}") from error
    if not rows:
        raise PlanError(f"{file} has no rows", hint="the first line names the columns, the others are rows")
    if len(rows) > MAX_ROWS:
        raise PlanError(f"{file} has {len(rows):,} rows; at most {MAX_ROWS:,} are allowed")
    return Table(columns, tuple(rows), tuple(lines))


def described(content: bytes, table: Table, file: str) -> DataFile:
    """The data file of that content, for a plan."""
    digest = hashlib.sha256(content).hexdigest()
    return DataFile(file=file, sha256=digest, columns=table.columns, rows=len(table.rows))


def _columns(fields: list[str], file: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in fields)
    for name in names:
        if not name or any(char in name for char in "{}|\r\n"):
            raise PlanError(
                f"{file}: {name!r} cannot name a column", hint="the first line names each column, without {, } and |"
            )
        if names.count(name) > 1:
            raise PlanError(f"{file} has two columns named {name!r}", hint="rename one of them")
    return names
