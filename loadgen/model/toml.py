"""TOML from texts that people wrote: an error is always a ValueError of one line."""

from __future__ import annotations

import re
import tomllib
from typing import Any

_LONG = re.compile(r"[0-9A-Fa-f_]{16}")  # a whole number beyond 64 bits has as many digits, even with base 16


def parse_toml(text: str) -> dict[str, Any]:
    """The tables in a text; a byte order mark at its start, which some editors write, is left out.

    Raises ValueError, which says what is wrong and where.
    """
    try:
        data = tomllib.loads(text.removeprefix("\ufeff"))
        if _LONG.search(text):
            _check_numbers(data, "")
    except RecursionError:
        raise ValueError("values are nested too deeply") from None
    return data


def _check_numbers(value: object, place: str) -> None:
    """Raise ValueError for a whole number beyond 64 bits, which TOML forbids (TOML 1.0, Integer) and tomllib reads."""
    match value:
        case dict():
            for key, one in value.items():
                _check_numbers(one, f"{place}.{key}" if place else key)
        case list():
            for at, one in enumerate(value):
                _check_numbers(one, f"{place}[{at}]")
        case int() if not -(1 << 63) <= value < 1 << 63:
            raise ValueError(f"the number of {place} is not between -2^63 and 2^63")
