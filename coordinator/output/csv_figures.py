"""The numbers of `loadgen paper` as CSV: one row for each, with the paper's figures beside it."""

from __future__ import annotations

import csv
from typing import TextIO

from coordinator.output.judged import Judged
from loadgen.model.paper import PaperPlan
from loadgen.verdict.paper import PaperResult
from loadgen.verdict.paper_figures import PARTS, Printed

FIGURE_COLUMNS = (
    "experiment",
    "source",
    "verdict",
    "number",
    "here",
    "here_low",
    "here_high",
    "here_of",
    "here_at_least",
    "paper_linux",
    "paper_vserver",
    "paper_xen",
)
"""The columns of the paper's experiments."""


def write_figures(judged: Judged[PaperPlan, PaperResult], stream: TextIO) -> None:
    """Write the header line, and a row for each number; an experiment without numbers has one row."""
    writer = csv.DictWriter(stream, FIGURE_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for step in judged.result.steps:
        part = PARTS[step.experiment]
        verdict = step.verdict.value if step.verdict else step.state.value
        own = {"experiment": step.experiment.value, "source": part.source, "verdict": verdict}
        if not step.ours:
            writer.writerow(own)
        for one in step.ours:
            printed = part.printed.get(one.key, Printed())
            writer.writerow(
                {
                    **own,
                    "number": one.what,
                    "here": _cell(one.value),
                    "here_low": _cell(one.low),
                    "here_high": _cell(one.high),
                    "here_of": _cell(one.of),
                    "here_at_least": int(one.at_least),
                    "paper_linux": printed.linux,
                    "paper_vserver": printed.vserver,
                    "paper_xen": printed.xen,
                }
            )


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
