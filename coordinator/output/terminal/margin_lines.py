"""The lines below a score that say how much it means: ideal servers, other floors, and the iterations."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from coordinator.output.terminal import format as fmt
from loadgen.verdict.margin import Ideal, Margin, Spread
from loadgen.verdict.result import RunResult


def margin_lines(result: RunResult) -> list[Text]:
    """The margin of a score; [] for a result that has none."""
    if result.margin is None:
        return []
    return [Text(line, "bold" if line == edge(result) else "") for line in _lines(result, result.margin)]


def edge(result: RunResult) -> str:
    """A sentence if the score depends on the floor; otherwise empty."""
    margin = result.margin
    if margin is None or not margin.is_edge:
        return ""
    near = f"{margin.near_floor:,} of {result.requested_connections:,} connections are within 5 % of the floor"
    return f"The score is on an edge: {near}."


def _lines(result: RunResult, margin: Margin) -> Iterator[str]:
    complete = sum(one.complete for one in result.iterations)
    if complete > 1:
        counts = _counts(margin.conforming)
        yield f"Over {complete} iterations: {counts} conform, {_rates(margin.ops_per_s)} operations/s"
    if margin.ideal is not None:
        yield from _ideal(result, margin.ideal)
    if margin.floors:
        names = " / ".join("floor" if not one.change else f"{100 * one.change:+.0f} %" for one in margin.floors)
        counts = " / ".join(
            fmt.NOTHING if one.conforming is None else fmt.count(one.conforming) for one in margin.floors
        )
        yield f"Conforming at other floors ({names}): {counts}"
    if margin.is_edge:
        yield edge(result)


def _ideal(result: RunResult, ideal: Ideal) -> Iterator[str]:
    asked, measured = result.requested_connections, result.iterations[result.median].ops_per_s
    yield (
        f"On ideal servers: {fmt.count(ideal.conforming)} of {fmt.count(asked)} conform, "
        f"{fmt.rate(ideal.ops_per_s)} operations/s"
    )
    spread, counts = ideal.ops_per_s_spread, ideal.conforming_spread
    other = "" if counts.low == counts.high == ideal.conforming else f"{_counts(counts)} conform, "
    yield f"  Other seeds: {other}{_rates(spread)} operations/s (95 % of {ideal.deals} simulated)"
    yield f"  Measured: {fmt.rate(measured)}, {_place(measured, ideal)}"


def _place(measured: float, ideal: Ideal) -> str:
    if ideal.ops_per_s_spread.low <= measured <= ideal.ops_per_s_spread.high:
        return "within that spread"
    off = measured / ideal.ops_per_s - 1 if ideal.ops_per_s else 0.0
    return f"{100 * abs(off):.1f} % {'below' if off < 0 else 'above'} ideal servers"


def _counts(spread: Spread) -> str:
    low, high = round(spread.low), round(spread.high)
    return fmt.count(low) if low == high else f"{fmt.count(low)}..{fmt.count(high)}"


def _rates(spread: Spread) -> str:
    return f"{fmt.rate(spread.low)}..{fmt.rate(spread.high)}"
