"""The option --repeats of commands that play runs, and the experiment that it makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from coordinator.cli.panels import option
from loadgen.model.errors import PlanError

if TYPE_CHECKING:
    from coordinator.experiment.api import Experiment
    from coordinator.fleet.choice import FleetChoice
    from loadgen.model.http_plan import HttpPlan
    from loadgen.model.plan import SpecPlan

MAX_REPEATS = 1000

repeats_option = option(
    "--repeats",
    type=click.IntRange(1, MAX_REPEATS),
    metavar="N",
    panel="Repeats",
    help=f"Play the whole run N times, 1 to {MAX_REPEATS}, and report the median of the runs; from 6 runs on with a "
    "confidence interval.  [default: 1]",
)


def repeated(
    given: dict[str, Any], plan: SpecPlan | HttpPlan, choice: FleetChoice, *, others: dict[str, Any]
) -> Experiment[Any]:
    """The experiment that plays `plan` once, or as often as --repeats says.

    Raises PlanError when --repeats is given together with one of the options `others` (by their name, with what was
    given), or with workers that join.
    """
    from coordinator.experiment.once import Once

    kind = "spec" if hasattr(plan, "vms") else "http"
    if given["repeats"] is None or given["repeats"] == 1:
        return Once(kind, plan)
    for name, value in others.items():
        if value:
            raise PlanError(f"--repeats cannot be combined with {name}", hint="leave one of them out")
    choice.check_several("--repeats")
    from coordinator.experiment.repeat import Repeat

    return Repeat(plan, given["repeats"])
