"""A comparison of groups of runs as plain data."""

from __future__ import annotations

import math
from typing import Any

from loadgen.model.plain import to_plain
from loadgen.verdict.compare_result import Comparison


def write_comparison(found: Comparison) -> dict[str, Any]:
    """The comparison as plain data; a ratio that is not finite is null."""
    plain: dict[str, Any] = _finite(to_plain(found))
    return {"verdict": plain.pop("verdict"), "exit_code": int(found.exit_code), **plain}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
