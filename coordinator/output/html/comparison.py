"""A comparison of runs as blocks of a page: of groups of runs, or of plans that were played in turns."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from coordinator.output.html.blocks import Block, Items, Plot, Table, Words
from coordinator.output.html.numbers import NOTHING, between, bounded, plain, text
from coordinator.output.judged import Judged
from coordinator.record.interleaved_result import Interleaved
from loadgen.verdict.compare_result import CompareRow, Comparison, Unlike
from loadgen.verdict.repeats import OneOfMany


def comparison_blocks(found: Comparison) -> Iterator[Block]:
    """The verdict with its reasons, the ratios, and what differs besides what was measured."""
    yield Words(f"Comparison: {found.verdict.value.upper()} (exit code {int(found.exit_code)})", "lead")
    if found.reasons:
        yield Items("Reasons", found.reasons)
    if found.notes:
        yield Items("Notes", found.notes)
    yield Table("Groups", ("group", "record", "runs", "runs that count"), tuple(
        (side.name, side.record, f"{side.runs}", f"{side.valid}") for side in found.sides
    ))  # fmt: skip
    yield from _ratios(found)
    names = tuple(side.name for side in found.sides)
    yield from _unlike("What differs in the plans", found.plans, names)
    yield from _unlike("What differs in the environments", found.environments, names)


def _unlike(title: str, rows: tuple[Unlike, ...], names: tuple[str, ...]) -> Iterator[Block]:
    if rows:
        yield Table(title, ("field", *names), tuple((row.what, *row.values) for row in rows))


def interleaved_blocks(judged: Judged[Any, Interleaved]) -> Iterator[Block]:
    """The comparison of the plans, and each run in its round."""
    result = judged.result
    found = result.comparison
    sides = _by_side(result, found)
    names = tuple(side.name for side in found.sides)
    yield from _ratios(found)
    yield from _unlike("What differs in the plans", found.plans, names)
    yield from _unlike("What differs in the environments", found.environments, names)
    for name in dict.fromkeys(row.name for row in found.rows):
        yield _in_rounds(name, [row for row in found.rows if row.name == name], sides)


def _ratios(found: Comparison) -> Iterator[Block]:
    """The ratios to the first group, with their intervals."""
    rows = [row for row in found.rows if row.ratio is not None]
    if not rows:
        return
    names = {side.name: side.record for side in found.sides}
    dots: list[dict[str, Any]] = [
        {
            "name": f"{row.name}, {row.side}",
            "value": plain(row.ratio),
            "low": plain(row.ratio_low),
            "high": plain(row.ratio_high),
            "open": math.inf in (row.ratio, row.ratio_high),
            "kind": row.difference.value,
        }
        for row in rows
    ]
    data = {"form": "dots", "xLabel": f"times {found.sides[0].name}", "reference": 1, "rows": dots}
    cells = tuple(
        (
            row.name,
            row.side,
            f"{bounded(row.median, least=row.at_least > 0)} {row.unit}".strip(),
            text(row.ratio),
            between(row.ratio_low, row.ratio_high),
            row.difference.value,
        )
        for row in rows
    )
    head = ("number", "group", "median", f"times {found.sides[0].name}", "99 % interval", "difference")
    note = "Each line is the 99 % interval; right of the dashed line is more than the first group. "
    if any(one["open"] for one in dots):
        note += "An arrow: the first group has values of 0, so there is no upper end. "
    if any(row.at_least for row in found.rows):
        note += "≥: values that are only lower bounds are among them. "
    note += ", ".join(f"{name}: {record}" for name, record in names.items())
    says = "; ".join(f"{row.name} of {row.side}: {row.difference.value}" for row in rows) + "."
    yield Plot("Compared with the first group", says, data, Table("Ratios", head, cells), note)


def _by_side(result: Interleaved, found: Comparison) -> Mapping[str, Sequence[OneOfMany]]:
    """The runs of each plan, by its name: the one at each place is that of the round, whether it counts or not."""
    return {side.name: [run for run in result.runs if run.side == at] for at, side in enumerate(found.sides)}


def _in_rounds(name: str, rows: Sequence[CompareRow], sides: Mapping[str, Sequence[OneOfMany]]) -> Plot:
    """One number in each round; a run that does not count leaves a gap in its round."""
    longest = max((len(sides[row.side]) for row in rows), default=0)
    values = {row.side: [_value(run, name) for run in sides[row.side]] for row in rows}
    data = {
        "form": "lines",
        "x": list(range(1, longest + 1)),
        "xLabel": "round",
        "whole": True,
        "yLabel": rows[0].unit,
        "dots": True,
        "series": [
            {"name": side, "y": [None if value is None else plain(value[0]) for value in own]}
            for side, own in values.items()
        ],
    }
    cells = tuple(
        (f"{at + 1}", *(_cell(own[at]) if at < len(own) else NOTHING for own in values.values()))
        for at in range(longest)
    )
    table = Table(f"{name}, {rows[0].unit}", ("round", *values), cells)
    medians = (f"{row.side}: median {bounded(row.median, least=row.at_least > 0)}" for row in rows)
    some = any(value is None for own in values.values() for value in own)
    note = "Runs that do not count leave a gap." if some else ""
    return Plot(f"{name} in each round", f"{', '.join(medians)}.", data, table, note)


def _value(run: OneOfMany, name: str) -> tuple[float, bool] | None:
    """The number in a run, and whether it is only a lower bound; None in a run that does not count."""
    figure = next((figure for figure in run.figures if run.counts and figure.name == name), None)
    return None if figure is None or not figure.values else (statistics.fmean(figure.values), figure.at_least)


def _cell(value: tuple[float, bool] | None) -> str:
    return NOTHING if value is None else bounded(value[0], least=value[1])
