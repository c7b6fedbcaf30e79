"""The margin of a spec run in run.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from loadgen.verdict.margin import AtFloor, Ideal, Margin, Spread


def write_margin(margin: Margin) -> dict[str, Any]:
    """The margin as plain data."""
    return dataclasses.asdict(margin)


def read_margin(data: Mapping[str, Any]) -> Margin:
    """The inverse of :func:`write_margin`.  KeyError or TypeError for other data."""
    spreads = {name: Spread(**data[name]) for name in ("conforming", "ops_per_s")}
    floors = tuple(AtFloor(**one) for one in data["floors"])
    ideal = None if data["ideal"] is None else _read_ideal(data["ideal"])
    return Margin(**{**data, **spreads, "floors": floors, "ideal": ideal})


def _read_ideal(data: Mapping[str, Any]) -> Ideal:
    spreads = {name: Spread(**data[name]) for name in ("conforming_spread", "ops_per_s_spread")}
    return Ideal(**{**data, **spreads})
