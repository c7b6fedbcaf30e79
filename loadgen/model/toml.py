"""TOML from texts that people wrote: an error is always a ValueError of one line."""

from __future__ import annotations

import tomllib
from typing import Any


def parse_toml(text: str) -> dict[str, Any]:
    """The tables in a text; a byte order mark at its start, which some editors write, is left out.

    Raises ValueError, which says what is wrong and where.
    """
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except RecursionError:
        raise ValueError("values are nested too deeply") from None
