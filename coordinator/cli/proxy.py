"""`loadgen proxy`: the plain TCP forward proxy, in the foreground."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coordinator.cli.options import DURATION, Parsed, parse_window
from coordinator.cli.panels import command, option
from loadgen.model.address import parse_address, parse_own_address
from loadgen.model.probe import Mode

if TYPE_CHECKING:
    from loadgen.proxy.api import ProxyConfig

_LOG_S = 2.0
_ENDS, _SOCKETS, _LIMITS, _RESULT = "Ends", "Sockets", "Limits", "Result"


@command()
@option(
    "--listen",
    type=Parsed("address", parse_own_address),
    metavar="ADDRESS:PORT",
    required=True,
    panel=_ENDS,
    help="Address at which clients connect; *:PORT means all addresses, :PORT the loopback address, and port 0 any "
    "free port.",
)
@option(
    "--connect",
    type=Parsed("address", parse_address),
    metavar="HOST:PORT",
    required=True,
    multiple=True,
    panel=_ENDS,
    help="Upstream to which connections are forwarded; may be repeated: connections go to the upstreams in turn. When "
    "an address fails, the next one is tried. Names are resolved again every 30 s, and after a failed connect.",
)
@option(
    "--send-proxy-v2",
    is_flag=True,
    panel=_ENDS,
    help="Tell the upstream the client's address by the header of the PROXY protocol, version 2.",
)
@option(
    "--source",
    metavar="ADDRESS",
    default="",
    panel=_ENDS,
    help="Address of this machine from which the upstream is connected to.  [default: the kernel's choice]",
)
@option(
    "--mode",
    type=click.Choice([Mode.SPLICE.value, Mode.COPY.value]),
    default=Mode.SPLICE.value,
    show_default=True,
    panel=_SOCKETS,
    help="How bytes are forwarded: splice moves pages through a pipe without copying them; copy reads and writes.",
)
@option(
    "--window",
    type=Parsed("window", parse_window),
    metavar="SIZE",
    default="auto",
    show_default=True,
    panel=_SOCKETS,
    help="Socket buffer size to request on both sides, 1 byte to 2G - 1; auto leaves the size to the kernel.",
)
@option(
    "--max-connections",
    type=click.IntRange(1),
    metavar="N",
    default=4096,
    show_default=True,
    panel=_LIMITS,
    help="Maximum number of open connections, at least 1; further connections are reset.",
)
@option(
    "--idle",
    type=DURATION,
    metavar="DURATION",
    default="0s",
    panel=_LIMITS,
    help="Time without a byte in either direction after which a connection is reset; 0s means never.  [default: never]",
)
@option(
    "--connect-timeout",
    type=DURATION,
    metavar="DURATION",
    default="5s",
    show_default=True,
    panel=_LIMITS,
    help="Time within which the upstream must answer.",
)
@option(
    "--keepalive",
    type=DURATION,
    metavar="DURATION",
    default="60s",
    show_default=True,
    panel=_LIMITS,
    help="Silence of a peer after which it is probed (TCP keepalive); after six probes without an answer, 10 s apart, "
    "its connection ends. 0s means never.",
)
@option(
    "--drain",
    type=DURATION,
    metavar="DURATION",
    default="10s",
    show_default=True,
    panel=_LIMITS,
    help="Time that open connections have to end after Ctrl-C or SIGTERM; a second signal cuts them.",
)
@option(
    "--log",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    panel=_RESULT,
    help="Add a line to this file for each connection when it ends.",
)
@option("--json", "as_json", is_flag=True, panel=_RESULT, help="Print the final counters as one JSON document.")
def proxy(
    listen: tuple[str, int],
    connect: tuple[tuple[str, int], ...],
    send_proxy_v2: bool,
    source: str,
    mode: str,
    window: int,
    max_connections: int,
    idle: int,
    connect_timeout: int,
    keepalive: int,
    drain: int,
    log: Path | None,
    as_json: bool,
) -> int:
    """Forward TCP connections until Ctrl-C, and show live counters.

    Half-closed connections, back-pressure and resets are passed on. A proxy that listens at another address than the
    loopback address is open to everybody who can reach that address.
    """
    from loadgen.proxy.api import ProxyConfig, Upstream

    config = ProxyConfig(
        listen_host=listen[0],
        listen_port=listen[1],
        upstreams=tuple(Upstream(*each) for each in connect),
        mode=Mode(mode),
        window_bytes=window,
        source_host=source,
        max_connections=max_connections,
        idle_ns=idle,
        connect_timeout_ns=connect_timeout,
        drain_ns=drain,
        keepalive_ns=keepalive,
        proxy_header=send_proxy_v2,
    )
    return _run(config, log, as_json=as_json)


def _run(config: ProxyConfig, log: Path | None, *, as_json: bool) -> int:
    """Forward until a signal, then print the counters; returns the exit code."""
    from coordinator.cli.foreground import Foreground, document, totals
    from coordinator.output.stderr import say_once
    from coordinator.output.streams import print_document, print_text
    from loadgen.host.limits import raise_open_files
    from loadgen.proxy.journal import Journal
    from loadgen.proxy.service import Service

    journal = Journal(log, time.time_ns) if log else None
    service = Service(config, journal)
    raise_open_files()
    started_ns = time.monotonic_ns()
    cut = Foreground(service).run()
    counters, elapsed_ns = service.counters(), time.monotonic_ns() - started_ns
    if journal is not None:
        journal.close(_LOG_S)
        if journal.dropped:
            say_once(f"proxy: the log {log} lacks {journal.dropped} lines: it was not written in time")
    if as_json:
        print_document(document(service, counters, cut, elapsed_ns))
    else:
        print_text("".join(f"{name:<16}{value:>20,}\n" for name, value in totals(counters, cut).items()))
    return 0
