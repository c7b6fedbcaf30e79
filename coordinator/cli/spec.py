"""`loadgen spec`: the SPECweb99-style run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coordinator.cli.engine_options import engine_options, sending, source_option
from coordinator.cli.find_options import check_find, find_experiment, find_options, how_to_repeat
from coordinator.cli.fleet_options import check_installed, engines_here, fleet_options, take_choice
from coordinator.cli.headroom_options import AGAIN, headroom_experiment, headroom_option
from coordinator.cli.options import DURATION, FILE, RATE, Parsed, parse_counts, result_options
from coordinator.cli.panels import command, option
from coordinator.cli.plan_options import Start, override, plan_options, show_plan, start_from
from coordinator.cli.playing import play
from coordinator.cli.repeat_options import repeated, repeats_option
from coordinator.cli.vm_limit_options import chosen_limits, vm_limit_options
from coordinator.cli.watch_options import watch_options
from coordinator.cli.workload_options import base_plan, workload_option
from coordinator.output.web.watch import Watch
from deploy.vms.catalog import DRIVERS, choose, choose_for, default_name
from loadgen.model.addresses import is_network, room_in
from loadgen.model.bound import Bound
from loadgen.model.entry import choices_help
from loadgen.model.errors import PlanError
from loadgen.model.pack import MAX_PORT
from loadgen.model.plan import FULL, PROFILES, LastAd, OnLoss, Server, SpecPlan
from loadgen.model.units import NS_PER_S, counted, format_duration

if TYPE_CHECKING:
    from coordinator.experiment.api import Experiment
    from coordinator.fleet.choice import FleetChoice
    from loadgen.model.target import Target

_DRIVEN, _LOAD, _TIME = "VMs", "Load, and when it conforms", "Time"
_FIND_NS = 10 * NS_PER_S  # the window of each run of a search: the answer comes from a dozen runs or more


def _default(name: str) -> str:
    """Return the defaults of a duration, for the help text."""
    durations = (f"{format_duration(getattr(phases, name))} {profile}" for profile, phases in PROFILES.items())
    return f"[default: {', '.join(durations)}]"


@command()
@option(
    "--vms",
    type=Parsed("counts", parse_counts),
    metavar="N,N,...",
    panel=_DRIVEN,
    help="Number of VMs, at least 1: web servers to start, each on its own port. A list runs a sweep: 1,4,16.  "
    "[default: 16]",
)
@option(
    "--vm-driver",
    type=click.Choice(tuple(DRIVERS)),
    panel=_DRIVEN,
    help=f"How VMs come up. {choices_help(DRIVERS)}.  [default: {default_name(with_targets=False)}; "
    f"{default_name(with_targets=True)} with --targets]",
)
@option(
    "--targets",
    type=FILE,
    panel=_DRIVEN,
    help="Drive servers that run elsewhere: a TOML file with [[target]] tables (name, host, port, weight). With "
    "--vms, the first N of them.",
)
@option(
    "--server",
    type=click.Choice([server.value for server in Server]),
    panel=_DRIVEN,
    help="Web server of the VMs; auto takes nginx, else apache, else builtin.  [default: auto]",
)
@option(
    "--vm-address",
    metavar="ADDRESS",
    panel=_DRIVEN,
    help="IP address at which the VMs listen; load machines must reach it. With the drivers ns and qemu also a "
    "network, such as 198.18.0.0/15, in which each VM has an address of its own.  [default: 127.0.0.1]",
)
@option(
    "--base-port",
    type=int,
    metavar="PORT",
    panel=_DRIVEN,
    help="Port of the first VM, 1 to 65535; the next VMs take the next ports.  [default: any free ports]",
)
@option(
    "--fileset-per-vm/--shared-fileset",
    default=None,
    panel=_DRIVEN,
    help="Give each VM its own copy of the file set, or let all VMs serve the same one.  [default: shared]",
)
@vm_limit_options(_DRIVEN)
@workload_option(panel=_LOAD)
@option(
    "--connections",
    type=int,
    metavar="N",
    panel=_LOAD,
    help="Simultaneous connections per VM, at least 1.  [default: 20]",
)
@option(
    "--bound",
    type=Parsed("bound", Bound.parse),
    panel=_LOAD,
    help="When a connection conforms: rate, rate:320k, or time:2s/4s (its requests: good/tolerable).  "
    "[default: rate:320k]",
)
@option(
    "--line-speed",
    type=RATE,
    panel=_LOAD,
    help="Speed of the line that each connection simulates, in bit/s; at least 8.  [default: 400k]",
)
@option(
    "--paced-reads/--no-paced-reads",
    default=None,
    panel=_LOAD,
    help="Read replies no faster than the line, or as fast as they arrive.  [default: as they arrive]",
)
@option(
    "--timeout",
    type=DURATION,
    panel=_LOAD,
    help="Time without a byte of the reply after which an operation fails; more than 0s.  [default: 10s]",
)
@option(
    "--last-ad",
    type=click.Choice([rule.value for rule in LastAd]),
    panel=_LOAD,
    help="Value of last_ad in the client's cookie: the ad of the previous reply, or a random ad.  [default: previous]",
)
@option(
    "--seed",
    type=int,
    metavar="N",
    panel=_LOAD,
    help="Seed of the random choices; the same seed gives the same operations.  [default: 1]",
)
@source_option(_LOAD)
@engine_options("one per core")
@headroom_option
@fleet_options
@option(
    "--profile",
    type=click.Choice(list(PROFILES)),
    panel=_TIME,
    help="All durations at once: quick (less than 90 s) or full (those of SPECweb99, "
    f"{FULL.total_ns // (60 * NS_PER_S)} min).  [default: quick]",
)
@option(
    "--iterations",
    type=int,
    metavar="N",
    panel=_TIME,
    help="Measured windows, at least 1; the median window is the score.  [default: 3]",
)
@option(
    "--ramp-up",
    type=DURATION,
    panel=_TIME,
    help=f"Time before each iteration in which the connections start.  {_default('ramp_up_ns')}",
)
@option(
    "--warmup",
    type=DURATION,
    panel=_TIME,
    help=f"Load before the first iteration that is not judged.  {_default('warmup_ns')}",
)
@option(
    "--duration",
    type=DURATION,
    panel=_TIME,
    help=f"Measured window of an iteration, at least 1s.  {_default('measure_ns')}",
)
@option(
    "--ramp-down",
    type=DURATION,
    panel=_TIME,
    help=f"Time after the measured window in which the load continues.  {_default('ramp_down_ns')}",
)
@find_options(
    "Find the greatest number of connections per VM, or of VMs, at which all runs conform: runs at several numbers, "
    "each with one iteration, of 10 s in the quick profile. Begins at --connections or --vms.",
    "connections",
    "vms",
)
@repeats_option
@plan_options
@watch_options
@result_options("spec")
def spec(
    vms: tuple[int, ...] | None,
    vm_driver: str | None,
    targets: Path | None,
    plan_file: Path | None,
    replay: Path | None,
    print_plan: bool,
    check_headroom: bool,
    out: Path | None,
    as_json: bool,
    watch: Watch,
    **given: Any,
) -> int:
    """Measure how many connections conform: SPECweb99-style load on many web servers at once.

    Starts one web server per VM, and drives all of them at the same time, each connection at 400 kbit/s. Counts the
    connections that keep at least 320 kbit/s with at most 1 % errors. Results are "SPECweb99-style": never a SPEC
    score.
    """
    check_find(given)
    start = start_from("spec", plan_file, replay, fleet=True)
    choice = take_choice(given, given["engines"], start)
    plan = make_plan(start, vms, _chosen_targets(targets, vms), given, driver=vm_driver)
    choose_for(plan.vm_driver, plan.targets, plan.vm_limits, plan.vm_address)
    sweep = vms if vms is not None and len(vms) > 1 else ()
    others = {"--find": given["find"], "a list of --vms": sweep, "--check-headroom": check_headroom}
    once = repeated(given, plan, choice, others=others)
    if check_headroom:
        experiment = headroom_experiment(plan, choice, several=bool(sweep or given["find"]))
    else:
        experiment = _experiment(plan, sweep, given, once)
    check_fleet(choice, plan, several=bool(sweep or given["find"]))
    if print_plan:
        return _print(plan, choice, sweep, given, again=AGAIN if check_headroom else "")
    check_installed(choice)
    engines = engines_here(choice, plan.engines)
    return play(experiment, fleet=choice, out=out, as_json=as_json, html=given["html"], engines=engines, watch=watch)


def _experiment(
    plan: SpecPlan, sweep: tuple[int, ...], given: dict[str, Any], once: Experiment[SpecPlan]
) -> Experiment[SpecPlan]:
    """The search or the sweep that the options ask for; `once` without one."""
    if given["find"]:
        if sweep:
            raise PlanError("--find chooses the numbers itself, but --vms is a list", hint="give one number of VMs")
        if given["find"] == "vms":
            return find_experiment(given, plan, plan.vms, most=_room(plan))
        return find_experiment(given, plan, plan.connections)
    if sweep:
        from coordinator.experiment.sweep import VmSweep

        return VmSweep(plan, sweep)
    return once


def _room(plan: SpecPlan) -> int:
    """The number of VMs for which the plan has targets, addresses or ports; 0 when it sets no limit."""
    if plan.targets:
        return len(plan.targets)
    if is_network(plan.vm_address):
        return room_in(plan.vm_address)
    return MAX_PORT + 1 - plan.base_port if plan.base_port else 0


def _print(
    plan: SpecPlan, choice: FleetChoice, sweep: tuple[int, ...], given: dict[str, Any], *, again: str = ""
) -> int:
    points = ",".join(map(str, sweep))
    comment = f"The last point of the sweep. To repeat the whole sweep, add --vms {points}" if sweep else ""
    return show_plan(plan, choice, comment=comment or how_to_repeat(given) or again)


def check_fleet(choice: FleetChoice, plan: SpecPlan, *, several: bool) -> None:
    """Raise PlanError when the load machines cannot reach the VMs, or cannot be used for several runs."""
    from coordinator.run.ready import check_reach

    check_reach(plan, choice)
    if several:
        choice.check_several("a sweep or a search")


def _chosen_targets(file: Path | None, vms: tuple[int, ...] | None) -> tuple[Target, ...] | None:
    """Return the targets of the file, as many as --vms asks for; None without a file.  Raises PlanError."""
    if file is None:
        return None
    from deploy.targets import load

    found = load(file)
    if vms and vms[-1] > len(found):
        raise PlanError(
            f"--vms asks for {vms[-1]} VMs, but {file} has {counted(len(found), 'target')}",
            hint="give a smaller number with --vms, or list more servers in the file",
        )
    return found[: vms[-1]] if vms else found


def make_plan(
    start: Start,
    vms: tuple[int, ...] | None,
    targets: tuple[Target, ...] | None,
    given: dict[str, Any],
    *,
    driver: str | None,
) -> SpecPlan:
    """Return the plan that the options make from `start`; for a sweep, the plan of its last point.

    Raises PlanError.
    """
    base = base_plan(start, given["workload"])
    quick = given["profile"] in (None, "quick") and not start.sets("phases")
    shortened = bool(given["find"]) and quick and given["duration"] is None
    phases = override(
        base.phases if given["profile"] is None else PROFILES[given["profile"]],
        ramp_up_ns=given["ramp_up"],
        warmup_ns=given["warmup"],
        measure_ns=_FIND_NS if shortened else given["duration"],
        ramp_down_ns=given["ramp_down"],
        iterations=1 if given["find"] and given["iterations"] is None else given["iterations"],
    )
    count = vms[-1] if vms else len(targets) if targets else base.vms
    connections = base.connections if given["connections"] is None else given["connections"]
    fewest = vms[0] if vms else count  # all points of a sweep use the same number of engines
    engines = given["engines"]
    if engines is None and not start.sets("engines"):
        engines = max(1, min(len(os.sched_getaffinity(0)), fewest * connections))
    if targets is None and (vms or (driver is not None and choose(driver).starts_servers)):
        targets = ()  # the option overrides the targets of the plan file
    return override(
        base,
        vms=count,
        vm_driver=_driver_name(base, driver, targets),
        targets=targets,
        connections=connections,
        server=Server(given["server"]) if given["server"] else None,
        fileset_per_vm=given["fileset_per_vm"],
        vm_address=given["vm_address"],
        base_port=given["base_port"],
        vm_limits=chosen_limits(base.vm_limits, given),
        phases=phases,
        bound=given["bound"],
        line_bps=given["line_speed"],
        paced_reads=given["paced_reads"],
        timeout_ns=given["timeout"],
        last_ad=LastAd(given["last_ad"]) if given["last_ad"] else None,
        engines=engines,
        on_loss=OnLoss(given["on_loss"]) if given["on_loss"] else None,
        seed=given["seed"],
        **sending(given),
    )


def _driver_name(base: SpecPlan, driver: str | None, targets: tuple[Target, ...] | None) -> str:
    """The `vm_driver` of the plan: "" for the default, so that equal runs have equal plans.

    `driver` and `targets` are those of the options; they override the plan `base`.
    """
    name = base.vm_driver if driver is None else driver
    with_targets = bool(base.targets if targets is None else targets)
    if name and driver is None and targets is not None and choose(name).starts_servers is with_targets:
        return ""  # the plan file's driver does not fit with the targets of the options
    return "" if name == default_name(with_targets=with_targets) else name
