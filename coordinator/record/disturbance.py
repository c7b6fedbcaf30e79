"""The disturbed seconds of a run in run.json: the part that all runs with load machines share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from loadgen.verdict.disturbance import Dependence, Disturbance, Disturbed, Observed, Without
from loadgen.verdict.disturbance_rules import Cause


def write_disturbance(found: Disturbance | None) -> dict[str, Any]:
    """The field `disturbance`; none when no second was watched, as in records of earlier versions."""
    if found is None:
        return {}
    part = {
        "measured_s": found.measured_s,
        "disturbed_s": found.disturbed_s,
        "left_out_s": found.left_out_s,
        "verdict_depends": found.dependence.value,
        "sentence": found.sentence,
        "without": None if found.without is None else dataclasses.asdict(found.without),
        "machines": [dataclasses.asdict(one) for one in found.machines],
        "spans": [
            {
                "machine": span.machine,
                "first_s": span.first_s,
                "last_s": span.last_s,
                **dataclasses.asdict(span.cause),
            }
            for span in found.spans
        ],
        **({"undecided": list(found.undecided)} if found.undecided else {}),
    }
    return {"disturbance": part}


def read_disturbance(document: Mapping[str, Any]) -> Disturbance | None:
    """The inverse of :func:`write_disturbance`.  KeyError, TypeError or ValueError if the field is malformed."""
    part = document.get("disturbance")
    if part is None:
        return None
    without = part["without"]
    return Disturbance(
        measured_s=part["measured_s"],
        disturbed_s=part["disturbed_s"],
        left_out_s=part["left_out_s"],
        machines=tuple(Observed(**one) for one in part["machines"]),
        spans=tuple(_read_span(one) for one in part["spans"]),
        dependence=Dependence(part["verdict_depends"]),
        without=None if without is None else Without(**{**without, "changes": tuple(without["changes"])}),
        undecided=tuple(part.get("undecided", ())),
    )


def _read_span(data: Mapping[str, Any]) -> Disturbed:
    own = {name: data[name] for name in ("machine", "first_s", "last_s")}
    return Disturbed(**own, cause=Cause(**{name: value for name, value in data.items() if name not in own}))
