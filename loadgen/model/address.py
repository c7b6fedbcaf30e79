"""Reads and writes network addresses as text in the form HOST:PORT."""

from __future__ import annotations

from loadgen.model.errors import PlanError

MOST_PORT = 65535
LOOPBACK = "127.0.0.1"

_HINT = "examples: 192.0.2.1:5201, [2001:db8::1]:5201, name:5201"


def port_number(digits: str) -> int:
    """The number that decimal digits write, or one beyond all ports when they are more than a port has.

    int() refuses thousands of digits.
    """
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= len(str(MOST_PORT)) else MOST_PORT + 1


def parse_address(text: str) -> tuple[str, int]:
    """(host, port) from HOST:PORT; IPv6 addresses need brackets.  Port 0 is allowed.  Raises PlanError."""
    host, colon, port = text.strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if not colon or not host or (":" in host) != bracketed or any(sign in host for sign in "[] \t"):
        raise PlanError(f"{text!r} is not HOST:PORT", hint=_HINT)
    if not (port.isascii() and port.isdecimal() and port_number(port) <= MOST_PORT):
        raise PlanError(f"{text!r}: {port!r} is not a port from 0 to 65535", hint=_HINT)
    return host, port_number(port)


def parse_own_address(text: str) -> tuple[str, int]:
    """(host, port) of an address to listen at; the host of :PORT is the loopback address.  Raises PlanError."""
    bare = text.strip()
    return parse_address(LOOPBACK + bare if bare.rfind(":") == 0 else bare)


def format_address(host: str, port: int) -> str:
    """HOST:PORT, with brackets around an IPv6 address; :func:`parse_address` reads it back."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
