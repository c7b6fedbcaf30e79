"""Plans of `loadgen spec` and `loadgen http` from files, as --plan of these commands reads them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordinator.cli.fleet_options import take_choice
from coordinator.cli.panels import CONTEXT
from coordinator.cli.plan_options import start_from
from loadgen.model.errors import PlanError

if TYPE_CHECKING:
    from coordinator.fleet.choice import FleetChoice
    from loadgen.model.http_plan import HttpPlan
    from loadgen.model.plan import SpecPlan


def read_plans(files: tuple[Path, ...]) -> tuple[tuple[SpecPlan | HttpPlan, ...], FleetChoice]:
    """The plans of the files, and the load machines that all of them choose.

    Raises PlanError when a file is none, and when the plans are of different commands or choose different machines.
    """
    found = [_read(file) for file in files]
    plans, choices = tuple(plan for plan, _ in found), [choice for _, choice in found]
    for file, plan, choice in zip(files, plans, choices, strict=True):
        if type(plan) is not type(plans[0]):
            raise PlanError(
                f"{files[0]} and {file} are plans of different commands", hint="compare plans of the same command"
            )
        if choice != choices[0]:
            raise PlanError(f"{files[0]} and {file} choose different load machines", hint="give both the same [fleet]")
    return plans, choices[0]


def _read(file: Path) -> tuple[SpecPlan | HttpPlan, FleetChoice]:
    is_http = start_from("http", file, None, fleet=True).sets("requests")
    return _http(file) if is_http else _spec(file)


def _http(file: Path) -> tuple[HttpPlan, FleetChoice]:
    from coordinator.cli.http import http, make_plan
    from coordinator.run.ready import check_credentials

    given = _given(http, file)
    start = start_from("http", file, None, fleet=True)
    choice = take_choice(given, given["engines"], start)
    plan = make_plan(start, (), given)
    check_credentials(plan)
    return plan, choice


def _spec(file: Path) -> tuple[SpecPlan, FleetChoice]:
    from coordinator.cli.spec import check_fleet, make_plan, spec
    from deploy.vms.catalog import choose_for

    given = _given(spec, file)
    start = start_from("spec", file, None, fleet=True)
    choice = take_choice(given, given["engines"], start)
    plan = make_plan(start, None, None, given, driver=None)
    choose_for(plan.vm_driver, plan.targets, plan.vm_limits, plan.vm_address)
    check_fleet(choice, plan, several=True)
    return plan, choice


def _given(command: Any, file: Path) -> dict[str, Any]:
    """The options of `command --plan FILE`, as that command gets them."""
    # A command keeps the help option that it created first.
    context = command.make_context(command.name, ["--plan", str(file)], **CONTEXT)
    return dict(context.params)
