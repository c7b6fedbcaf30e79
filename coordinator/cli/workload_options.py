"""The option --workload, of `loadgen spec` and of the commands that make what its servers need."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from coordinator.cli.options import F
from coordinator.cli.panels import option
from loadgen.model.errors import PlanError
from loadgen.model.plan import SpecPlan
from workloads.catalog import DEFAULT, SPEC, defaults_of

if TYPE_CHECKING:
    from coordinator.cli.plan_options import Start


def workload_option(**settings: Any) -> Callable[[F], F]:
    """The option --workload; `settings` are those of its panel."""
    described = "; ".join(f"{name}: {entry.summary}" for name, entry in SPEC.items())
    return option(
        "--workload",
        type=click.Choice(tuple(SPEC)),
        help=f"What is asked of the servers. {described}.  [default: {DEFAULT}]",
        **settings,
    )


def named(workload: str | None) -> str:
    """The `workload` of a plan: "" for the default, so that equal runs have equal plans."""
    return "" if workload in (None, DEFAULT) else str(workload)


def base_plan(start: Start, workload: str | None) -> SpecPlan:
    """The plan from which the options start; what `start` does not set has the defaults of the workload.

    Raises PlanError, also when `start` has settings for another workload than the option names.
    """
    found = start.data.get("workload", "")
    name = named(found if workload is None else workload)
    defaults = defaults_of(name)
    if workload is not None and name != named(found):
        own = [field for field in {**defaults, **defaults_of(named(found))} if start.sets(field)]
        if own:
            raise PlanError(
                f"{start.name} sets {', '.join(own)} for another workload than {workload}",
                hint="leave out --workload, or begin without that plan",
            )
    return start.read(lambda data: SpecPlan.from_dict({**defaults, **data, "workload": name}))
