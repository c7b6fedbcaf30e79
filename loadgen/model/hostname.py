"""Names and addresses of hosts as people write them: checked, and in the ASCII form that resolvers and servers know."""

from __future__ import annotations

import ipaddress
import re

_NOT_IN_A_HOST = re.compile(r"[\s/\\\[\]@?#\x00-\x1f\x7f]")
_HOST_ONLY = "give only the host, like web1.example, 192.0.2.1 or 2001:db8::1"
_MOST_LABEL, _MOST_NAME = 63, 253  # RFC 1035, section 2.3.4


class HostError(ValueError):
    """A text is no host; `args[0]` says why, and `hint` what to write."""

    def __init__(self, why: str, hint: str = _HOST_ONLY) -> None:
        super().__init__(why)
        self.hint = hint


def ascii_host(text: str) -> str:
    """The name or address in lower-case ASCII: `Bücher.example` is `xn--bcher-kva.example`.  Raises HostError.

    An IPv6 address may have a zone (`fe80::1%eth0`), which only this machine knows.
    """
    if not text:
        raise HostError("there is no host")
    if wrong := _NOT_IN_A_HOST.search(text):
        raise HostError(f"{wrong[0]!r} is not allowed in a host")
    if ":" in text:
        return _ipv6(text)
    name = text.lower() if text.isascii() else _to_ascii(text)
    for label in name.removesuffix(".").split("."):
        if not label:
            raise HostError("a part between two dots is empty")
        if len(label) > _MOST_LABEL:
            raise HostError(f"a part has {len(label)} characters; at most {_MOST_LABEL} are allowed between two dots")
    if len(name.removesuffix(".")) > _MOST_NAME:
        raise HostError(f"it has {len(name)} characters; a name has at most {_MOST_NAME}")
    return name


def without_zone(host: str) -> str:
    """The host without the zone of an IPv6 address, as servers may see it (RFC 6874, section 4)."""
    return host.partition("%")[0] if ":" in host else host


def _ipv6(text: str) -> str:
    address, percent, zone = text.partition("%")
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        raise HostError(f"{address!r} is not an IPv6 address") from None
    if percent and not zone:
        raise HostError("the zone after % is empty", "name the interface, like fe80::1%eth0")
    return address.lower() + percent + zone


def _to_ascii(text: str) -> str:
    import idna  # only few names need it

    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        why = str(error).splitlines()[0][:100]
        raise HostError(f"it is not a name of the internet ({why})", "write it as xn--…, as DNS has it") from error
