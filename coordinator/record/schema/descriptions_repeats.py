"""Descriptions of fields in the documents of repeated runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

REPEATS: Final[Mapping[str, Mapping[str, str]]] = {
    "Figure": {
        "name": "Name of the number, like `requests/s`; unique in a run.",
        "values": "Its value, or one for each test of a network run.",
        "unit": "Its unit; empty for a plain count.",
        "better": "Whether the higher or the lower number is the better one.",
        "at_least": "Whether the value is only a lower bound.",
    },
    "Drift": {
        "change": "Change from the first to the last run, as a share of the median.",
        "chance": "The probability that runs without any trend show one as clear as this.",
    },
    "RepeatedNumber": {
        "name": "Name of the number, like `requests/s`.",
        "median": "Median of the values.",
    },
}
"""By type and field."""
