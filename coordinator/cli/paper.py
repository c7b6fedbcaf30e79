"""`loadgen paper`: all experiments of the paper that loadgen grew from, on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from coordinator.cli.options import Parsed, result_options
from coordinator.cli.panels import command, option
from coordinator.cli.plan_options import Start, plan_options, show_plan, start_from
from coordinator.cli.playing import play
from coordinator.cli.watch_options import watch_options
from coordinator.output.web.watch import Watch
from deploy.commands.catalog import ENVIRONMENTS
from deploy.vms.catalog import CONFINED, DRIVERS, choose, default_name
from loadgen.model.address import parse_address
from loadgen.model.entry import choices_help
from loadgen.model.errors import PlanError
from loadgen.model.paper import STEPS, Experiment, PaperPlan, Profile, parse_experiments
from loadgen.model.plan import Server
from loadgen.model.probe import IPERF_PORT

_WHAT, _HOW = "Experiments", "VMs and load"
_DEFAULT = PaperPlan()


def parse_peer(text: str) -> tuple[str, int]:
    """Return host and port of a text like `192.0.2.7` or `192.0.2.7:5201`.  Raises PlanError."""
    return parse_address(text) if ":" in text else parse_address(f"{text}:{IPERF_PORT}")


@command()
@option(
    "--quick/--full",
    "quick",
    default=None,
    panel=_WHAT,
    help="Less than 20 minutes on two cores; or repetitions and durations like the paper's, and a search for the "
    "capacity, about two hours.  [default: quick]",
)
@option(
    "--steps",
    type=Parsed("experiments", parse_experiments),
    metavar="NAME[,NAME...]",
    panel=_WHAT,
    help=f"Experiments to play: {', '.join(one.value for one in Experiment)}, or all.  [default: all; with --quick, "
    f"all but {', '.join(one.value for one in Experiment if one not in STEPS[Profile.QUICK])}]",
)
@option(
    "--vm-driver",
    type=click.Choice(list(DRIVERS)),
    panel=_HOW,
    help="How the VMs of spec, capacity and pack are run; a driver that starts them.  "
    f"[default: {CONFINED} as root, else {default_name(with_targets=False)}]",
)
@option(
    "--server",
    type=click.Choice([server.value for server in Server]),
    panel=_HOW,
    help="Web server of the VMs; auto takes nginx, else apache, else builtin.  [default: apache where it is installed, "
    "as in the paper, else auto]",
)
@option(
    "--peer",
    type=Parsed("address", parse_peer),
    metavar="HOST[:PORT]",
    panel=_HOW,
    help="Server of loadgen iperf --server, or stock iperf3 -s, on another machine, for the experiment tcp.  "
    "[default: a network that is built on this machine, as root]",
)
@option(
    "--env",
    "environments",
    type=click.Choice(list(ENVIRONMENTS)),
    multiple=True,
    panel=_HOW,
    help="Environment of the experiments that play a command (dbench, compile, micro, postgresql); repeat it for each. "
    f"The others are compared with the first. {choices_help(ENVIRONMENTS)}.  "
    f"[default: {', '.join(_DEFAULT.environments)}]",
)
@option("--seed", type=int, metavar="N", panel=_HOW, help="Seed of workloads and of the order of trials.  [default: 1]")
@plan_options
@watch_options
@result_options("paper")
def paper(
    plan_file: Path | None,
    replay: Path | None,
    print_plan: bool,
    out: Path | None,
    as_json: bool,
    watch: Watch,
    **given: Any,
) -> int:
    """Play the experiments of the paper on this machine, and show the paper's figures beside those of this machine.

    Each experiment has a record of its own below that of the whole. One that cannot be played here is named with its
    reason, and one that fails does not end the others. loadgen resume continues after a stop.
    """
    plan = _plan(start_from("paper", plan_file, replay, fleet=False), given)
    if not choose(plan.vm_driver).starts_servers:
        raise PlanError(f"the VM driver {plan.vm_driver} starts no VMs", hint="choose another --vm-driver")
    from coordinator.experiment.paper import Paper

    experiment = Paper(plan)
    minutes = round(experiment.progress(()).left_ns / 60e9) + 1
    about = f"{len(plan.steps)} experiment{'s' if len(plan.steps) > 1 else ''}, about {minutes} min in all"
    if print_plan:
        return show_plan(plan, comment=about)
    _say(f"· {about}: {', '.join(one.value for one in plan.in_order)}")
    return play(experiment, out=out, as_json=as_json, html=given["html"], watch=watch)


def _plan(start: Start, given: dict[str, Any]) -> PaperPlan:
    """Return the plan that the options make from `start`.  Raises PlanError."""
    quick, steps = given["quick"], given["steps"]
    profile = None if quick is None else Profile.QUICK if quick else Profile.FULL
    if steps is None and profile is not None:
        steps = STEPS[profile]
    driver = given["vm_driver"]
    if driver is None and not start.sets("vm_driver"):
        driver = CONFINED if os.geteuid() == 0 else default_name(with_targets=False)
    server = Server(given["server"]) if given["server"] else None
    if server is None and not start.sets("server"):
        server = _paper_server()
    host, port = given["peer"] or (None, None)
    return start.read(
        PaperPlan.from_dict,
        profile=profile,
        steps=steps,
        vm_driver=driver,
        server=server,
        peer=host,
        peer_port=port,
        environments=given["environments"] or None,
        engines=None if start.sets("engines") else len(os.sched_getaffinity(0)),
        seed=given["seed"],
    )


def _paper_server() -> Server:
    """The web server of the paper, Apache, where it is installed."""
    from deploy.servers.apache import find

    return Server.APACHE if find() is not None else Server.AUTO


def _say(text: str) -> None:
    from coordinator.output.streams import stderr_console

    stderr_console().print(text, markup=False, highlight=False, soft_wrap=True)
