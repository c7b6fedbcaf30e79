"""What users of iperf3 know: the options of a connection, and for others the word that loadgen has instead."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from coordinator.cli.options import FILE, Parsed
from coordinator.cli.panels import option
from loadgen.model.address import parse_address
from loadgen.model.errors import PlanError
from loadgen.model.probe import MAX_MSS_BYTES, MIN_MSS_BYTES, PASSWORD_VARIABLE, IperfPlan
from loadgen.model.units import parse_duration_ns

F = TypeVar("F", bound=Callable[..., Any])

_CONNECTION = "Connection"
_ONE = "the seconds of a run are in its record: `loadgen show RUN --format csv`"
_SERVER = "the server knows no passwords and no limits; let it listen at one address (--host), behind a firewall"

REFUSED: tuple[tuple[tuple[str, ...], bool, str], ...] = (
    (("--format", "-f"), True, "rates are printed in Mbit/s; --json has the numbers for other units"),
    (("--blockcount", "-k"), True, "use --bytes (-n), the number of blocks times their size (--block, -l)"),
    (("--zerocopy", "-Z"), False, "use --block (-l) for larger writes; loadgen's receiver copies nothing anyway"),
    (("--get-server-output",), False, "the report and --json have the counts of both ends"),
    (("--logfile",), True, "redirect the output: > FILE"),
    (("--daemon", "-D"), False, "start it in the background: nohup loadgen iperf --server > FILE &"),
    (("--pidfile", "-I"), True, "start it in the background, and write $! to the file"),
    (("--verbose", "-V"), False, "the report has all details; --json has all numbers"),
    (("--debug", "-d"), False, "the report has all details; --json has all numbers"),
    (("--json-stream",), False, f"use --json; {_ONE}"),
    (("--title", "-T"), True, "use --out DIRECTORY, which names the record"),
    (("--extra-data",), True, "use --out DIRECTORY, which names the record"),
    (("--file", "-F"), True, "the payload is random bytes; they do not compress"),
    (("--repeating-payload",), False, "the payload is random bytes; they do not compress"),
    (("--sctp",), False, "TCP and UDP (--udp) are measured"),
    (("--flowlabel", "-L"), True, "use --tos (-S) to mark packets"),
    (("--dscp",), True, "use --tos (-S) with four times the DSCP: 184 for EF"),
    (("--fq-rate",), True, "use --rate (-b)"),
    (("--pacing-timer",), True, "use --rate (-b); loadgen paces each block"),
    (("--bind-dev",), True, "use --bind (-B) with an address of the device"),
    (("--dont-fragment",), False, "use --block (-l) with a datagram that fits the MTU"),
    (("--forceflush",), False, "leave it out: each line is printed at once"),
    (("--timestamps",), False, _ONE),
    (("--rcv-timeout",), True, "leave it out: a silent server is reported after 10 s, a silent stream in the report"),
    (("--snd-timeout",), True, "leave it out: a silent server is reported after 10 s, a silent stream in the report"),
    (("--idle-timeout",), True, "leave it out: the server drops silent clients after 10 s"),
    (("--server-bitrate-limit",), True, _SERVER),
    (("--rsa-private-key-path",), True, _SERVER),
    (("--authorized-users-path",), True, _SERVER),
    (("--use-pkcs1-padding",), False, "leave it out: loadgen tries both paddings"),
)
"""Options of iperf3 that loadgen has not: their names, whether they take a value, and what to use instead."""


class _Refused(click.Option):
    """A hidden option that is answered with the word to use instead."""

    def __init__(self, names: tuple[str, ...], takes_value: bool, instead: str) -> None:
        super().__init__(
            [*names, f"refused_{names[0].strip('-').replace('-', '_')}"],
            is_flag=not takes_value,
            hidden=True,
            expose_value=False,
            callback=self._refuse,
        )
        self._instead = instead

    def _refuse(self, context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value not in (None, False):
            refuse(self.opts[0], self._instead)


def refuse(name: str, instead: str) -> NoReturn:
    """Raise PlanError for an option of iperf3 that loadgen has not."""
    raise PlanError(f"{name} is an option of iperf3 that loadgen does not have", hint=instead)


def iperf3_words(command: F) -> F:
    """Add the options of iperf3 that are refused, and `-i`, of which 1 is what loadgen does."""

    params = command.__dict__.setdefault("__click_params__", [])  # as click's own decorators do
    params += [_Refused(names, takes_value, instead) for names, takes_value, instead in REFUSED]
    return click.option("--interval", "-i", type=float, hidden=True, expose_value=False, callback=_check_interval)(
        command
    )


def _check_interval(context: click.Context, parameter: click.Parameter, value: float | None) -> None:
    if value not in (None, 1.0):
        raise PlanError(f"--interval {value:g} is not possible: loadgen reports each second", hint=_ONE)


def parse_tos(text: str) -> int:
    """Return a type of service like `184`, `0xb8` or `0270`, as iperf3 reads it.  Raises PlanError."""
    try:
        octal = len(text) > 1 and text.startswith("0") and text.isdecimal()
        value = int(text, 8 if octal else 0)
    except ValueError:
        value = -1
    if not 0 <= value <= 255:
        raise PlanError(f"{text!r} is not a type of service", hint="give 0 to 255, such as 184 or 0xb8 (DSCP EF)")
    return value


def parse_connect_timeout(text: str) -> int:
    """Return nanoseconds of a text like `3s`, or `3000`, which iperf3 reads as milliseconds.  Raises PlanError."""
    value_ns = parse_duration_ns(f"{text}ms" if text.isascii() and text.isdecimal() else text)
    if value_ns <= 0:
        raise PlanError(f"{text!r} is no time to wait for a connection", hint="write it like 3s, or 3000 (ms)")
    return value_ns


def connection_options(command: F) -> F:
    """Add the options of the connections of a test."""
    added = [
        option("--bind", "-B", metavar="ADDRESS", panel=_CONNECTION, help="Address of this end.  [default: any]"),
        option(
            "--cport",
            "client_port",
            type=click.IntRange(1, 65535),
            metavar="PORT",
            panel=_CONNECTION,
            help="Port of this end for the first stream; others use the next ports.  [default: any]",
        ),
        option("--ipv4", "-4", "ipv4", is_flag=True, panel=_CONNECTION, help="Use IPv4 only."),
        option("--ipv6", "-6", "ipv6", is_flag=True, panel=_CONNECTION, help="Use IPv6 only."),
        option(
            "--set-mss",
            "-M",
            "mss",
            type=click.IntRange(MIN_MSS_BYTES, MAX_MSS_BYTES),
            metavar="BYTES",
            panel=_CONNECTION,
            help=f"Maximum segment size of TCP, {MIN_MSS_BYTES} to {MAX_MSS_BYTES}.  [default: that of the path]",
        ),
        option(
            "--no-delay",
            "-N",
            "no_delay",
            is_flag=True,
            panel=_CONNECTION,
            help="Send small writes at once (TCP_NODELAY).",
        ),
        option(
            "--tos",
            "-S",
            type=Parsed("tos", parse_tos),
            metavar="N",
            panel=_CONNECTION,
            help="IP type of service, 0 to 255 or 0x00 to 0xff.  [default: 0]",
        ),
        option(
            "--connect-timeout",
            type=Parsed("duration", parse_connect_timeout),
            panel=_CONNECTION,
            help="Longest time to connect; a number without a unit is in ms.  [default: 10s]",
        ),
        option(
            "--username", metavar="NAME", panel=_CONNECTION, help="User of a stock iperf3 server that demands a login."
        ),
        option(
            "--rsa-public-key",
            "--rsa-public-key-path",
            "rsa_public_key",
            type=FILE,
            metavar="FILE",
            panel=_CONNECTION,
            help="Public RSA key of that server, in PEM format.",
        ),
        option(
            "--password-file",
            type=FILE,
            metavar="FILE",
            panel=_CONNECTION,
            help="File with the password in its first line.  "
            f"[default: {PASSWORD_VARIABLE} of the environment, or a prompt]",
        ),
    ]
    for decorate in reversed(added):
        command = decorate(command)
    return command


def connection_of(given: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an IperfPlan that the options set; None for those that were not given.  Raises PlanError."""
    if given["ipv4"] and given["ipv6"]:
        raise PlanError("--ipv4 and --ipv6 exclude each other", hint="leave out one of them")
    key: Path | None = given["rsa_public_key"]
    return {
        "bind": given["bind"],
        "client_port": given["client_port"],
        "ip_version": 4 if given["ipv4"] else 6 if given["ipv6"] else None,
        "mss_bytes": given["mss"],
        "no_delay": True if given["no_delay"] else None,
        "type_of_service": given["tos"],
        "connect_timeout_ns": given["connect_timeout"],
        "username": given["username"],
        "rsa_public_key": None if key is None else str(key.absolute()),
    }


def server_of(host: str | None, client: str | None, port: int | None) -> tuple[str | None, int | None]:
    """Return host and port of the server from HOST, -c HOST and -p PORT; HOST may be HOST:PORT.  Raises PlanError."""
    if host is not None and client is not None:
        raise PlanError(f"the server is given twice: {host} and -c {client}", hint="give one of them")
    host = host if host is not None else client
    if host is None or not (host.startswith("[") or host.count(":") == 1):
        return host, port
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], port
    name, its_port = parse_address(host)
    if port is not None and port != its_port:
        raise PlanError(f"the port is given twice: {its_port} in {host}, and -p {port}", hint="give one of them")
    return name, its_port


def provide_password(plan: IperfPlan, file: Path | None) -> None:
    """Put the password for the plan's user into the environment, which the probe's process inherits.

    It comes from `file`, from the environment, or from a prompt.  No plan and no record has it.  Raises PlanError.
    """
    if not plan.username:
        if file is not None:
            raise PlanError("--password-file is given without --username", hint="add --username and --rsa-public-key")
        return
    if file is not None:
        try:
            os.environ[PASSWORD_VARIABLE] = file.read_text().partition("\n")[0].rstrip("\r")
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise PlanError(f"cannot read the password file {file}: {why}") from error
    elif PASSWORD_VARIABLE not in os.environ:
        if not sys.stdin.isatty():
            raise PlanError(
                f"there is no password for the user {plan.username!r}",
                hint=f"set {PASSWORD_VARIABLE}, or give --password-file; only a terminal can be asked",
            )
        os.environ[PASSWORD_VARIABLE] = click.prompt(f"Password of {plan.username}", hide_input=True, err=True)
