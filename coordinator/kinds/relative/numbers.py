"""Numbers in the output of a command."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from loadgen.measure.trials import Number
from loadgen.model.relative import Metric


class NoNumberError(ValueError):
    """The output of a command has no number of a metric; the text says which."""


def read_numbers(metrics: Sequence[Metric], output: str) -> tuple[Number, ...]:
    """The numbers of all metrics.  Raises NoNumberError when one finds nothing, or no number."""
    found: dict[str, Number] = {}
    for metric in metrics:
        before = len(found)
        for number in _find(metric, output):
            found[number.name] = number
        if len(found) == before:
            raise NoNumberError(f"the output has no match for {metric.pattern!r}")
    return tuple(found.values())


def _find(metric: Metric, output: str) -> Iterator[Number]:
    for match in re.finditer(metric.pattern, output, re.MULTILINE):
        groups = match.groupdict()
        text = groups.get("value") if "value" in groups else match.group(1)
        try:
            value = float((text or "").replace(",", ""))
        except ValueError:
            raise NoNumberError(f"{metric.pattern!r} found {text!r}, which is not a number") from None
        name = groups.get("name") or metric.name
        yield Number(name=name.strip(), value=value, unit=metric.unit, better=metric.better)


def last_lines(output: str, most: int) -> list[str]:
    """The last lines of an output that are not empty."""
    return [line.rstrip() for line in output.splitlines() if line.strip()][-most:]
