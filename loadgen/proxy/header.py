"""The PROXY protocol, version 2: it tells the upstream who the client is.

Source: "The PROXY protocol, versions 1 & 2" of HAProxy (doc/proxy-protocol.txt), section 2.2.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Any

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_VERSION_2_PROXY = 0x21
_TCP_OVER_IPV4, _TCP_OVER_IPV6 = 0x11, 0x21


def proxy_header(client: tuple[Any, ...], listening: tuple[Any, ...]) -> bytes:
    """The header of a connection from `client` to `listening`, both (address, port, ...) of one family.

    28 bytes for IPv4, 52 bytes for IPv6.  An IPv4 client of an IPv6 socket is written as IPv4.
    """
    ends = [ipaddress.ip_address(end[0].partition("%")[0]) for end in (client, listening)]
    mapped = [end.ipv4_mapped if isinstance(end, ipaddress.IPv6Address) else end for end in ends]
    four = [end for end in mapped if end is not None]
    if len(four) == 2:
        ends = list(four)
    addresses = b"".join(end.packed for end in ends) + struct.pack("!HH", client[1], listening[1])
    family = _TCP_OVER_IPV4 if len(four) == 2 else _TCP_OVER_IPV6
    return _SIGNATURE + struct.pack("!BBH", _VERSION_2_PROXY, family, len(addresses)) + addresses
