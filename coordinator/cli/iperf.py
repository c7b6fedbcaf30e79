"""`loadgen iperf`: the throughput probe, and its server."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import rich_click as click
import uvloop

from coordinator.cli.options import Parsed, parse_windows
from coordinator.experiment.once import Once
from coordinator.experiment.session import Session, run_session
from coordinator.kinds.iperf.served import serve_tests
from coordinator.output.streams import printing, stderr_console
from coordinator.record.header import KIND_IPERF
from loadgen.model.errors import PlanError
from loadgen.model.probe import IPERF_PORT, WINDOWS_BYTES, Direction, IperfPlan, Kind, Transport
from loadgen.model.units import (
    format_duration,
    format_size,
    parse_duration_ns,
    parse_rate_bps,
    parse_size_bytes,
)

_UDP_BPS = 1_000_000
"""iperf3's default for datagrams."""

_ENDS, _LOAD, _TIME, _RESULT = "Ends", "Load", "Time", "Result"
_DURATION, _SIZE, _RATE = (
    Parsed("duration", parse_duration_ns),
    Parsed("size", parse_size_bytes),
    Parsed("rate", parse_rate_bps),
)


def parse_cores(text: str) -> tuple[int, ...]:
    """`0` or `0,2`: cores that this process may use."""
    try:
        cores = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise PlanError(f"{text!r} is not a list of cores", hint="write it like 0 or 0,2") from None
    usable = os.sched_getaffinity(0)
    if not usable.issuperset(cores):
        raise PlanError(f"{text!r}: not all of these can be used", hint=f"there are {_list(sorted(usable))}")
    return cores


def _list(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


@click.command()
@click.argument("host", required=False, metavar="[HOST]")
@click.option(
    "--server",
    "-s",
    is_flag=True,
    panel=_ENDS,
    help="Serve tests in the foreground until Ctrl-C: those of loadgen iperf and of stock iperf3 -c, many at once.",
)
@click.option(
    "--host",
    "listen",
    metavar="ADDRESS",
    panel=_ENDS,
    help="Address that the server listens on; 0.0.0.0 or :: for all.  [default: 127.0.0.1]",
)
@click.option(
    "--port",
    "-p",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    default=IPERF_PORT,
    show_default=True,
    panel=_ENDS,
    help="Port of the server; a server takes any free one for 0.",
)
@click.option(
    "--windows",
    "-w",
    type=Parsed("windows", parse_windows),
    metavar="SIZE,...",
    panel=_LOAD,
    help="Socket buffers to ask for at both ends; auto leaves them to the kernel.  "
    f"[default: {','.join(map(format_size, WINDOWS_BYTES))}; auto with --udp or --rr]",
)
@click.option("--receive", "-R", is_flag=True, panel=_LOAD, help="The server sends.  [default: receive, then send]")
@click.option("--send", is_flag=True, panel=_LOAD, help="This end sends.")
@click.option("--bidir", is_flag=True, panel=_LOAD, help="Both send at once.")
@click.option("--parallel", "-P", type=int, metavar="N", panel=_LOAD, help="Streams at once.  [default: 1]")
@click.option("--rate", "-b", type=_RATE, panel=_LOAD, help="Of each stream, in bit/s.  [default: none; 1M with --udp]")
@click.option(
    "--block", "-l", type=_SIZE, panel=_LOAD, help="Size of a write, or of a datagram.  [default: what suits]"
)
@click.option("--congestion", "-C", metavar="NAME", panel=_LOAD, help="Congestion control.  [default: the kernel's]")
@click.option(
    "--affinity",
    "-A",
    type=Parsed("cores", parse_cores),
    metavar="CORE,...",
    panel=_LOAD,
    help="Cores that this end's streams run on.  [default: any]",
)
@click.option("--udp", "-u", is_flag=True, panel=_LOAD, help="Datagrams: rate, loss, jitter, reordering.")
@click.option("--rr", is_flag=True, panel=_LOAD, help="Request/response latency: one byte there, one byte back.")
@click.option(
    "--duration",
    "-t",
    type=_DURATION,
    panel=_TIME,
    help=f"Of each test.  [default: {format_duration(IperfPlan(host='').duration_ns)}]",
)
@click.option("--omit", "-O", type=_DURATION, panel=_TIME, help="Before each test, and not counted.  [default: 0s]")
@click.option("--bytes", "-n", "limit", type=_SIZE, panel=_TIME, help="A test ends after so much.  [default: none]")
@click.option(
    "--repeats",
    type=int,
    metavar="N",
    panel=_TIME,
    help=f"Tests of each cell of the table; the median counts.  [default: {IperfPlan(host='').repeats}]",
)
@click.option(
    "--at-least", type=_RATE, panel=_RESULT, help="The rate that every cell must reach; below it the exit code is 1."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    panel=_RESULT,
    help="Where the record goes.  [default: runs/<time>-iperf]",
)
@click.option("--json", "-J", "as_json", is_flag=True, panel=_RESULT, help="Print the result as one JSON document.")
def iperf(host: str | None, server: bool, listen: str | None, port: int, as_json: bool, **given: Any) -> int:
    """How fast does TCP receive and send, by window?

    Drives a server of loadgen or a stock iperf3 -s, each window in both directions, and ends with one table: the
    median of the repeats in Mbit/s. The letters mean what they mean for iperf3.
    """
    if server:
        _check_server(host, given, as_json)
        uvloop.run(serve_tests(listen or "127.0.0.1", port, say=_say, tell=_tell))
        return 0
    if listen is not None:
        raise PlanError("--host is where a server listens", hint="add --server, or give HOST without --host")
    if host is None:
        raise PlanError("whom to measure with?", hint="give HOST, or --server to be the other end")
    return run_session(
        Session(
            experiment=Once(KIND_IPERF, _plan(host, port, given)),
            fleet=None,
            out=given["out"],
            form="json" if as_json else "text",
            command_line=tuple(sys.argv),
        )
    )


def _check_server(host: str | None, given: dict[str, Any], as_json: bool) -> None:
    """Raises PlanError for what only a client can be told."""
    if host is not None:
        raise PlanError(f"a server drives nobody, so what is {host!r}?", hint="--host is the address to listen on")
    told = next((name for name, value in given.items() if value not in (None, False)), "json" if as_json else "")
    if told:
        name = {"limit": "bytes"}.get(told, told).replace("_", "-")
        raise PlanError(f"--{name} means nothing for --server", hint="the client says what is measured")


def _plan(host: str, port: int, given: dict[str, Any]) -> IperfPlan:
    """The defaults with what was given.  Raises PlanError."""
    if given["rr"]:
        _check_rr(given)
    names = {
        "windows_bytes": "windows",
        "parallel": "parallel",
        "duration_ns": "duration",
        "omit_ns": "omit",
        "repeats": "repeats",
        "limit_bytes": "limit",
        "block_bytes": "block",
        "rate_bps": "rate",
        "congestion": "congestion",
        "cores": "affinity",
        "at_least_bps": "at_least",
    }
    changes = {field: given[name] for field, name in names.items() if given[name] is not None}
    ways = tuple(way for way in (Direction.RECEIVE, Direction.SEND, Direction.BIDIR) if given[way.value])
    if ways:
        changes["directions"] = ways
    if given["rr"]:
        changes |= {"kind": Kind.RR, "directions": (Direction.SEND,)}
    if given["udp"]:
        changes["transport"] = Transport.UDP
        if changes.setdefault("rate_bps", _UDP_BPS) == 0:
            raise PlanError("datagrams need a rate", hint="for as fast as possible, ask for more than the path carries")
    if given["udp"] or given["rr"]:
        changes.setdefault("windows_bytes", (0,))
    return IperfPlan(host=host, port=port, **changes)


def _check_rr(given: dict[str, Any]) -> None:
    for name in ("udp", "send", "receive", "bidir", "limit", "block", "rate", "at_least"):
        if given[name] not in (None, False):
            shown = {"limit": "bytes"}.get(name, name).replace("_", "-")
            raise PlanError(f"--{shown} means nothing for --rr", hint="a request and its response are a byte each")


def _say(text: str) -> None:
    stderr_console().print(text, markup=False, highlight=False, soft_wrap=True)


def _tell(text: str) -> None:
    with printing():
        sys.stdout.write(f"{text}\n")
