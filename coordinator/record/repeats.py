"""run.json of repeated runs of `loadgen spec` or `loadgen http`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from coordinator.record.header import Header
from coordinator.record.http import HTTP
from coordinator.record.kind import RecordKind
from coordinator.record.spec import SPEC
from loadgen.model.plain import to_plain
from loadgen.model.relative import Better
from loadgen.verdict.figures import Figure
from loadgen.verdict.repeats import OneOfMany, Repeats, RepeatsRow
from loadgen.verdict.result import Verdict


def _write(header: Header[Any], repeats: Repeats | None) -> dict[str, Any]:
    return {
        "plan": header.plan.to_dict(),
        "fleet": header.own_fleet.to_dict(),
        "repeats": repeats.asked if repeats else 0,
        "rows": [_write_row(row) for row in repeats.rows] if repeats else [],
        "runs": [write_run(run) for run in repeats.runs] if repeats else [],
    }


def _write_row(row: RepeatsRow) -> dict[str, Any]:
    sample = row.sample
    return {
        "name": row.name,
        "unit": row.unit,
        "better": row.better.value,
        "values": sample.values,
        "median": sample.median,
        "low": sample.low,
        "high": sample.high,
        "variation": sample.variation,
        "noisy": sample.noisy,
        "outliers": [row.records[at] for at in sample.outliers],
        "drift": dataclasses.asdict(sample.drift) if sample.drift else None,
        "lower_bounds": row.at_least,
    }


def write_run(run: OneOfMany) -> dict[str, Any]:
    """A run of the experiment as plain data; :func:`read_run` reads it back."""
    return {
        "record": run.record,
        "side": run.side,
        "started_at": run.started_at,
        "verdict": run.verdict.value,
        "exit_code": int(run.exit_code),
        "reasons": run.reasons,
        "figures": [to_plain(figure) for figure in run.figures],
    }


def read_run(data: Mapping[str, Any]) -> OneOfMany:
    """The inverse of :func:`write_run`; KeyError, TypeError or ValueError on anything else."""
    figures = ({**one, "values": tuple(one["values"]), "better": Better(one["better"])} for one in data["figures"])
    return OneOfMany(
        record=data["record"],
        side=data["side"],
        started_at=data["started_at"],
        verdict=Verdict(data["verdict"]),
        reasons=tuple(data["reasons"]),
        figures=tuple(Figure(**one) for one in figures),
    )


def _read(document: Mapping[str, Any]) -> Repeats:
    return Repeats(asked=document["repeats"], runs=tuple(read_run(data) for data in document["runs"]))


def nothing_of_its_own(plain: object) -> tuple[()]:
    """Raise ValueError: such a record has no intervals."""
    raise ValueError("this record has no intervals: they are in the records of its runs")


def _kind(read_plan: Callable[[dict[str, Any]], Any], conceal: Callable[[Any], Any]) -> RecordKind[Any, Repeats]:
    return RecordKind(
        read_plan=read_plan,
        write=_write,
        read=_read,
        measured=nothing_of_its_own,
        runs=lambda repeats: [run.record for run in repeats.runs],
        conceal=conceal,
    )


SPEC_REPEATS = _kind(SPEC.read_plan, SPEC.conceal)
HTTP_REPEATS = _kind(HTTP.read_plan, HTTP.conceal)
