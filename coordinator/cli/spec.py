"""`loadgen spec`: the SPECweb99-style run."""

from __future__ import annotations

import dataclasses
import os
import sys
import tomllib
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click
import tomli_w

from coordinator.cli.options import Parsed, parse_counts
from coordinator.record.reader import load
from coordinator.session import Session, run_session
from deploy.inventory import load as load_targets
from loadgen.model.bound import Bound
from loadgen.model.errors import PlanError
from loadgen.model.plan import PROFILES, LastAd, Phases, Server, SpecPlan
from loadgen.model.units import parse_duration_ns, parse_rate_bps

T = TypeVar("T", Phases, SpecPlan)
_DURATION = Parsed("duration", parse_duration_ns)


@click.command()
@click.option(
    "--vms",
    type=Parsed("n[,n...]", parse_counts),
    help="Web servers to start, one per VM, each on its own port. A list runs a sweep: 1,4,16.  [default: 16]",
)
@click.option(
    "--targets",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Drive servers that run elsewhere: TOML with [[target]] tables (name, host, port, weight).",
)
@click.option("--connections", type=int, help="Simultaneous connections per VM.  [default: 20]")
@click.option(
    "--server",
    type=click.Choice([s.value for s in Server]),
    help="Web server of the VMs; auto takes nginx, then apache, then builtin.  [default: auto]",
)
@click.option(
    "--profile",
    type=click.Choice(sorted(PROFILES)),
    help="Durations: quick (under 90 s) or full (SPECweb99's own, 1 h 45 min).  [default: quick]",
)
@click.option("--ramp-up", type=_DURATION, help="Before each iteration, connections start over this time.")
@click.option("--warmup", type=_DURATION, help="Unjudged time before the first iteration.")
@click.option("--duration", type=_DURATION, help="The measured part of an iteration.")
@click.option("--ramp-down", type=_DURATION, help="Load goes on after the measured part for this long.")
@click.option("--iterations", type=int, help="Measured windows; the median one is the score.  [default: 3]")
@click.option(
    "--bound",
    type=Parsed("bound", Bound.parse),
    help="When a request conforms: rate, rate:320k, or time:2s/4s (good/tolerable).  [default: rate:320k]",
)
@click.option("--line-speed", type=Parsed("rate", parse_rate_bps), help="Of each connection.  [default: 400k]")
@click.option("--paced-reads/--no-paced-reads", default=None, help="Read replies no faster than the line.")
@click.option("--timeout", type=_DURATION, help="Of an operation, when no byte arrives.  [default: 10s]")
@click.option(
    "--last-ad", type=click.Choice([p.value for p in LastAd]), help="The last_ad cookie.  [default: previous]"
)
@click.option("--fileset-per-vm/--shared-fileset", default=None, help="Each VM gets a copy of its own of the file set.")
@click.option("--base-port", type=int, help="The first VM's port; the others follow.  [default: any free ports]")
@click.option("--engines", type=int, help="Engine processes.  [default: one per core]")
@click.option("--seed", type=int, help="Same seed, same operations.  [default: 1]")
@click.option("--plan", "plan_file", type=click.Path(path_type=Path, dir_okay=False), help="Read the plan from TOML.")
@click.option("--replay", type=click.Path(path_type=Path), help="Repeat the run of this record, from its plan.")
@click.option("--print-plan", is_flag=True, help="Print the plan as TOML and do nothing.")
@click.option("--out", type=click.Path(path_type=Path), help="Directory of the record.  [default: runs/<time>-spec]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document on stdout.")
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
    plan = _plan(_base(plan_file, replay), vms, targets, given, fresh=not (plan_file or replay))
    if print_plan:
        sys.stdout.write(tomli_w.dumps(plan.to_dict()))
        return 0
    sweep = vms if vms is not None and len(vms) > 1 else ()
    return run_session(Session(plan=plan, sweep=sweep, out=out, as_json=as_json, command_line=tuple(sys.argv)))


def _base(plan_file: Path | None, replay: Path | None) -> SpecPlan:
    """The plan that options change."""
    if plan_file and replay:
        raise PlanError("--plan and --replay are both given", hint="give one of them")
    if replay:
        return load(replay).header.plan
    if plan_file:
        try:
            return SpecPlan.from_dict(tomllib.loads(plan_file.read_text()))
        except OSError as error:
            raise PlanError(f"the plan {plan_file} cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise PlanError(f"{plan_file} is not TOML: {error}") from error
    return SpecPlan()


def _plan(
    base: SpecPlan, vms: tuple[int, ...] | None, targets: Path | None, given: dict[str, Any], *, fresh: bool
) -> SpecPlan:
    """`base` with what was given on the command line."""
    if targets and vms:
        raise PlanError("--vms and --targets are both given", hint="--targets says itself how many servers there are")
    phases = base.phases if given["profile"] is None else PROFILES[given["profile"]]
    phases = _replace(
        phases,
        ramp_up_ns=given["ramp_up"],
        warmup_ns=given["warmup"],
        measure_ns=given["duration"],
        ramp_down_ns=given["ramp_down"],
        iterations=given["iterations"],
    )
    found = load_targets(targets) if targets else None
    count = len(found) if found else vms[-1] if vms else base.vms
    connections = base.connections if given["connections"] is None else given["connections"]
    engines = given["engines"]
    if engines is None and fresh:
        engines = max(1, min(len(os.sched_getaffinity(0)), count * connections))
    return _replace(
        base,
        vms=count,
        targets=found if found else () if vms else None,
        connections=connections,
        server=Server(given["server"]) if given["server"] else None,
        fileset_per_vm=given["fileset_per_vm"],
        base_port=given["base_port"],
        phases=phases,
        bound=given["bound"],
        line_bps=given["line_speed"],
        paced_reads=given["paced_reads"],
        timeout_ns=given["timeout"],
        last_ad=LastAd(given["last_ad"]) if given["last_ad"] else None,
        engines=engines,
        seed=given["seed"],
    )


def _replace(value: T, **changes: Any) -> T:
    """`dataclasses.replace` with the changes that are not None."""
    return dataclasses.replace(value, **{name: new for name, new in changes.items() if new is not None})
