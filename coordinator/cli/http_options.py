"""Options of `loadgen http` about TLS and time-outs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from coordinator.cli.options import FILE, Parsed
from coordinator.cli.panels import option
from loadgen.model.errors import PlanError
from loadgen.model.units import parse_duration_ns

F = TypeVar("F", bound=Callable[..., Any])

_TLS = "TLS"


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
)


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
    }


def _path(file: Path | None) -> str | None:
    return None if file is None else str(file)
