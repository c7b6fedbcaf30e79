"""`loadgen forward`: the forwarding-rate test across two NICs."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click
import uvloop

from coordinator.cli.options import Parsed, parse_counts, parse_windows
from coordinator.experiment.once import Once
from coordinator.experiment.session import Session, run_session
from coordinator.kinds.forward.roles import be_proxy, be_sink
from coordinator.output.streams import stderr_console
from coordinator.record.header import KIND_FORWARD
from deploy.lab.network import why_not
from loadgen.model.address import format_address, parse_address
from loadgen.model.errors import PlanError
from loadgen.model.probe import ForwardPlan, Link, Mode
from loadgen.model.units import format_duration, format_size, parse_duration_ns, parse_rate_bps
from workloads.forward import proxy_modes, proxy_windows_bytes

E = TypeVar("E", bound=enum.Enum)

_PLAN = ForwardPlan()
_LABS = (Link.GIGE, Link.TEN_GIGE, Link.NONE, Link.LOOPBACK)
_NETWORK, _LOAD, _RESULT = "Network", "Load", "Result"
_ADDRESS = Parsed("address", parse_address)
_DURATION = Parsed("duration", parse_duration_ns)


class Role(enum.Enum):
    """What this end of a test by hand does."""

    SOURCE = "source"
    PROXY = "proxy"
    SINK = "sink"


_TAKES = {
    None: ("lab", "proxy", "sink", "windows", "modes", "flows", "duration", "omit", "repeats", "at_least", "out"),
    Role.SOURCE: ("proxy", "sink", "windows", "modes", "flows", "duration", "omit", "repeats", "at_least", "out"),
    Role.PROXY: ("listen", "connect", "windows", "modes"),
    Role.SINK: ("listen",),
}
"""The options that mean something in each role, `--json` apart."""


def _choices(allowed: tuple[E, ...]) -> Callable[[str], tuple[E, ...]]:
    """A parser of lists of these."""
    known = {one.value: one for one in allowed}

    def parse(text: str) -> tuple[E, ...]:
        names = [part.strip() for part in text.split(",")]
        wrong = next((name for name in names if name not in known), None)
        if wrong is not None:
            raise PlanError(f"{wrong!r} is none of {', '.join(known)}", hint="more than one are separated by commas")
        if len(set(names)) != len(names):
            raise PlanError(f"{text!r}: one is given twice")
        return tuple(known[name] for name in names)

    return parse


@click.command()
@click.option(
    "--lab",
    type=Parsed("links", _choices(_LABS)),
    metavar="LINK,...",
    panel=_NETWORK,
    help="Networks to build on this machine: gige, 10g, none (unshaped); or loopback, which is no network.  "
    "[default: gige as root, else loopback]",
)
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    panel=_NETWORK,
    help="On real machines, what this one is. Start the sink first, then the proxy, then the source.",
)
@click.option(
    "--listen",
    type=_ADDRESS,
    metavar="ADDRESS:PORT",
    panel=_NETWORK,
    help="Where a sink, or a proxy's host, is reached. The proxy's services take ports of their own.",
)
@click.option("--connect", type=_ADDRESS, metavar="HOST:PORT", panel=_NETWORK, help="The sink of a proxy.")
@click.option(
    "--proxy", type=_ADDRESS, metavar="HOST:PORT", panel=_NETWORK, help="Where a source finds the proxy's host."
)
@click.option("--sink", type=_ADDRESS, metavar="HOST:PORT", panel=_NETWORK, help="Where a source finds the sink.")
@click.option(
    "--windows",
    type=Parsed("windows", parse_windows),
    metavar="SIZE,...",
    panel=_LOAD,
    help="Socket buffers to ask for, everywhere; auto leaves them to the kernel.  "
    f"[default: {','.join(format_size(one) for one in _PLAN.windows_bytes)}]",
)
@click.option(
    "--modes",
    type=Parsed("modes", _choices(tuple(Mode))),
    metavar="MODE,...",
    panel=_LOAD,
    help="Ways to the sink: direct (past the proxy), splice, copy.  [default: all]",
)
@click.option(
    "--flows",
    type=Parsed("counts", parse_counts),
    metavar="N,...",
    panel=_LOAD,
    help=f"Parallel connections to try, at {format_size(_PLAN.flows_window_bytes)}.  "
    f"[default: {','.join(map(str, _PLAN.flows))}]",
)
@click.option(
    "--duration", type=_DURATION, panel=_LOAD, help=f"Of each test.  [default: {format_duration(_PLAN.duration_ns)}]"
)
@click.option(
    "--omit",
    type=_DURATION,
    panel=_LOAD,
    help=f"Before each test, and not counted.  [default: {format_duration(_PLAN.omit_ns)}]",
)
@click.option(
    "--repeats",
    type=int,
    metavar="N",
    panel=_LOAD,
    help=f"Tests of each window; the median counts.  [default: {_PLAN.repeats}]",
)
@click.option(
    "--at-least",
    type=Parsed("rate", parse_rate_bps),
    panel=_RESULT,
    help="The rate that splice and copy must reach with one flow at every window; below it the exit code is 1.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    panel=_RESULT,
    help="Where the record goes.  [default: runs/<time>-forward]",
)
@click.option("--json", "as_json", is_flag=True, panel=_RESULT, help="Print the result as one JSON document.")
def forward(role: str | None, as_json: bool, **given: Any) -> int:
    """How much does a proxy forward from one NIC to another?

    Measures the direct path from a source to a sink, then the way through the proxy, spliced and copied, and proves
    by counters that the bytes crossed both NICs. As root it builds the network itself, on this machine.
    """
    own = Role(role) if role else None
    _check(own, as_json, given)
    match own:
        case Role.SINK:
            host, port = given["listen"]
            uvloop.run(be_sink(host, port, _say))
            return 0
        case Role.PROXY:
            plan = _plan(given, (Link.LOOPBACK,))
            if not proxy_modes(plan):
                raise PlanError("a proxy has nothing to do with the direct way", hint="--modes splice, copy or both")
            host, port = given["listen"]
            connect_host, connect_port = given["connect"]
            uvloop.run(
                be_proxy(
                    host,
                    port,
                    connect_host=connect_host,
                    connect_port=connect_port,
                    modes=proxy_modes(plan),
                    windows_bytes=proxy_windows_bytes(plan),
                    say=_say,
                )
            )
            return 0
    links, notes = _links(given)
    return run_session(
        Session(
            experiment=Once(KIND_FORWARD, _plan(given, links)),
            fleet=None,
            out=given["out"],
            form="json" if as_json else "text",
            notes=notes,
            command_line=tuple(sys.argv),
        )
    )


def _check(role: Role | None, as_json: bool, given: dict[str, Any]) -> None:
    """Raises PlanError for options that do not go together."""
    what = f"--role {role.value}" if role else "a run on this machine"
    for name, value in given.items():
        if value is not None and name not in _TAKES[role]:
            hint = "see loadgen forward --help" if role else "--listen and --connect go with --role proxy or sink"
            raise PlanError(f"--{name.replace('_', '-')} means nothing for {what}", hint=hint)
    if role in (Role.PROXY, Role.SINK):
        if as_json:
            raise PlanError(f"--json means nothing for {what}", hint="the result is the source's to print")
        needed = ("listen", "connect") if role is Role.PROXY else ("listen",)
        for name in needed:
            if given[name] is None:
                raise PlanError(f"{what} needs --{name}", hint=f"for example --{name} 192.0.2.1:5201")
        return
    if role is Role.SOURCE and not given["sink"]:
        raise PlanError(f"{what} needs --sink", hint="that of loadgen forward --role sink, elsewhere")
    if given["lab"] and (given["proxy"] or given["sink"]):
        raise PlanError("--lab and --proxy or --sink are both given", hint="a lab has a proxy and a sink of its own")


def _links(given: dict[str, Any]) -> tuple[tuple[Link, ...], tuple[str, ...]]:
    """What to measure on, and what to say about the choice."""
    if given["sink"] or given["proxy"]:
        return (Link.REAL,), ()
    if given["lab"]:
        return given["lab"], ()
    if reason := why_not():
        return (Link.LOOPBACK,), (f"no lab was built, so this is loopback: {reason}",)
    return (Link.GIGE,), ()


def _plan(given: dict[str, Any], links: tuple[Link, ...]) -> ForwardPlan:
    """The defaults with what was given."""
    names = {
        "windows_bytes": "windows",
        "modes": "modes",
        "flows": "flows",
        "duration_ns": "duration",
        "omit_ns": "omit",
        "repeats": "repeats",
        "at_least_bps": "at_least",
    }
    changes = {field: given[name] for field, name in names.items() if given[name] is not None}
    if given["duration"] is not None:
        changes["latency_ns"] = min(_PLAN.latency_ns, given["duration"])
    if links == (Link.REAL,) and not given["proxy"]:
        changes.setdefault("modes", (Mode.DIRECT,))
        if changes["modes"] != (Mode.DIRECT,):
            raise PlanError("splice and copy go through a proxy", hint="give --proxy, or --modes direct")
    for name in ("proxy", "sink"):
        changes[name] = format_address(*given[name]) if given[name] else ""
    return ForwardPlan(links=links, **changes)


def _say(text: str) -> None:
    stderr_console().print(text, markup=False, highlight=False, soft_wrap=True)
