"""Compiles requests with placeholders to templates (loadgen.schedule.values)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from urllib.parse import quote

import numpy as np

from loadgen.model.data_file import Table
from loadgen.model.errors import PlanError
from loadgen.model.http_values import Value, split_tokens
from loadgen.schedule.strings import Strings
from loadgen.schedule.values import LONGEST, PIECE_DTYPE, PieceKind, Values, mix

_KINDS = {
    "n": PieceKind.NUMBER,
    "uuid": PieceKind.UUID,
    "random": PieceKind.RANDOM,
    "timestamp": PieceKind.SECONDS,
    "timestamp_ms": PieceKind.MILLISECONDS,
    "timestamp_ns": PieceKind.NANOSECONDS,
    "connection": PieceKind.CONNECTION,
}
_LENGTH = re.compile(rb"(?<=\r\nContent-Length: )[0-9]+(?=\r\n)")
_BAD_IN_URL = re.compile(rb"[^!-~]")
_BAD_IN_HEADER = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

_Piece = tuple[int, int, int, int, int]  # as in PIECE_DTYPE


class Templates:
    """Collects the templates of a plan's requests.  `table` is the content of the data file, which `file` names."""

    def __init__(self, table: Table | None, file: str) -> None:
        self._table = table
        self._file = file
        self._pieces: list[_Piece] = []
        self._ends = [0, 0]
        self._strings: list[bytes] = []
        self._columns: dict[tuple[str, str], int] = {}
        self._longest: dict[int, int] = {}  # of the values of a column, by the index of its first one

    def add(self, line: bytes, rest: bytes, *, own_host: bool = False) -> int:
        """The number of a new template: request line, Host line, and the `rest` of the request, all with tokens.

        With `own_host`, the Host line is the second one in `line`; otherwise the engine adds that of the target.
        Raises PlanError when a value of the data file cannot stand where it is asked for.
        """
        head, _, body = rest.partition(b"\r\n\r\n")
        first, _, host = line.partition(b"\r\n")
        self._write((*split_tokens(first, b"{{"), b"\r\n"), "url", _BAD_IN_URL)
        if own_host:
            self._write(split_tokens(host, b"{{"), "raw", _BAD_IN_HEADER)
        else:
            self._pieces.append((0, 0, 0, PieceKind.HOST, 0))
        body_parts = split_tokens(body, b"{{")
        before, length, after = _cut(b"\r\n" + head + b"\r\n")
        self._write(split_tokens(before[2:], b"{{"), "raw", _BAD_IN_HEADER)
        if length:
            self._write_length(body_parts)
        self._write((*split_tokens(after, b"{{"), b"\r\n"), "raw", _BAD_IN_HEADER)
        self._pieces.append((0, 0, 0, PieceKind.BODY, 0))
        self._write(body_parts, "raw", None)
        self._ends.append(len(self._pieces))
        return len(self._ends) - 2

    def build(self, *, seed: int, turn: bool) -> Values | None:
        """All templates; None when none was added."""
        if len(self._ends) == 2:
            return None
        return Values(
            pieces=np.array(self._pieces, dtype=PIECE_DTYPE),
            templates=np.array(self._ends, dtype=np.uint32),
            strings=Strings.of(self._strings),
            rows=len(self._table.rows) if self._table is not None and self._columns else 0,
            turn=int(turn),
            seed=mix(seed),
        )

    def _write(self, parts: Sequence[bytes | Value], form: str, bad: re.Pattern[bytes] | None) -> None:
        text = b""
        for part in parts:
            if isinstance(part, bytes):
                text += part
                continue
            self._write_text(text)
            text = b""
            first = self._column(part, part.form or form, bad) if part.is_column else 0
            kind = PieceKind.COLUMN if part.is_column else _KINDS[part.name]
            span = part.high - part.low + 1 if kind is PieceKind.RANDOM else 0
            self._pieces.append((part.low, span, first, kind, 0))
        self._write_text(text)

    def _write_text(self, text: bytes) -> None:
        if text:
            self._strings.append(text)
            self._pieces.append((0, 0, len(self._strings) - 1, PieceKind.TEXT, 0))

    def _write_length(self, body: Sequence[bytes | Value]) -> None:
        """Write the length of the body: a text if it is the same in each request."""
        fixed = sum(len(part) for part in body if isinstance(part, bytes))
        values = [part for part in body if isinstance(part, Value)]
        if all(value.name == "uuid" for value in values):
            self._write_text(b"%d" % (fixed + len(values) * LONGEST[PieceKind.UUID]))
            return
        longest = fixed + sum(self._longest_of(value) for value in values)
        self._pieces.append((0, 0, 0, PieceKind.LENGTH, len(str(longest))))

    def _longest_of(self, value: Value) -> int:
        if value.is_column:
            return self._longest[self._column(value, value.form or "raw", None)]
        return LONGEST[_KINDS[value.name]]

    def _column(self, value: Value, form: str, bad: re.Pattern[bytes] | None) -> int:
        """The index of the first value of a column, written in a form."""
        assert self._table is not None
        key = (value.name, form)
        at = self._table.columns.index(value.name)
        if key not in self._columns:
            written = [_written(row[at], form) for row in self._table.rows]
            self._columns[key] = len(self._strings)
            self._longest[len(self._strings)] = max(map(len, written))
            self._strings += written
        first = self._columns[key]
        if bad is not None and (form != "url"):
            self._check(value, first, bad)
        return first

    def _check(self, value: Value, first: int, bad: re.Pattern[bytes]) -> None:
        assert self._table is not None
        for line, text in zip(self._table.lines, self._strings[first:], strict=False):
            if found := bad.search(text):
                where = "a URL" if bad is _BAD_IN_URL else "a header"
                raise PlanError(
                    f"{self._file}, line {line}: {value.name} has the character {found[0].decode('latin-1')!r}, which "
                    f"cannot stand in {where}",
                    hint=f"write {{{{{value.name}|url}}}} to escape it",
                )


def _cut(head: bytes) -> tuple[bytes, bytes, bytes]:
    """The head of a request before and after the value of its Content-Length, which is empty without one."""
    found = _LENGTH.search(head)
    return (head[: found.start()], found[0], head[found.end() :]) if found else (head, b"", b"")


def _written(text: str, form: str) -> bytes:
    match form:
        case "url":
            return quote(text, safe="").encode()
        case "json":
            return json.dumps(text, ensure_ascii=False)[1:-1].encode()
        case _:
            return text.encode()
