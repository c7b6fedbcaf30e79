"""`loadgen iperf`: the throughput test, and its server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from coordinator.cli.iperf_words import connection_of, connection_options, iperf3_words, provide_password, server_of
from coordinator.cli.options import DURATION, RATE, SIZE, WINDOWS, Parsed, result_options
from coordinator.cli.panels import command, option
from coordinator.cli.plan_options import Start, plan_options, show_plan, start_from
from coordinator.cli.playing import play
from coordinator.cli.watch_options import watch_options
from coordinator.output.stderr import say_once, speaking
from coordinator.output.web.watch import Watch
from coordinator.starting import end_in_order
from loadgen.model.errors import PlanError
from loadgen.model.probe import (
    IPERF_PORT,
    MAX_BLOCK_BYTES,
    MAX_PARALLEL,
    MAX_REPEATS,
    MAX_UDP_BLOCK_BYTES,
    MIN_UDP_BLOCK_BYTES,
    WINDOWS_BYTES,
    Direction,
    IperfPlan,
    Kind,
    Transport,
)
from loadgen.model.units import NS_PER_S, format_duration, format_size

_UDP_BPS = 1_000_000
"""iperf3's default rate of a UDP stream."""

_ENDS, _LOAD, _TIME, _RESULT = "Ends", "Load", "Time", "Result"
_DEFAULT = IperfPlan(host="")
_OPTION_NAMES = {
    "limit": "bytes",
    "plan_file": "plan",
    "client_port": "cport",
    "mss": "set-mss",
}  # short options whose names differ from the parameters' names


def parse_cores(text: str) -> tuple[int, ...]:
    """Return the cores of a text like `0` or `0,2`.  Raises PlanError unless this process may use all of them."""
    try:
        cores = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise PlanError(f"{text!r} is not a list of cores", hint="write it like 0 or 0,2") from None
    usable = os.sched_getaffinity(0)
    if not usable.issuperset(cores):
        raise PlanError(
            f"{text!r}: not all of these cores can be used",
            hint=f"the usable cores are {', '.join(map(str, sorted(usable)))}",
        )
    return cores


@command()
@click.argument("host", required=False, metavar="[HOST]")
@option(
    "--server",
    "-s",
    is_flag=True,
    panel=_ENDS,
    help="Serve tests in the foreground until Ctrl-C: tests of loadgen iperf and of stock iperf3 -c, many at once.",
)
@option("--client", "-c", metavar="HOST", panel=_ENDS, help="The same as HOST, for users of iperf3.")
@option("--one-off", "-1", is_flag=True, panel=_ENDS, help="With --server: end after one test.")
@option(
    "--host",
    "listen",
    metavar="ADDRESS",
    panel=_ENDS,
    help="Address at which the server listens; 0.0.0.0 or :: means every address.  [default: 127.0.0.1]",
)
@option(
    "--port",
    "-p",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    panel=_ENDS,
    help=f"Port of the server, 1 to 65535; with --server, 0 takes any free port.  [default: {IPERF_PORT}]",
)
@option(
    "--windows",
    "-w",
    type=WINDOWS,
    metavar="SIZE,...",
    panel=_LOAD,
    help="Socket buffer sizes to request at both ends, 1 byte to 2G - 1; auto leaves the size to the kernel.  "
    f"[default: {','.join(map(format_size, WINDOWS_BYTES))}; auto with --udp or --rr]",
)
@option(
    "--receive",
    "-R",
    is_flag=True,
    panel=_LOAD,
    help="Measure with the server sending.  [default: receive, then send]",
)
@option("--send", is_flag=True, panel=_LOAD, help="Measure with this end sending.")
@option("--bidir", is_flag=True, panel=_LOAD, help="Measure with both ends sending at once.")
@option(
    "--parallel",
    "-P",
    type=int,
    metavar="N",
    panel=_LOAD,
    help=f"Streams at the same time, 1 to {MAX_PARALLEL}.  [default: {_DEFAULT.parallel}]",
)
@option(
    "--rate",
    "-b",
    type=RATE,
    panel=_LOAD,
    help="Rate limit of each stream, in bit/s; 0 is no limit.  [default: no limit; 1M with --udp]",
)
@option(
    "--block",
    "-l",
    type=SIZE,
    panel=_LOAD,
    help=f"Size of a write, up to {format_size(MAX_BLOCK_BYTES)}; with --udp, size of a datagram, "
    f"{MIN_UDP_BLOCK_BYTES} to {MAX_UDP_BLOCK_BYTES}.  [default: as suits the transport]",
)
@option(
    "--congestion", "-C", metavar="NAME", panel=_LOAD, help="Congestion control algorithm.  [default: the kernel's]"
)
@option(
    "--affinity",
    "-A",
    type=Parsed("cores", parse_cores),
    metavar="CORE,...",
    panel=_LOAD,
    help="Cores on which the streams of this end run.  [default: any]",
)
@option("--udp", "-u", is_flag=True, panel=_LOAD, help="Send datagrams; report rate, loss, jitter, reordering.")
@option("--rr", is_flag=True, panel=_LOAD, help="Measure request/response latency: one byte each way per transaction.")
@option(
    "--duration",
    "-t",
    type=DURATION,
    panel=_TIME,
    help=f"Length of each test, at least 100ms.  [default: {format_duration(_DEFAULT.duration_ns)}]",
)
@option(
    "--omit",
    "-O",
    type=DURATION,
    panel=_TIME,
    help="Time at the start of each test that is not counted.  [default: 0s]",
)
@option(
    "--bytes", "-n", "limit", type=SIZE, panel=_TIME, help="Amount of data that ends a test early.  [default: no limit]"
)
@option(
    "--repeats",
    type=int,
    metavar="N",
    panel=_TIME,
    help=f"Runs per table cell, 1 to {MAX_REPEATS}; the median is reported.  [default: {_DEFAULT.repeats}]",
)
@connection_options
@plan_options
@option(
    "--at-least",
    type=RATE,
    panel=_RESULT,
    help="Rate that every table cell must reach, in bit/s; otherwise the exit code is 1.",
)
@watch_options
@result_options("iperf", "-J")
@iperf3_words
def iperf(
    host: str | None,
    server: bool,
    client: str | None,
    one_off: bool,
    listen: str | None,
    port: int | None,
    print_plan: bool,
    out: Path | None,
    as_json: bool,
    watch: Watch,
    **given: Any,
) -> int:
    """Measure how fast TCP or UDP receives and sends, by window.

    Drives a server (loadgen iperf --server, or stock iperf3 -s) with each window in both directions. Prints one table:
    the median of the repeats in Mbit/s. The short options mean what they mean for iperf3.
    """
    if server:
        if listen is None:
            listen = given.pop("bind")  # iperf3's word for the address at which a server listens
        _check_server(host or client, {**given, "print_plan": print_plan, "out": out, "json": as_json, **watch.given})
        return _serve(listen or "127.0.0.1", IPERF_PORT if port is None else port, tests=1 if one_off else None)
    if one_off:
        raise PlanError("--one-off is given without --server", hint="add --server; a client runs --repeats tests")
    if listen is not None:
        raise PlanError("--host is given without --server", hint="add --server, or give HOST without --host")
    start = start_from("iperf", given["plan_file"], given["replay"], fleet=False)
    if host is None and client is None and not start.name:
        raise PlanError("HOST is missing", hint="give the server's address, or --server to serve tests")
    host, port = server_of(host, client, port)
    plan = _plan(start, host, port, given)
    if print_plan:
        return show_plan(plan)
    provide_password(plan, given["password_file"])
    return _run(plan, out, watch, as_json=as_json, html=given["html"])


def _run(plan: IperfPlan, out: Path | None, watch: Watch, *, as_json: bool, html: Path | None) -> int:
    from coordinator.experiment.once import Once

    if (text := long_run(plan)) is not None:
        say_once(text)
    return play(Once("iperf", plan), out=out, as_json=as_json, html=html, watch=watch)


def long_run(plan: IperfPlan) -> str | None:
    """Return how long the tests of `plan` take, with what makes them fewer; None below a minute."""
    tests = len(plan.windows_bytes) * len(plan.directions) * plan.repeats
    total_ns = tests * (plan.omit_ns + plan.duration_ns)
    if tests == 1 or total_ns < 60 * NS_PER_S:
        return None
    each = format_duration(plan.omit_ns + plan.duration_ns)
    return (
        f"{tests} tests of {each} take {total_ns // NS_PER_S} s: {len(plan.windows_bytes)} windows, "
        f"{len(plan.directions)} directions, {plan.repeats} repeats.  "
        "For one test like iperf3's: --windows auto --send --repeats 1"
    )


def _serve(host: str, port: int, *, tests: int | None) -> int:
    """Serve tests until Ctrl-C; returns the exit code."""
    import uvloop

    from coordinator.kinds.iperf.served import serve_tests

    end_in_order()
    with speaking() as say:
        uvloop.run(serve_tests(host, port, tests=tests, say=say, tell=_tell))
    return 0


def _check_server(host: str | None, given: dict[str, Any]) -> None:
    """Raise PlanError for options that only a client takes."""
    if host is not None:
        raise PlanError("HOST cannot be combined with --server", hint="give the address to listen at with --host")
    name = next((name for name, value in given.items() if value not in (None, False)), None)
    if name is not None:
        raise PlanError(
            f"{_option(name)} cannot be combined with --server", hint="only the client chooses what is measured"
        )


def _plan(start: Start, host: str | None, port: int | None, given: dict[str, Any]) -> IperfPlan:
    """Return the plan that the options make from `start`.  Raises PlanError."""
    rr = given["rr"] or start.data.get("kind") == Kind.RR.value
    udp = given["udp"] or start.data.get("transport") == Transport.UDP.value
    if rr:
        _check_rr(given)
    ways = tuple(way for way in (Direction.RECEIVE, Direction.SEND, Direction.BIDIR) if given[way.value])
    if given["rr"] or (rr and not start.sets("directions")):
        ways = (Direction.SEND,)
    windows_bytes, rate_bps = given["windows"], given["rate"]
    if windows_bytes is None and (udp or rr) and not start.sets("windows_bytes"):
        windows_bytes = (0,)
    unlimited = not start.data.get("rate_bps") if given["udp"] else udp and not start.sets("rate_bps")
    if rate_bps is None and unlimited:
        rate_bps = _UDP_BPS
    return start.read(
        IperfPlan.from_dict,
        host=host,
        port=port,
        windows_bytes=windows_bytes,
        directions=ways or None,
        kind=Kind.RR if given["rr"] else None,
        transport=Transport.UDP if given["udp"] else None,
        parallel=given["parallel"],
        duration_ns=given["duration"],
        omit_ns=given["omit"],
        repeats=given["repeats"],
        limit_bytes=given["limit"],
        block_bytes=given["block"],
        rate_bps=rate_bps,
        congestion=given["congestion"],
        cores=given["affinity"],
        at_least_bps=given["at_least"],
        **connection_of(given),
    )


def _check_rr(given: dict[str, Any]) -> None:
    """Raise PlanError for options that have no meaning for request/response."""
    for name in ("udp", "send", "receive", "bidir", "limit", "block", "rate", "at_least"):
        if given[name] not in (None, False):
            raise PlanError(
                f"{_option(name)} cannot be combined with --rr", hint="a request and its response are one byte each"
            )


def _option(name: str) -> str:
    """Return the option of a parameter, like `--at-least`."""
    return f"--{_OPTION_NAMES.get(name, name).replace('_', '-')}"


async def _tell(text: str) -> None:
    from coordinator.output.stdout import print_beside

    await print_beside(lambda stdout: stdout.write(f"{text}\n"))
