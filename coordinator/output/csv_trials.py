"""The trials of `loadgen relative` as CSV: one row for each number of each VM in each trial."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import TextIO

from loadgen.measure.trials import Round
from loadgen.model.units import NS_PER_S

TRIAL_COLUMNS = ("round", "position", "environment", "vm", "wall_s", "cpu_s", "metric", "value", "unit", "others_share")
"""The columns of trials."""


def write_trials(rounds: Sequence[Round], stream: TextIO) -> None:
    """Write the header line and the rows; without numbers of its own, a VM has one row with an empty metric."""
    writer = csv.DictWriter(stream, TRIAL_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for trial in (trial for one in rounds for trial in one.trials):
        for copy in trial.copies:
            row = {
                "round": trial.round,
                "position": trial.position,
                "environment": trial.environment,
                "vm": copy.vm,
                "wall_s": f"{copy.wall_ns / NS_PER_S:.6f}",
                "cpu_s": f"{copy.cpu_ns / NS_PER_S:.6f}" if copy.cpu_ns >= 0 else "",
                "others_share": f"{trial.others_share:.4f}" if trial.others_share >= 0 else "",
            }
            for number in copy.numbers:
                writer.writerow({**row, "metric": number.name, "value": f"{number.value:g}", "unit": number.unit})
            if not copy.numbers:
                writer.writerow(row)
