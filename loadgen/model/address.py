"""HOST:PORT, as people write it."""

from __future__ import annotations

from loadgen.model.errors import PlanError

_HINT = "write it like 192.0.2.1:5201, [2001:db8::1]:5201 or name:5201"


def parse_address(text: str) -> tuple[str, int]:
    """Host and port; an IPv6 address in brackets.  Port 0 is left to whoever uses it.  Raises PlanError."""
    host, colon, port = text.strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if not colon or not host or (":" in host) != bracketed or any(sign in host for sign in "[] \t"):
        raise PlanError(f"{text!r} is not HOST:PORT", hint=_HINT)
    if not (port.isascii() and port.isdecimal() and int(port) <= 65535):
        raise PlanError(f"{text!r}: {port!r} is not a port", hint=_HINT)
    return host, int(port)


def format_address(host: str, port: int) -> str:
    """What :func:`parse_address` reads back."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
