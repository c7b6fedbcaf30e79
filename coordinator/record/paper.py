"""run.json of `loadgen paper`: its experiments, each with this machine's numbers beside the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coordinator.record.header import Header
from coordinator.record.kind import RecordKind
from loadgen.model.paper import Experiment, PaperPlan
from loadgen.model.plain import from_plain, to_plain
from loadgen.model.units import NS_PER_S
from loadgen.verdict.paper import Ours, PaperResult, PaperStep, State
from loadgen.verdict.paper_figures import NOT_COMPARABLE, PARTS, Printed
from loadgen.verdict.result import Verdict


def _write(header: Header[PaperPlan], result: PaperResult | None) -> dict[str, Any]:
    return {
        "plan": header.plan.to_dict(),
        "not_comparable": NOT_COMPARABLE,
        "steps": [_step(step) for step in result.steps] if result else [],
    }


def _step(step: PaperStep) -> dict[str, Any]:
    part = PARTS[step.experiment]
    return {
        "experiment": step.experiment.value,
        "state": step.state.value,
        "record": step.record,
        "verdict": step.verdict.value if step.verdict else None,
        "exit_code": int(step.verdict.exit_code) if step.verdict else None,
        "reasons": step.reasons,
        "took_s": step.took_ns / NS_PER_S,
        "source": part.source,
        "method": part.method,
        "differs": part.differs,
        "numbers": [{**to_plain(one), "paper": _printed(part.printed.get(one.key))} for one in step.ours],
    }


def _printed(printed: Printed | None) -> dict[str, str]:
    return {name: text for name, text in to_plain(printed or Printed()).items() if text}


def _read(document: Mapping[str, Any]) -> PaperResult:
    return PaperResult(
        asked=PaperPlan.from_dict(document["plan"]).in_order,
        steps=tuple(_read_step(step) for step in document["steps"]),
    )


def _read_step(data: Mapping[str, Any]) -> PaperStep:
    return PaperStep(
        experiment=Experiment(data["experiment"]),
        state=State(data["state"]),
        record=data["record"],
        verdict=None if data["verdict"] is None else Verdict(data["verdict"]),
        reasons=tuple(data["reasons"]),
        took_ns=round(data["took_s"] * NS_PER_S),
        ours=tuple(_read_number(one) for one in data["numbers"]),
    )


def _read_number(data: Mapping[str, Any]) -> Ours:
    known = {name: value for name, value in data.items() if value is not None and name != "paper"}
    return from_plain(Ours, known, "a number")


def _nothing_of_its_own(plain: object) -> tuple[()]:
    raise ValueError("the record of the paper has no intervals: they are in the records of its experiments")


PAPER = RecordKind(
    read_plan=PaperPlan.from_dict,
    write=_write,
    read=_read,
    measured=_nothing_of_its_own,
    on_fleet=False,
    runs=lambda result: (),  # the records of its experiments name those that hold measurements
)
