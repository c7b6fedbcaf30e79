"""Plots of experiments that consist of several runs: sweep, search, repeats, headroom, environments, the paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from coordinator.output.html.blocks import Block, Plot, Table
from coordinator.output.html.numbers import between, bounded, plain, text
from coordinator.output.judged import Judged
from coordinator.output.terminal.find_report import answer_of
from coordinator.record.find_result import Find, FindStep, Wanted
from coordinator.record.headroom_result import HeadroomResult, Role
from coordinator.record.sweep_result import Sweep
from loadgen.verdict.capacity import Found, Seen
from loadgen.verdict.paper import PaperResult
from loadgen.verdict.paper_figures import PARTS, Printed
from loadgen.verdict.relative_result import RelativeResult
from loadgen.verdict.repeats import Repeats, RepeatsRow
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
    """A plot of grouped bars.

    Each of `bars` has `group`, `name` and `value`, and may have `low`, `high`, `why` (there is no value) and `least`
    (the value is only a lower bound).
    """
    by = {(one["group"], one["name"]): one for one in bars}

    def cell(one: dict[str, Any] | None) -> str:
        if one is None:
            return "-"
        if one["value"] is None:
            return str(one.get("why", "-"))
        spread = between(one.get("low"), one.get("high"))
        return bounded(one["value"], least=one.get("least", False)) + ("" if spread == "-" else f" ({spread})")

    rows = tuple((group, *(cell(by.get((group, name))) for name in names)) for group in groups)
    known = [one for one in bars if one["value"] is not None]
    bounds = any(one.get("least") for one in known)
    best = max(known, key=lambda one: one["value"], default=None)
    says = (
        "Nothing is known."
        if best is None
        else (
            f"The highest {'that is known ' * bounds}is {best['name']} at {best['group']}: "
            f"{bounded(best['value'], least=best.get('least', False))} {unit}."
        )
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
    note = f"{note} ≥: only a lower bound is known.".strip() if bounds else note
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
    if not result.is_comparable or result.conforming_connections is None:
        return {"group": group, "name": name, "value": None, "why": _why_none(result)}
    found = [one.conforming / of for one in result.iterations if one.complete and one.conforming is not None]
    return {"group": group, "name": name, "value": result.conforming_connections / of, **_spread(found)}


def _rate(group: str, result: RunResult) -> dict[str, Any]:
    if not result.is_comparable:
        return {"group": group, "name": "operations/s", "value": None, "why": _why_none(result)}
    found = [one.ops_per_s for one in result.iterations if one.complete]
    return {
        "group": group,
        "name": "operations/s",
        "value": result.iterations[result.median].ops_per_s,
        **_spread(found),
    }


def _spread(found: Sequence[float]) -> dict[str, float]:
    return {"low": min(found), "high": max(found)} if len(found) > 1 else {}


def _why_none(result: RunResult) -> str:
    """Why a run has no bar."""
    if result.verdict in (Verdict.INVALID, Verdict.DEGRADED):
        return str(result.verdict.value)
    if not result.has_score:
        return "not valid"
    return "nothing measured" if result.median < 0 or not result.targets else "not a whole iteration"


_UNITS = {Wanted.CONNECTIONS: "connections per VM", Wanted.VMS: "VMs", Wanted.RATE: "requests/s asked"}


def find_blocks(judged: Judged[Any, Find]) -> Iterator[Block]:
    """The capacity curve with all runs of the search."""
    find = judged.result
    x_label = _UNITS[find.wanted]
    y_label = "answered requests/s" if find.wanted is Wanted.RATE else "conforming connections"
    shown = [(at, step) for at, step in enumerate(find.steps, start=1) if _reached(step) is not None]
    asked = sorted({(step.value, step.asked) for _, step in shown})
    capacity = find.capacity
    is_interval = capacity.found in (Found.EXACT, Found.VARYING) and capacity.high > capacity.low
    answer = [(float(capacity.low), float(capacity.high))] if is_interval else []
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
            text(_reached(step)),
            text(step.p99_ms),
            step.verdict.value + (", stopped early" if step.stopped_early else ""),
            step.record if step.started else "did not start",
        )
        for at, step in enumerate(find.steps, start=1)
    )
    head = ("run", find.wanted.value, "asked", y_label, "p99, ms", "verdict", "record")
    without = len(find.steps) - len(shown)
    note = "Dashed: what was asked for." + (" Shaded: the interval of the answer." if answer else "")
    note += f" Runs that say nothing about the servers are in the table only: {without}." if without else ""
    yield Plot("All runs of the search", _answer(find), data, Table("The runs in their order", head, rows), note)


def _reached(step: FindStep) -> float | None:
    """What a run reached; None when it says nothing about the servers."""
    return None if step.trial.seen is Seen.UNKNOWN else step.reached


def _answer(find: Find) -> str:
    """The answer in a sentence."""
    capacity, answer = find.capacity, answer_of(find)
    if not answer:
        return "There is no answer."
    if capacity.found in (Found.EXACT, Found.VARYING):
        span = f", between {capacity.low:,} and {capacity.high:,}" if capacity.high > capacity.low else ""
        return f"The answer is {answer}{span}."
    if capacity.disagree:
        return f"The search is not over, and its runs disagree: so far, the answer is {answer}."
    return f"The answer is {answer}" + (f", and at most {capacity.high:,}." if capacity.high else ".")


def repeats_blocks(judged: Judged[Any, Repeats]) -> Iterator[Block]:
    """Each number of each run, in their order, with the median and its interval."""
    for row in judged.result.rows:
        yield _repeated(row, _lower_bounds(judged.result, row.name))


def _lower_bounds(repeats: Repeats, name: str) -> frozenset[str]:
    """The records of the runs in which a number is only a lower bound."""
    return frozenset(
        run.record for run in repeats.runs for figure in run.figures if figure.name == name and figure.at_least
    )


def _repeated(row: RepeatsRow, least: frozenset[str]) -> Plot:
    sample = row.sample
    points = [
        {"x": at, "y": plain(value), "kind": row.name, "name": f"{record}{', at least' * (record in least)}"}
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
    interval, median = between(sample.low, sample.high), bounded(sample.median, least=row.at_least > 0)
    note = f"Dashed: the median, {median}."
    note += "" if interval == "-" else f" Its 95 % interval is {interval}."
    note += f" {row.at_least} of {len(points)} values are only lower bounds." if row.at_least else ""
    rows = tuple(
        (record, bounded(value, least=record in least))
        for value, record in zip(sample.values, row.records, strict=True)
    )
    table = Table(f"{row.name}, {row.unit}", ("run", row.name), rows)
    return Plot(f"{row.name} of each run", f"The median is {median}.", data, table, note)


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
            own = {
                "value": one.value,
                "low": one.low,
                "high": one.high,
                "least": one.at_least,
                "why": Verdict.INVALID.value,
            }
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
