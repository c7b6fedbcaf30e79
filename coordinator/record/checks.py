"""The checks and the trust of a result as plain data, and back."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from loadgen.verdict.result import Check, Trust


def write_trust(trust: Trust | None) -> dict[str, Any]:
    """`trust` of a document; `valid` is null for a run that is unfinished."""
    return {
        "valid": trust.valid if trust else None,
        "checks": [dataclasses.asdict(check) for check in trust.checks] if trust else [],
    }


def read_trust(data: Mapping[str, Any]) -> Trust:
    """The inverse of :func:`write_trust` for a finished run."""
    return Trust(checks=tuple(read_check(check) for check in data["checks"]))


def read_check(data: Mapping[str, Any]) -> Check:
    """A check from its fields; a null number is NaN."""
    numbers = {name: math.nan if data[name] is None else data[name] for name in ("value", "limit")}
    return Check(**{**data, **numbers})
