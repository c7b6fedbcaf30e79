"""Options of `loadgen http` about TLS and time-outs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from coordinator.cli.options import FILE, Parsed
from coordinator.cli.panels import option
from loadgen.model.errors import PlanError
from loadgen.model.http_plan import MAX_REDIRECTS, HttpPlan
from loadgen.model.units import parse_duration_ns

F = TypeVar("F", bound=Callable[..., Any])

_TLS, _ASKED = "TLS", "Requests"
_REDIRECTS = 10


def _max_time(text: str) -> int:
    """Read a duration with its unit: in wrk, `-t 4` are four threads."""
    if text.strip().isdigit():
        raise PlanError(f"{text!r} has no unit", hint=f"write {text.strip()}s; for wrk's threads, use --engines")
    if not (max_time_ns := parse_duration_ns(text)):
        raise PlanError(f"{text!r} must be more than 0s")
    return max_time_ns


MAX_TIME = Parsed("duration", _max_time)
"""The type of the option --max-time."""

_OPTIONS = (
    option(
        "-k",
        "--insecure/--verify",
        default=None,
        panel=_TLS,
        help="Accept any certificate, or verify certificates.  [default: verify]",
    ),
    option(
        "--cacert",
        type=FILE,
        metavar="FILE",
        panel=_TLS,
        help="Authorities whose certificates are trusted, in PEM.  [default: those of the machine]",
    ),
    option("--cert", type=FILE, metavar="FILE", panel=_TLS, help="Certificate of the client, in PEM."),
    option(
        "--key",
        type=FILE,
        metavar="FILE",
        panel=_TLS,
        help="Key of the client's certificate, in PEM, not encrypted.  [default: in the file of --cert]",
    ),
    option(
        "--sni",
        metavar="NAME",
        panel=_TLS,
        help="Name of the server, which is sent and verified.  [default: the host of the URL]",
    ),
    option(
        "--tls-resume/--no-tls-resume",
        default=None,
        panel=_TLS,
        help="Resume the TLS session when a connection is opened again, or make each handshake a full one.  "
        "[default: no-tls-resume]",
    ),
)


_ROUTES = (
    option(
        "-L",
        "--location",
        is_flag=True,
        panel=_ASKED,
        help="Follow the redirects of each URL once, before the run; each hop is then a request of its own.",
    ),
    option(
        "--max-redirects",
        type=click.IntRange(1, MAX_REDIRECTS),
        metavar="N",
        panel=_ASKED,
        help=f"Redirects that -L follows for each URL, at most: 1 to {MAX_REDIRECTS}.  [default: {_REDIRECTS}]",
    ),
    option(
        "--connect-to",
        multiple=True,
        metavar="HOST1:PORT1:HOST2:PORT2",
        panel=_ASKED,
        help="Connect to the second server for URLs of the first one; Host and server name stay. HOST1 and PORT1 may "
        "be empty, for any. Can be given several times.",
    ),
    option(
        "--proxy",
        metavar="URL",
        panel=_ASKED,
        help="HTTP proxy, like http://USER:PASSWORD@192.0.2.8:3128; https URLs go through a tunnel (CONNECT).",
    ),
)


def route_options(command: F) -> F:
    """Add the options about where requests go to a command."""
    for add_option in reversed(_ROUTES):
        command = add_option(command)
    return command


def route_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan fields that these options set, by name; None where an option is not given.

    Raises PlanError when they contradict each other.
    """
    if given["max_redirects"] and not given["location"]:
        raise PlanError("--max-redirects needs -L", hint="give -L, too")
    return {
        "connect_to": given["connect_to"] or None,
        "proxy": given["proxy"],
        "follow": (given["max_redirects"] or _REDIRECTS) if given["location"] else None,
    }


def tls_options(command: F) -> F:
    """Add the options about TLS to a command."""
    for add_option in reversed(_OPTIONS):
        command = add_option(command)
    return command


def tls_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan fields that these options set, by name; None where an option is not given."""
    return {
        "tls_verify": None if given["insecure"] is None else not given["insecure"],
        "tls_ca": _path(given["cacert"]),
        "tls_cert": _path(given["cert"]),
        "tls_key": _path(given["key"]),
        "tls_name": given["sni"],
        "tls_resume": given["tls_resume"],
    }


def _path(file: Path | None) -> str | None:
    return None if file is None else str(file)


def default_engines(plan: HttpPlan) -> int:
    """Return the default number of engines: one for each core except one, which the coordinator uses.

    In an open loop, each engine needs a connection to every target, so the number may be smaller.
    """
    fewest = min(plan.shares) if plan.rate_per_s else plan.connections
    return max(1, min(len(os.sched_getaffinity(0)) - 1, fewest))
