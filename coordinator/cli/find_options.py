"""The options that search for a capacity, and the experiment that they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from coordinator.cli.panels import option
from loadgen.model.errors import PlanError

if TYPE_CHECKING:
    from coordinator.experiment.api import Experiment
    from coordinator.fleet.choice import FleetChoice
    from loadgen.model.http_plan import HttpPlan
    from loadgen.model.plan import SpecPlan

F = TypeVar("F", bound=Callable[..., Any])

_PANEL = "Search"
_REPEATS = 4  # loadgen.verdict.capacity.Search.repeats, which a command line does not import
_NAMES = ("find_max", "find_step", "find_repeats")


def find_options(help_text: str, *wanted: str) -> Callable[[F], F]:
    """Add --find, which takes one of `wanted`, and the options that go with it."""

    def add(function: F) -> F:
        for made in reversed(
            (
                option("--find", type=click.Choice(wanted), panel=_PANEL, help=help_text),
                option(
                    "--find-max",
                    type=click.IntRange(min=1),
                    metavar="N",
                    panel=_PANEL,
                    help="Greatest number that --find may try, at least 1.  [default: 1048576]",
                ),
                option(
                    "--find-step",
                    type=click.IntRange(min=1),
                    metavar="N",
                    panel=_PANEL,
                    help="Resolution of --find, at least 1.  [default: a fiftieth of the smallest number that failed]",
                ),
                option(
                    "--find-repeats",
                    type=click.IntRange(min=1),
                    metavar="N",
                    panel=_PANEL,
                    help="How often --find plays the run at the answer, and the run one step above it; at least 1.  "
                    f"[default: {_REPEATS}]",
                ),
            )
        ):
            function = made(function)
        return function

    return add


def check_find(given: dict[str, Any]) -> None:
    """Raise PlanError when an option of --find is given without --find."""
    if given["find"] is None:
        for name in _NAMES:
            if given[name] is not None:
                raise PlanError(f"--{name.replace('_', '-')} needs --find", hint="give --find, or leave it out")


def how_to_repeat(given: dict[str, Any]) -> str:
    """The comment on the plan of a search or of repeated runs; "" for a single run."""
    if given["repeats"]:
        return f"The plan of each run. To repeat the whole, add --repeats {given['repeats']}"
    words = [f"--{name.replace('_', '-')} {given[name]}" for name in ("find", *_NAMES) if given[name] is not None]
    return f"The plan that the search varies. To repeat the search, add {' '.join(words)}" if words else ""


def find_experiment(given: dict[str, Any], plan: SpecPlan | HttpPlan, start: int, *, most: int = 0) -> Experiment[Any]:
    """The search that --find asks for; it begins at `start`.  `most`: the number of VMs that there is room for; 0: any.

    Raises PlanError when the numbers contradict each other.
    """
    from coordinator.experiment.find import FindCapacity
    from coordinator.record.find_result import Wanted
    from loadgen.verdict.capacity import Search

    greatest = given["find_max"] or most or Search.greatest
    if most and greatest > most:
        raise PlanError(
            f"--find-max is {greatest:,}, but targets, addresses or ports are left for {most:,} VMs only",
            hint=f"give --find-max {most} or less",
        )
    if start > greatest:
        raise PlanError(
            f"--find-max is {greatest:,}, but the search begins at {start:,}", hint="begin at a smaller number"
        )
    search = Search(
        start=start, greatest=greatest, step=given["find_step"] or 0, repeats=given["find_repeats"] or Search.repeats
    )
    return FindCapacity(plan, Wanted(given["find"]), search)


def find_rate(given: dict[str, Any], plan: HttpPlan, choice: FleetChoice) -> Experiment[HttpPlan]:
    """The search for the greatest rate of `plan` at which its objectives hold.  Raises PlanError when it has none."""
    others = {"--stages": plan.stages, "-n": plan.total_requests}
    if wrong := [name for name, value in others.items() if value]:
        raise PlanError(
            f"--find chooses the rate itself, and cannot be combined with {' and '.join(wrong)}",
            hint="leave it out; the search begins at --rate, and each run lasts as long as --duration",
        )
    needed = {"a rate to begin at (--rate)": plan.rate_per_s, "objectives (--slo)": plan.slos}
    if missing := [name for name, value in needed.items() if not value]:
        raise PlanError(
            f"--find needs {' and '.join(missing)}", hint="for example: --find rate --rate 100/s --slo 'p99<50ms'"
        )
    choice.check_several("a search")
    return find_experiment(given, plan, max(1, round(plan.rate_per_s)))
