"""Option types of the commands: each turns text of the command line into a value, or reports an error in one line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from coordinator.cli.html_option import html_option
from coordinator.cli.panels import decoded, option
from loadgen.model.errors import LoadgenError, PlanError
from loadgen.model.probe import MAX_WINDOW_BYTES
from loadgen.model.units import AUTO, parse_duration_ns, parse_rate_bps, parse_size_bytes

F = TypeVar("F", bound=Callable[..., Any])


class Parsed(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """An option type that reads text with a parser of the model; an error of the parser is a usage error."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return `value` parsed, or unchanged when it is not text."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(decoded(value))
        except LoadgenError as error:
            self.fail(error.message + (f" ({error.hint})" if error.hint else ""), param, ctx)


class UrlText(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A URL, of which bytes that are not UTF-8 are sent as they are: as %XX."""

    name = "URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return `value` as text."""
        try:
            return decoded(value)
        except click.BadParameter:
            return "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in os.fsencode(value))


def parse_counts(text: str) -> tuple[int, ...]:
    """Return the numbers of a text like `16` or `1,4,16`: positive and ascending.  Raises PlanError."""
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise PlanError(f"{text!r} is not a number or a list of numbers", hint="write it like 16 or 1,4,16") from None
    if any(count < 1 for count in counts) or list(counts) != sorted(set(counts)):
        raise PlanError(f"{text!r}: the numbers must be positive and ascending", hint="write it like 16 or 1,4,16")
    return counts


def parse_windows(text: str) -> tuple[int, ...]:
    """Return the windows of a text like `16K,64K,auto`, in bytes; 0 stands for `auto`, the kernel's choice.

    Raises PlanError for a window that is not allowed, or is given twice.
    """
    windows = tuple(parse_window(part.strip()) for part in text.split(","))
    if len(set(windows)) != len(windows):
        raise PlanError(f"{text!r}: a window is given twice", hint="write them like 16K,64K,auto")
    return windows


def parse_window(text: str) -> int:
    """Return one window like `64K` or `auto`, in bytes; see :func:`parse_windows`.  Raises PlanError."""
    if text == AUTO:
        return 0
    size_bytes = parse_size_bytes(text)
    if not 0 < size_bytes <= MAX_WINDOW_BYTES:
        raise PlanError(f"{text!r} is not a window", hint=f"give 1 byte to 2G - 1, or {AUTO}")
    return size_bytes


DURATION = Parsed("duration", parse_duration_ns)
RATE = Parsed("rate", parse_rate_bps)
SIZE = Parsed("size", parse_size_bytes)
WINDOWS = Parsed("windows", parse_windows)
FILE = click.Path(path_type=Path, dir_okay=False)
DIRECTORY = click.Path(path_type=Path, file_okay=False)


def result_options(kind: str, *short: str) -> Callable[[F], F]:
    """The options --out, --json (`short`: its short name) and --html of a command that makes such a record."""

    def add(command: F) -> F:
        as_json = option(
            "--json", *short, "as_json", is_flag=True, panel="Result", help="Print the result as one JSON document."
        )(html_option(command))
        return option(
            "--out",
            type=click.Path(path_type=Path),
            metavar="DIRECTORY",
            panel="Result",
            help=f"Directory of the record.  [default: runs/<time>-{kind}]",
        )(as_json)

    return add


docroot_option = option(
    "--dir",
    "root",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    help="Document root.  [default: the user's cache]",
)
"""The directory of a file set, for the commands that make or serve one."""
