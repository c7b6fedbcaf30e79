"""Plots of experiments that consist of several runs: sweep, search, repeats, comparison, headroom, environments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from coordinator.output.html.blocks import Block, Plot, Table
from coordinator.output.html.numbers import between, plain, text
from coordinator.output.judged import Judged
from coordinator.record.find_result import Find, Wanted
from coordinator.record.headroom_result import HeadroomResult, Role
from coordinator.record.interleaved_result import Interleaved
from coordinator.record.sweep_result import Sweep
from loadgen.verdict.compare_result import Comparison
from loadgen.verdict.paper import PaperResult
from loadgen.verdict.paper_figures import PARTS, Printed
from loadgen.verdict.relative_result import RelativeResult
from loadgen.verdict.repeats import Repeats
from loadgen.verdict.result import RunResult, Verdict


def grouped(
    title: str,
    groups: Sequence[str],
    names: Sequence[str],
    bars: Sequence[dict[str, Any]],
    *,
    unit: str,
    of: str,
    note: str = "",
) -> Plot:
    """A plot of grouped bars.  Each of `bars` has `group`, `name` and `value`, and may have `low`, `high` and `why`."""
    by = {(one["group"], one["name"]): one for one in bars}

    def cell(one: dict[str, Any] | None) -> str:
        if one is None:
            return "-"
        if one["value"] is None:
            return str(one.get("why", "-"))
        spread = between(one.get("low"), one.get("high"))
        return text(one["value"]) + ("" if spread == "-" else f" ({spread})")

    rows = tuple((group, *(cell(by.get((group, name))) for name in names)) for group in groups)
    known = [one for one in bars if one["value"] is not None]
    best = max(known, key=lambda one: one["value"], default=None)
    says = (
        "Nothing is known."
        if best is None
        else (f"The highest is {best['name']} at {best['group']}: {text(best['value'])} {unit}.")
    )
    plain_bars = [
        {**one, **{name: plain(one[name]) for name in ("value", "low", "high") if one.get(name) is not None}}
        for one in bars
    ]
    data = {
        "form": "bars",
        "groups": list(groups),
        "names": list(names),
        "bars": plain_bars,
        "valueLabel": unit,
        "groupLabel": of,
    }
    return Plot(title, says, data, Table(f"{title}, {unit}", (of, *names), rows), note)


def sweep_blocks(judged: Judged[Any, Sweep]) -> Iterator[Block]:
    """Figure 4: conforming connections by number of VMs, with the range of the iterations."""
    points = judged.result.points
    groups = [f"{point.vms} VM{'s' * (point.vms != 1)}" for point in points]
    whole, each, rates = [], [], []
    for group, point in zip(groups, points, strict=True):
        result = point.result
        whole += [{"group": group, "name": "asked", "value": result.requested_connections}, _score(group, result, 1)]
        each.append(_score(group, result, point.vms, "mean of the VMs"))
        rates.append(_rate(group, result))
    note = "Lines: from the lowest to the highest iteration. The bar is the median iteration."
    yield grouped(
        "Conforming connections, all VMs together (Figure 4)", groups, ("asked", "conform"), whole,
        unit="connections", of="number of VMs", note=note,
    )  # fmt: skip
    yield grouped(
        "Conforming connections of a VM", groups, ("mean of the VMs",), each,
        unit="connections", of="number of VMs", note=note,
    )  # fmt: skip
    yield grouped(
        "Operations per second, all VMs together", groups, ("operations/s",), rates,
        unit="operations/s", of="number of VMs", note=note,
    )  # fmt: skip


def _score(group: str, result: RunResult, of: int, name: str = "conform") -> dict[str, Any]:
    if not result.has_score or result.conforming_connections is None:
        return {"group": group, "name": name, "value": None, "why": result.verdict.value}
    found = [one.conforming / of for one in result.iterations if one.complete and one.conforming is not None]
    spread = {"low": min(found), "high": max(found)} if len(found) > 1 else {}
    return {"group": group, "name": name, "value": result.conforming_connections / of, **spread}


def _rate(group: str, result: RunResult) -> dict[str, Any]:
    if result.median < 0:
        return {"group": group, "name": "operations/s", "value": None, "why": "nothing measured"}
    found = [one.ops_per_s for one in result.iterations if one.complete]
    spread = {"low": min(found), "high": max(found)} if len(found) > 1 else {}
    invalid = not result.has_score
    value = None if invalid else result.iterations[result.median].ops_per_s
    return {
        "group": group,
        "name": "operations/s",
        "value": value,
        "why": result.verdict.value,
        **({} if invalid else spread),
    }


_UNITS = {Wanted.CONNECTIONS: "connections per VM", Wanted.VMS: "VMs", Wanted.RATE: "requests/s asked"}


def find_blocks(judged: Judged[Any, Find]) -> Iterator[Block]:
    """The capacity curve with all runs of the search."""
    find = judged.result
    x_label = _UNITS[find.wanted]
    y_label = "answered requests/s" if find.wanted is Wanted.RATE else "conforming connections"
    shown = [(at, step) for at, step in enumerate(find.steps, start=1) if step.reached is not None]
    asked = sorted({(step.value, step.asked) for _, step in shown})
    capacity = find.capacity
    answer = [(float(capacity.low), float(capacity.high))] if capacity.value and capacity.high else []
    kinds = list(dict.fromkeys(step.verdict.value for _, step in shown))
    data = {
        "form": "points",
        "whole": True,
        "xLabel": x_label,
        "yLabel": y_label,
        "kinds": kinds,
        "points": [
            {"x": plain(step.value), "y": plain(step.reached), "kind": step.verdict.value, "name": f"run {at}"}
            for at, step in shown
        ],
        "line": [[plain(value), plain(of)] for value, of in asked],
        "bands": [{"kind": "answer", "spans": [[low, high]]} for low, high in answer],
    }
    rows = tuple(
        (
            f"{at}",
            f"{step.value:,}",
            text(step.asked),
            text(step.reached),
            text(step.p99_ms),
            step.verdict.value + (", stopped early" if step.stopped_early else ""),
            step.record if step.started else "did not start",
        )
        for at, step in enumerate(find.steps, start=1)
    )
    head = ("run", find.wanted.value, "asked", y_label, "p99, ms", "verdict", "record")
    without = len(find.steps) - len(shown)
    note = "Dashed: what was asked for. Shaded: the interval of the answer."
    note += f" {without} runs that say nothing about the servers are in the table only." if without else ""
    says = (
        f"The answer is {find.wanted.words(capacity.value)}, between {capacity.low:,} and {capacity.high:,}."
        if answer
        else "There is no interval."
    )
    yield Plot("All runs of the search", says, data, Table("The runs in their order", head, rows), note)


def repeats_blocks(judged: Judged[Any, Repeats]) -> Iterator[Block]:
    """Each number of each run, in their order, with the median and its interval."""
    for row in judged.result.rows:
        sample = row.sample
        points = [
            {"x": at, "y": plain(value), "kind": row.name, "name": record}
            for at, (value, record) in enumerate(zip(sample.values, row.records, strict=True), start=1)
        ]
        data = {
            "form": "points",
            "xLabel": "run",
            "whole": True,
            "yLabel": row.unit or row.name,
            "kinds": [row.name],
            "points": points,
            "line": [[1, plain(sample.median)], [len(points), plain(sample.median)]],
        }
        interval = between(sample.low, sample.high)
        note = f"Dashed: the median, {text(sample.median)}."
        note += "" if interval == "-" else f" Its 95 % interval is {interval}."
        rows = tuple((record, text(value)) for value, record in zip(sample.values, row.records, strict=True))
        table = Table(f"{row.name}, {row.unit}", ("run", row.name), rows)
        yield Plot(f"{row.name} of each run", f"The median is {text(sample.median)}.", data, table, note)


def compare_blocks(found: Comparison) -> Iterator[Block]:
    """The ratios to the first group, with their intervals."""
    rows = [row for row in found.rows if row.ratio is not None]
    if not rows:
        return
    names = {side.name: side.record for side in found.sides}
    data = {
        "form": "dots",
        "xLabel": f"times {found.sides[0].name}",
        "reference": 1,
        "rows": [
            {
                "name": f"{row.name}, {row.side}",
                "value": plain(row.ratio),
                "low": plain(row.ratio_low),
                "high": plain(row.ratio_high),
                "kind": row.difference.value,
            }
            for row in rows
        ],
    }
    cells = tuple(
        (
            row.name,
            row.side,
            text(row.median),
            text(row.ratio),
            between(row.ratio_low, row.ratio_high),
            row.difference.value,
        )
        for row in rows
    )
    head = ("number", "group", "median", f"times {found.sides[0].name}", "99 % interval", "difference")
    note = "Each line is the 99 % interval; right of the dashed line is more than the first group. "
    note += ", ".join(f"{name}: {record}" for name, record in names.items())
    says = "; ".join(f"{row.name} of {row.side}: {row.difference.value}" for row in rows) + "."
    yield Plot("Compared with the first group", says, data, Table("Ratios", head, cells), note)


def interleaved_blocks(judged: Judged[Any, Interleaved]) -> Iterator[Block]:
    """The comparison of the plans, and each run in its order."""
    found = judged.result.comparison
    yield from compare_blocks(found)
    for name in dict.fromkeys(row.name for row in found.rows):
        rows = [row for row in found.rows if row.name == name]
        data = {
            "form": "lines",
            "x": list(range(1, max((len(row.values) for row in rows), default=0) + 1)),
            "xLabel": "round",
            "whole": True,
            "yLabel": rows[0].unit,
            "dots": True,
            "series": [{"name": row.side, "y": [plain(value) for value in row.values]} for row in rows],
        }
        longest = max((len(row.values) for row in rows), default=0)
        cells = tuple(
            (f"{at + 1}", *(text(row.values[at]) if at < len(row.values) else "-" for row in rows))
            for at in range(longest)
        )
        table = Table(f"{name}, {rows[0].unit}", ("run", *(row.side for row in rows)), cells)
        says = ", ".join(f"{row.side}: median {text(row.median)}" for row in rows) + "."
        yield Plot(f"{name} of each run that counts", says, data, table)


_ROLES = {Role.RUN: "the run", Role.MORE: "one engine more", Role.ALONE: "against a null responder"}


def headroom_blocks(judged: Judged[Any, HeadroomResult]) -> Iterator[Block]:
    """The rates of the run and of the two beside it."""
    steps = judged.result.steps
    groups = [_ROLES[step.role] for step in steps]
    bars = [
        {"group": group, "name": "requests/s", "value": step.per_s, "why": step.verdict.value}
        for group, step in zip(groups, steps, strict=True)
    ]
    yield grouped("Requests per second of each run", groups, ("requests/s",), bars, unit="requests/s", of="run")


def relative_blocks(judged: Judged[Any, RelativeResult]) -> Iterator[Block]:
    """How good each environment is relative to the first."""
    rows = [row for row in judged.result.rows if row.relative is not None]
    if not rows:
        return
    data = {
        "form": "dots",
        "xLabel": "times as good as the first environment",
        "reference": 1,
        "rows": [
            {
                "name": f"{row.environment}: {row.metric}",
                "value": plain(row.relative),
                "low": plain(row.relative_low),
                "high": plain(row.relative_high),
                "kind": row.difference.value,
            }
            for row in rows
        ],
    }
    cells = tuple(
        (
            row.environment,
            row.metric,
            f"{text(row.median)} {row.unit}".strip(),
            text(row.relative),
            between(row.relative_low, row.relative_high),
            f"{row.pairs}",
            row.difference.value,
        )
        for row in rows
    )
    head = ("environment", "metric", "median", "relative", "95 % interval", "rounds", "difference")
    says = "; ".join(f"{row.environment} {row.metric}: {text(row.relative)}" for row in rows) + "."
    yield Plot("Relative performance", says, data, Table("Relative performance", head, cells),
               "Lines: 95 % intervals of the ratios of the rounds. Above 1 is better.")  # fmt: skip


def paper_blocks(judged: Judged[Any, PaperResult]) -> Iterator[Block]:
    """The numbers of this machine beside those that the paper prints as numbers; a plot for each unit."""
    systems = ("here", "Linux", "VServer", "Xen")
    for step in judged.result.steps:
        part = PARTS[step.experiment]
        bars: dict[str, list[dict[str, Any]]] = {}
        for one in step.ours:
            printed = part.printed.get(one.key, Printed())
            paper = [_number(words) for words in (printed.linux, printed.vserver, printed.xen)]
            if all(value is None for value in paper):
                continue
            what, _, unit = one.what.rpartition(", ") if ", " in one.what else (one.what, "", "")
            own = {"value": one.value, "low": one.low, "high": one.high, "why": Verdict.INVALID.value}
            found = bars.setdefault(unit, [])
            found.append({"group": what, "name": "here", **own})
            found += [
                {"group": what, "name": name, "value": value}
                for name, value in zip(systems[1:], paper, strict=True)
                if value is not None
            ]
        for unit, found in bars.items():
            yield grouped(
                f"{part.title} ({part.source})",
                list(dict.fromkeys(bar["group"] for bar in found)),
                systems,
                found,
                unit=unit,
                of="",
                note="The paper's numbers are of other hardware: they are no score against this machine. What the "
                "paper says in words is among the numbers below.",
            )


def _number(words: str) -> float | None:
    try:
        return float(words.replace(",", ""))
    except ValueError:
        return None
