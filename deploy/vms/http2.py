"""Checks before a run that a server speaks HTTP/2, without a request."""

from __future__ import annotations

import asyncio
import ssl

PROTOCOLS = ("h2", "http/1.1")
"""What is offered in a TLS handshake; HTTP/1.1 is there to learn that a server has nothing else."""

HINT = "omit --http2, or turn HTTP/2 on in the server"

_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # the preface and empty SETTINGS
_HEADER_BYTES = 9
_SETTINGS = 4


async def why_not_http2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    """Why a server, to which a connection is open, cannot be used with HTTP/2; "" when it can.

    A server with TLS has said in the handshake what it speaks.  Any other one must answer with its SETTINGS.
    Raises OSError when the connection breaks.
    """
    tls = writer.get_extra_info("ssl_object")
    if isinstance(tls, ssl.SSLObject):
        if tls.selected_alpn_protocol() == PROTOCOLS[0]:
            return ""
        return "it does not offer HTTP/2 in the TLS handshake (ALPN)"
    writer.write(_HELLO)
    try:
        header = await reader.readexactly(_HEADER_BYTES)
    except asyncio.IncompleteReadError as error:
        header = error.partial
    if len(header) == _HEADER_BYTES and header[3] == _SETTINGS:
        return ""
    if not header:
        return "it closes the connection when HTTP/2 is spoken to it"
    if header.startswith(b"HTTP/1"):
        return "it answers with HTTP/1.1 when HTTP/2 is spoken to it"
    return "it does not answer in HTTP/2"
