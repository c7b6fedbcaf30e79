"""`loadgen forward`: the forwarding-rate test across two NICs."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from coordinator.cli.options import DURATION, RATE, WINDOWS, Parsed, parse_counts, result_options
from coordinator.cli.panels import command, option
from coordinator.cli.plan_options import Start, plan_options, show_plan, start_from
from coordinator.cli.playing import play
from coordinator.cli.watch_options import watch_options
from coordinator.output.stderr import speaking
from coordinator.output.web.watch import Watch
from coordinator.starting import end_in_order
from loadgen.model.address import format_address, parse_address
from loadgen.model.errors import PlanError
from loadgen.model.probe import MAX_PARALLEL, MAX_REPEATS, ForwardPlan, Link, Mode
from loadgen.model.units import format_duration, format_size

E = TypeVar("E", bound=enum.Enum)

_DEFAULT = ForwardPlan()
_LABS = (Link.GIGE, Link.TEN_GIGE, Link.NONE, Link.LOOPBACK)
_NETWORK, _LOAD, _RESULT = "Network", "Load", "Result"
_ADDRESS = Parsed("address", parse_address)


class Role(enum.Enum):
    """The role of this machine in a test on real machines."""

    SOURCE = "source"
    PROXY = "proxy"
    SINK = "sink"


_RUNS = (
    "windows",
    "modes",
    "flows",
    "duration",
    "omit",
    "repeats",
    "at_least",
    "out",
    "json",
    "html",
    "web",
    "metrics",
    "otlp",
)
_PLANS = ("plan", "replay", "print_plan")
_TAKES = {
    None: ("lab", "proxy", "sink", *_RUNS, *_PLANS),
    Role.SOURCE: ("proxy", "sink", *_RUNS, *_PLANS),
    Role.PROXY: ("listen", "connect", "windows", "modes"),
    Role.SINK: ("listen",),
}
"""The options that each role takes; without a role, the whole test runs on this machine."""

_NEEDS: dict[Role | None, tuple[str, ...]] = {Role.PROXY: ("listen", "connect"), Role.SINK: ("listen",)}
"""The options that each role requires."""


def _choices(allowed: tuple[E, ...]) -> Callable[[str], tuple[E, ...]]:
    """Return a parser of comma-separated lists of these members, each at most once."""
    known = {one.value: one for one in allowed}

    def parse(text: str) -> tuple[E, ...]:
        names = [part.strip() for part in text.split(",")]
        wrong = next((name for name in names if name not in known), None)
        if wrong is not None:
            raise PlanError(f"{wrong!r} is not one of {', '.join(known)}", hint="separate several by commas")
        if twice := [name for name in known if names.count(name) > 1]:
            raise PlanError(f"{text!r}: {twice[0]} is given twice", hint="give each once")
        return tuple(known[name] for name in names)

    return parse


@command()
@option(
    "--lab",
    type=Parsed("links", _choices(_LABS)),
    metavar="LINK,...",
    panel=_NETWORK,
    help="Networks to build on this machine: gige, 10g, none (unshaped); or loopback, which uses no NIC.  "
    "[default: gige as root, else loopback]",
)
@option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    panel=_NETWORK,
    help="On real machines, the role of this machine. Start the sink first, then the proxy, then the source.",
)
@option(
    "--listen",
    type=_ADDRESS,
    metavar="ADDRESS:PORT",
    panel=_NETWORK,
    help="Address at which a sink or a proxy host is reached. The services of the proxy take ports of their own.",
)
@option("--connect", type=_ADDRESS, metavar="HOST:PORT", panel=_NETWORK, help="Address of the sink, for --role proxy.")
@option(
    "--proxy", type=_ADDRESS, metavar="HOST:PORT", panel=_NETWORK, help="Address of the proxy host, for the source."
)
@option("--sink", type=_ADDRESS, metavar="HOST:PORT", panel=_NETWORK, help="Address of the sink, for the source.")
@option(
    "--windows",
    type=WINDOWS,
    metavar="SIZE,...",
    panel=_LOAD,
    help="Socket buffer sizes to request at every end, 1 byte to 2G - 1; auto leaves the size to the kernel.  "
    f"[default: {','.join(format_size(one) for one in _DEFAULT.windows_bytes)}]",
)
@option(
    "--modes",
    type=Parsed("modes", _choices(tuple(Mode))),
    metavar="MODE,...",
    panel=_LOAD,
    help="Ways to the sink: direct (without the proxy), splice, copy.  [default: all]",
)
@option(
    "--flows",
    type=Parsed("counts", parse_counts),
    metavar="N,...",
    panel=_LOAD,
    help=f"Numbers of parallel connections to try, 1 to {MAX_PARALLEL}, with a window of "
    f"{format_size(_DEFAULT.flows_window_bytes)}.  [default: {','.join(map(str, _DEFAULT.flows))}]",
)
@option(
    "--duration",
    type=DURATION,
    panel=_LOAD,
    help=f"Length of each test, at least 100ms.  [default: {format_duration(_DEFAULT.duration_ns)}]",
)
@option(
    "--omit",
    type=DURATION,
    panel=_LOAD,
    help=f"Time at the start of each test that is not counted.  [default: {format_duration(_DEFAULT.omit_ns)}]",
)
@option(
    "--repeats",
    type=int,
    metavar="N",
    panel=_LOAD,
    help=f"Runs per table cell, 1 to {MAX_REPEATS}; the median is reported.  [default: {_DEFAULT.repeats}]",
)
@plan_options
@option(
    "--at-least",
    type=RATE,
    panel=_RESULT,
    help="Rate that splice and copy must reach with one flow and every window, in bit/s; otherwise the exit code is 1.",
)
@watch_options
@result_options("forward")
def forward(
    role: str | None,
    plan_file: Path | None,
    replay: Path | None,
    print_plan: bool,
    out: Path | None,
    as_json: bool,
    watch: Watch,
    **given: Any,
) -> int:
    """Measure how fast a proxy forwards from one NIC to another.

    Measures the direct path from a source to a sink, then the path through the proxy, with splice and with copies, and
    proves by counters that the bytes crossed both NICs. As root, it builds the network on this machine.
    """
    own = Role(role) if role else None
    others = {"plan": plan_file, "replay": replay, "print_plan": print_plan, "out": out, "json": as_json, **watch.given}
    _check(own, {**given, **others})
    match own:
        case Role.SINK:
            return _be_sink(*given["listen"])
        case Role.PROXY:
            return _be_proxy(given)
    start = start_from("forward", plan_file, replay, fleet=False)
    if own is Role.SOURCE and not (given["sink"] or start.data.get("sink")):
        raise PlanError("--role source needs --sink", hint="give the address of loadgen forward --role sink")
    links, note = _links(start, given)
    plan = _plan(start, given, links)
    if print_plan:
        return show_plan(plan, comment=note)
    return _run(plan, out, watch, as_json=as_json, html=given["html"], note=note)


def _run(plan: ForwardPlan, out: Path | None, watch: Watch, *, as_json: bool, html: Path | None, note: str) -> int:
    from coordinator.experiment.once import Once

    return play(Once("forward", plan), out=out, as_json=as_json, html=html, note=note, watch=watch)


def _be_sink(host: str, port: int) -> int:
    """Run as the sink until Ctrl-C; returns the exit code."""
    import uvloop

    from coordinator.kinds.forward.roles import be_sink

    end_in_order()
    with speaking() as say:
        uvloop.run(be_sink(host, port, say))
    return 0


def _be_proxy(given: dict[str, Any]) -> int:
    """Run as the proxy host until Ctrl-C; returns the exit code.  Raises PlanError."""
    import uvloop

    from coordinator.kinds.forward.roles import be_proxy
    from workloads.forward import proxy_modes, proxy_windows_bytes

    plan = _plan(Start(), given, (Link.LOOPBACK,))
    if not proxy_modes(plan):
        raise PlanError("--modes direct has no work for a proxy", hint="give --modes splice, copy or both")
    (host, port), (connect_host, connect_port) = given["listen"], given["connect"]
    end_in_order()
    with speaking() as say:
        uvloop.run(
            be_proxy(
                host,
                port,
                connect_host=connect_host,
                connect_port=connect_port,
                modes=proxy_modes(plan),
                windows_bytes=proxy_windows_bytes(plan),
                say=say,
            )
        )
    return 0


def _check(role: Role | None, given: dict[str, Any]) -> None:
    """Raise PlanError for options that the role does not take, and for missing options that the role requires."""
    what = f"--role {role.value}" if role else "a run on this machine"
    for name, value in given.items():
        if value not in (None, False) and name not in _TAKES[role]:
            hint = "see loadgen forward --help" if role else "--listen and --connect belong to --role proxy and sink"
            raise PlanError(f"--{name.replace('_', '-')} cannot be combined with {what}", hint=hint)
    for name in _NEEDS.get(role, ()):
        if given[name] is None:
            raise PlanError(f"{what} needs --{name}", hint=f"for example --{name} 192.0.2.1:5201")
    if given["lab"] and (given["proxy"] or given["sink"]):
        raise PlanError("--lab cannot be combined with --proxy or --sink", hint="a lab has its own proxy and sink")


def _links(start: Start, given: dict[str, Any]) -> tuple[tuple[Link, ...] | None, str]:
    """Return the links to measure (None: those of the plan), and a note about the choice."""
    if given["sink"] or given["proxy"]:
        return (Link.REAL,), ""
    if given["lab"] or start.sets("links"):
        return given["lab"], ""
    if start.data.get("sink"):
        return (Link.REAL,), ""
    from deploy.lab.network import why_not

    if reason := why_not():
        return (Link.LOOPBACK,), f"no lab was built, so this is loopback: {reason}"
    return (Link.GIGE,), ""


def _plan(start: Start, given: dict[str, Any], links: tuple[Link, ...] | None) -> ForwardPlan:
    """Return the plan that the options make from `start`.  Raises PlanError."""
    ends = {name: format_address(*given[name]) if given[name] else None for name in ("proxy", "sink")}
    if given["lab"]:
        ends = dict.fromkeys(ends, "")
    modes = given["modes"]
    is_direct = _is_real(links, start) and not (ends["proxy"] or start.data.get("proxy"))
    if is_direct and modes is None and not start.sets("modes"):
        modes = (Mode.DIRECT,)
    plan = start.read(
        ForwardPlan.from_dict,
        links=links,
        modes=modes,
        windows_bytes=given["windows"],
        flows=given["flows"],
        duration_ns=given["duration"],
        omit_ns=given["omit"],
        repeats=given["repeats"],
        at_least_bps=given["at_least"],
        **ends,
    )
    if is_direct and plan.modes != (Mode.DIRECT,):
        raise PlanError("splice and copy go through a proxy", hint="give --proxy, or --modes direct")
    if given["duration"] is None:
        return plan
    return dataclasses.replace(plan, latency_ns=min(plan.latency_ns, plan.duration_ns))


def _is_real(links: tuple[Link, ...] | None, start: Start) -> bool:
    """Whether the run is on real machines; when `links` is None, the links of the plan decide."""
    return links == (Link.REAL,) if links else start.data.get("links") == [Link.REAL.value]
