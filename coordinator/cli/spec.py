"""`loadgen spec`: the SPECweb99-style run."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import sys
import tomllib
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click
import tomli_w

from coordinator.cli.engine_options import engine_options, sending, source_option
from coordinator.cli.fleet_options import fleet_options, take_choice
from coordinator.cli.options import Parsed, parse_counts
from coordinator.experiment.once import Once
from coordinator.experiment.session import Session, run_session
from coordinator.experiment.sweep import VmSweep
from coordinator.fleet.choice import FleetChoice, WayKind
from coordinator.output.streams import printing
from coordinator.record.header import KIND_SPEC, KIND_SWEEP
from coordinator.record.reader import load
from deploy.inventory import load as load_targets
from loadgen.agent.extra import require_fleet
from loadgen.model.bound import Bound
from loadgen.model.errors import PlanError
from loadgen.model.plan import PROFILES, LastAd, OnLoss, Phases, Server, SpecPlan
from loadgen.model.target import Target
from loadgen.model.units import format_duration, parse_duration_ns, parse_rate_bps

T = TypeVar("T", Phases, SpecPlan)
_DURATION = Parsed("duration", parse_duration_ns)
_DRIVEN, _LOAD, _TIME = "What is driven", "Load, and when it is served well enough", "Time"
_ENGINE, _PLAN, _RESULT = "Engines", "Plan", "Result"


def _default(name: str) -> str:
    """A duration's defaults, as help shows them."""
    durations = (f"{format_duration(getattr(phases, name))} {profile}" for profile, phases in PROFILES.items())
    return f"[{', '.join(durations)}]"


@click.command()
@click.option(
    "--vms",
    type=Parsed("counts", parse_counts),
    metavar="N,N,...",
    panel=_DRIVEN,
    help="Web servers to start, one per VM, each on its own port. A list runs a sweep: 1,4,16.  [default: 16]",
)
@click.option(
    "--targets",
    type=click.Path(path_type=Path, dir_okay=False),
    panel=_DRIVEN,
    help="Drive servers that run elsewhere: TOML with [[target]] tables (name, host, port, weight). With --vms, "
    "the first N of them.",
)
@click.option(
    "--server",
    type=click.Choice([s.value for s in Server]),
    panel=_DRIVEN,
    help="Web server of the VMs; auto takes nginx, then apache, then builtin.  [default: auto]",
)
@click.option(
    "--vm-address",
    metavar="ADDRESS",
    panel=_DRIVEN,
    help="Where the VMs listen; load machines must reach it.  [default: 127.0.0.1]",
)
@click.option(
    "--base-port",
    type=int,
    metavar="PORT",
    panel=_DRIVEN,
    help="The first VM's port; the others follow.  [default: any free ports]",
)
@click.option(
    "--fileset-per-vm/--shared-fileset",
    default=None,
    panel=_DRIVEN,
    help="Each VM serves a copy of its own of the file set, or all serve the same one.  [default: shared]",
)
@click.option(
    "--connections", type=int, metavar="N", panel=_LOAD, help="Simultaneous connections per VM.  [default: 20]"
)
@click.option(
    "--bound",
    type=Parsed("bound", Bound.parse),
    panel=_LOAD,
    help="When a request conforms: rate, rate:320k, or time:2s/4s (good/tolerable).  [default: rate:320k]",
)
@click.option(
    "--line-speed",
    type=Parsed("rate", parse_rate_bps),
    panel=_LOAD,
    help="Speed of the line that each connection simulates, in bit/s.  [default: 400k]",
)
@click.option(
    "--paced-reads/--no-paced-reads",
    default=None,
    panel=_LOAD,
    help="Read replies no faster than the line, or as fast as they come.  [default: as they come]",
)
@click.option(
    "--timeout",
    type=_DURATION,
    panel=_LOAD,
    help="An operation fails when no byte of its reply arrives for this long.  [default: 10s]",
)
@click.option(
    "--last-ad",
    type=click.Choice([p.value for p in LastAd]),
    panel=_LOAD,
    help="The last_ad in the client's cookie: that of the reply before, or any.  [default: previous]",
)
@click.option(
    "--seed", type=int, metavar="N", panel=_LOAD, help="The same seed gives the same operations.  [default: 1]"
)
@source_option(_LOAD)
@click.option(
    "--engines",
    type=int,
    metavar="N",
    panel=_ENGINE,
    help="Engine processes that make the load, on each machine.  [default: one per core]",
)
@engine_options(_ENGINE)
@fleet_options
@click.option(
    "--profile",
    type=click.Choice(list(PROFILES)),
    panel=_TIME,
    help="All durations at once: quick (under 90 s) or full (SPECweb99's own, 1 h 50 min).  [default: quick]",
)
@click.option(
    "--iterations",
    type=int,
    metavar="N",
    panel=_TIME,
    help="Measured windows; the median one is the score.  [default: 3]",
)
@click.option(
    "--ramp-up",
    type=_DURATION,
    panel=_TIME,
    help=f"Before each iteration, connections start over this time.  {_default('ramp_up_ns')}",
)
@click.option(
    "--warmup",
    type=_DURATION,
    panel=_TIME,
    help=f"Load that is not judged, before the first iteration only.  {_default('warmup_ns')}",
)
@click.option(
    "--duration", type=_DURATION, panel=_TIME, help=f"The measured window of an iteration.  {_default('measure_ns')}"
)
@click.option(
    "--ramp-down",
    type=_DURATION,
    panel=_TIME,
    help=f"Load goes on for this long after the window.  {_default('ramp_down_ns')}",
)
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path, dir_okay=False),
    panel=_PLAN,
    help="Start from the plan in a TOML file; other options change it.",
)
@click.option(
    "--replay",
    type=click.Path(path_type=Path),
    metavar="RUN",
    panel=_PLAN,
    help="Start from the plan of a record: repeats that run; other options change it.",
)
@click.option("--print-plan", is_flag=True, panel=_PLAN, help="Print the plan as TOML and run nothing.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    panel=_RESULT,
    help="Where the record goes.  [default: runs/<time>-spec]",
)
@click.option("--json", "as_json", is_flag=True, panel=_RESULT, help="Print the result as one JSON document.")
def spec(
    vms: tuple[int, ...] | None,
    targets: Path | None,
    plan_file: Path | None,
    replay: Path | None,
    print_plan: bool,
    out: Path | None,
    as_json: bool,
    **given: Any,
) -> int:
    """How many connections conform: SPECweb99-style load on many web servers at once.

    Starts one web server per VM, drives all of them at the same time, each connection at 400 kbit/s, and
    counts the connections that keep at least 320 kbit/s with at most 1 % errors. Results are
    "SPECweb99-style": never a SPEC score.
    """
    choice = take_choice(given, given["engines"])
    base, engines_settled = _base(plan_file, replay)
    plan = _plan(base, vms, targets, given, engines_settled=engines_settled)
    sweep = vms if vms is not None and len(vms) > 1 else ()
    _check_fleet(choice, plan, sweep)
    if print_plan:
        with printing():
            if sweep:
                sys.stdout.write(
                    f"# The last point of the sweep. To repeat all of it, add --vms {','.join(map(str, sweep))}\n"
                )
            sys.stdout.write(tomli_w.dumps(plan.to_dict()))
        return 0
    if choice.way is not WayKind.LOCAL:
        require_fleet("a load machine elsewhere")
    return run_session(
        Session(
            experiment=VmSweep(plan, sweep) if sweep else Once(KIND_SPEC, plan),
            fleet=choice,
            out=out,
            form="json" if as_json else "text",
            command_line=tuple(sys.argv),
        )
    )


def _check_fleet(choice: FleetChoice, plan: SpecPlan, sweep: tuple[int, ...]) -> None:
    if not choice.is_here and not plan.targets and ipaddress.ip_address(plan.vm_address).is_loopback:
        raise PlanError(
            f"the VMs listen at {plan.vm_address}, where load machines cannot reach them",
            hint="give an address of this machine with --vm-address, or servers elsewhere with --targets",
        )
    if choice.way is WayKind.JOIN and sweep:
        raise PlanError("workers that join serve one run, and a sweep is several", hint="use --hosts or --scheduler")


def _base(plan_file: Path | None, replay: Path | None) -> tuple[SpecPlan, bool]:
    """The plan that options change, and whether it says itself how many engines there are."""
    if plan_file and replay:
        raise PlanError("--plan and --replay are both given", hint="give one of them")
    if replay:
        record = load(replay, KIND_SPEC, KIND_SWEEP)
        if record.is_sweep:
            raise PlanError(f"{replay} is a sweep of several runs", hint=f"replay one of them, like {replay}/vms-N")
        return record.header.plan, True
    if plan_file:
        data = _read(plan_file)
        try:
            return SpecPlan.from_dict(data), "engines" in data
        except PlanError as error:
            raise PlanError(f"{plan_file}: {error.message}", hint=error.hint) from error
    return SpecPlan(), False


def _read(plan_file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(plan_file.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlanError(f"the plan {plan_file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"{plan_file} is not TOML: {error}") from error


def _plan(
    base: SpecPlan, vms: tuple[int, ...] | None, targets: Path | None, given: dict[str, Any], *, engines_settled: bool
) -> SpecPlan:
    """`base` with what was given on the command line; of a sweep, the last point."""
    phases = base.phases if given["profile"] is None else PROFILES[given["profile"]]
    phases = _replace(
        phases,
        ramp_up_ns=given["ramp_up"],
        warmup_ns=given["warmup"],
        measure_ns=given["duration"],
        ramp_down_ns=given["ramp_down"],
        iterations=given["iterations"],
    )
    found = _first(load_targets(targets), vms, targets) if targets else None
    count = vms[-1] if vms else len(found) if found else base.vms
    connections = base.connections if given["connections"] is None else given["connections"]
    engines = given["engines"]
    if engines is None and not engines_settled:
        fewest = vms[0] if vms else count  # one plan for all points of a sweep
        engines = max(1, min(len(os.sched_getaffinity(0)), fewest * connections))
    return _replace(
        base,
        vms=count,
        targets=found if found else () if vms else None,
        connections=connections,
        server=Server(given["server"]) if given["server"] else None,
        fileset_per_vm=given["fileset_per_vm"],
        vm_address=given["vm_address"],
        base_port=given["base_port"],
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


def _first(found: tuple[Target, ...], vms: tuple[int, ...] | None, file: Path) -> tuple[Target, ...]:
    """As many targets as are asked for."""
    if vms and vms[-1] > len(found):
        raise PlanError(f"{vms[-1]} VMs are asked for, and {file} has {len(found)} targets")
    return found[: vms[-1]] if vms else found


def _replace(value: T, **changes: Any) -> T:
    """`dataclasses.replace` with the changes that are not None."""
    return dataclasses.replace(value, **{name: new for name, new in changes.items() if new is not None})
