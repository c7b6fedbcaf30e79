"""The canaries of a result as plain data, and back.  The field `canary` is left out of a run that has none."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from loadgen.verdict.canary import CanaryAdds, CanaryRow, CanaryTimes, Estimate


def write_canary(rows: Sequence[CanaryRow]) -> dict[str, Any]:
    """The field `canary` of a document; nothing without any row."""
    return {"canary": [dataclasses.asdict(row) for row in rows]} if rows else {}


def read_canary(document: Mapping[str, Any]) -> tuple[CanaryRow, ...]:
    """The inverse of :func:`write_canary`.  Raises KeyError or TypeError for other data."""
    return tuple(_row(data) for data in document.get("canary", ()))


def _row(data: Mapping[str, Any]) -> CanaryRow:
    times = {name: CanaryTimes(**data[name]) for name in ("response_ms", "truth_ms")}
    added = {name: None if one is None else Estimate(**one) for name, one in data["added_ms"].items()}
    return CanaryRow(**{**data, **times, "added_ms": CanaryAdds(**added)})
