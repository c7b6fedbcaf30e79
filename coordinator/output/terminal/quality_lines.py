"""The classes of requests under a time bound: good, tolerable, and the rest."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from loadgen.verdict.result import Check


def quality_lines(checks: Iterable[Check]) -> list[Text]:
    """The share of each class, from the checks of an iteration; nothing under a rate bound."""
    shares = {check.name: check.value for check in checks if check.unit == "%"}
    good, tolerable = shares.get("good requests"), shares.get("tolerable requests")
    if good is None or tolerable is None:
        return []
    slower = "slower, or failed"
    return [Text(f"Requests: {good:.2f} % good, {tolerable - good:.2f} % tolerable, {100 - tolerable:.2f} % {slower}")]
