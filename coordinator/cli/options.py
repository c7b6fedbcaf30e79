"""Option types shared by the commands: text from the command line to values, wrong text to one clear line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich_click as click

from loadgen.model.errors import LoadgenError, PlanError
from loadgen.model.units import AUTO, parse_size_bytes

_MAX_WINDOW_BYTES = (1 << 31) - 1  # setsockopt takes an int


class Parsed(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """An option whose text a parser of the model reads; what the parser refuses is a usage error."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """`value` parsed, or as it is when it is not text any more."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except LoadgenError as error:
            self.fail(error.message + (f" ({error.hint})" if error.hint else ""), param, ctx)


def parse_counts(text: str) -> tuple[int, ...]:
    """`16` or `1,4,16`: positive and strictly rising."""
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise PlanError(f"{text!r} is not a number or a list of numbers", hint="write it like 16 or 1,4,16") from None
    if any(count < 1 for count in counts) or list(counts) != sorted(set(counts)):
        raise PlanError(f"{text!r}: the numbers must be positive and rising", hint="write it like 16 or 1,4,16")
    return counts


def parse_windows(text: str) -> tuple[int, ...]:
    """`16K,64K,auto`: each once, in bytes; 0 stands for `auto`, the kernel's own choice."""
    windows = tuple(parse_window(part.strip()) for part in text.split(","))
    if len(set(windows)) != len(windows):
        raise PlanError(f"{text!r}: a window is given twice", hint="write them like 16K,64K,auto")
    return windows


def parse_window(text: str) -> int:
    """One of :func:`parse_windows`."""
    if text == AUTO:
        return 0
    size_bytes = parse_size_bytes(text)
    if not 0 < size_bytes <= _MAX_WINDOW_BYTES:
        raise PlanError(f"{text!r} is no window", hint=f"give 1 byte to just under 2G, or {AUTO}")
    return size_bytes


docroot_option = click.option(
    "--dir",
    "root",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    help="Document root.  [default: the user's cache]",
)
"""Where a file set is, for the commands that make or serve one."""
