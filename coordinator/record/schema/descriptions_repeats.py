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
    "ComparedNumber": {
        "name": "Name of the number, like `requests/s`.",
        "median": "Median of the values.",
    },
    "Limit": {
        "share": "How much worse than the first group another one may be.",
        "name": "The number that it limits; empty for every number.",
    },
    "Side": {
        "name": "A for the first group, B for the next one, and so on.",
        "record": "Directory of the group's record, or the file of its plan.",
        "runs": "Number of its runs.",
        "valid": "Number of its runs that count.",
    },
    "Unlike": {
        "what": "Place of the value, like `kernel` or `phases.measure_ns`.",
        "values": "The value in each group, as text.",
    },
    "RepeatedNumber": {
        "name": "Name of the number, like `requests/s`.",
        "median": "Median of the values.",
    },
}
"""By type and field."""
