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
    if workload is not None and named(workload) != (there := named(found) if found in ("", *SPEC) else ""):
        own = [field for field in {**defaults_of(workload), **defaults_of(there)} if start.sets(field)]
        if own:
            raise PlanError(
                f"{start.name} sets {', '.join(own)} for another workload than {workload}",
                hint="leave out --workload, or begin without that plan",
            )
    return start.read(_completed, workload=workload)


def _completed(data: dict[str, Any]) -> SpecPlan:
    """The plan of these fields, with the defaults of its workload.  Raises PlanError."""
    workload = data.get("workload", "")
    if not isinstance(workload, str):
        return SpecPlan.from_dict(data)  # which says what is wrong
    return SpecPlan.from_dict({**defaults_of(workload), **data, "workload": named(workload)})
