"""The option --check-headroom, and the experiment that it makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from coordinator.cli.panels import option
from loadgen.model.errors import PlanError

if TYPE_CHECKING:
    from coordinator.experiment.api import Experiment
    from coordinator.fleet.choice import FleetChoice
    from loadgen.model.http_plan import HttpPlan
    from loadgen.model.plan import SpecPlan

F = TypeVar("F", bound=Callable[..., Any])

AGAIN = "To repeat the check of the headroom, add --check-headroom"
"""The comment on a printed plan."""

headroom_option = option(
    "--check-headroom",
    is_flag=True,
    panel="Engines",
    help="After the run, play it again with one engine more, and against a null responder, and say how far the load "
    "generator was from being the limit.",
)


def headroom_experiment(plan: SpecPlan | HttpPlan, choice: FleetChoice, *, several: bool) -> Experiment[Any]:
    """The experiment of --check-headroom; `several`: the command already has several runs.

    Raises PlanError when it cannot be played.
    """
    from coordinator.experiment.headroom import CheckHeadroom

    if several:
        raise PlanError(
            "--check-headroom asks about one run, but a sweep or a search has several",
            hint="check the headroom at the numbers of one of the runs",
        )
    choice.check_several("--check-headroom")
    return CheckHeadroom(plan, choice)
