"""Numbers of plots: short in the page, and as texts of its tables."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NOTHING = "-"
_LEVELS = 253
_SILENT = 254
_NONE = 255


def plain(value: float | None) -> float | None:
    """The number with five digits for a page's data; None for what is not known or not finite."""
    if value is None or not math.isfinite(value):
        return None
    return int(value) if float(value).is_integer() else float(f"{value:.5g}")


def plains(values: Iterable[float | None]) -> list[float | None]:
    """:func:`plain` of each."""
    return [plain(value) for value in values]


def text(value: float | None, unit: str = "") -> str:
    """The number with about four digits for a table; `inf` as in the text report."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "inf"
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}{unit}"
    return f"{value:.4g}{unit}"


def bounded(value: float | None, *, least: bool, unit: str = "") -> str:
    """The number for a table, marked when it is only a lower bound."""
    shown = text(value, unit)
    return f"≥ {shown}" if least and shown != NOTHING else shown


def between(low: float | None, high: float | None) -> str:
    """An interval for a table."""
    return NOTHING if low is None or high is None else f"{text(low)} to {text(high)}"


def levels(
    values: NDArray[np.float64],
    low: float,
    high: float,
    *,
    log: bool = False,
    silent: NDArray[np.bool_] | None = None,
) -> str:
    """The values as one byte each, in rows, for the `heat` of page.js.

    0 is `low`, 253 is `high`, 254 one that is `silent`, and 255 one that is not known.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.log(values / low) / math.log(high / low) if log else (values - low) / (high - low)
    share = np.where(np.isnan(values), 0.0, np.nan_to_num(share, neginf=0.0))
    level = np.round(np.clip(share, 0.0, 1.0) * _LEVELS).astype(np.uint8)
    level[np.isnan(values)] = _NONE
    if silent is not None:
        level[silent] = _SILENT
    return base64.b64encode(level.tobytes()).decode("ascii")


def groups_of(number: int, most: int) -> list[NDArray[np.int64]]:
    """The indexes 0 to `number` - 1 in at most `most` groups of neighbours, all but the last of the same size."""
    size = max(1, -(-number // most))
    return [np.arange(first, min(first + size, number)) for first in range(0, number, size)]


def bands(spans: Sequence[tuple[float, float]], kind: str) -> list[dict[str, Any]]:
    """Spans of time that a plot shades, of the kind `measured`, `disturbed` or `answer`; none without spans."""
    return [{"kind": kind, "spans": [[plain(begin), plain(end)] for begin, end in spans]}] if spans else []
