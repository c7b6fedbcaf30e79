"""The first word of a server: iperf3's, or that of something else on the port."""

from __future__ import annotations

import contextlib

from loadgen.probe.api import NotListeningError, ProbeError
from loadgen.probe.control import Control, PeerGoneError, PeerSilentError
from loadgen.probe.iperf3 import ProtocolError, State

_HINT = "check the address and the port (iperf3's is 5201); start `iperf3 -s` or `loadgen iperf --server` there"
_SHOWN_BYTES = 24
_END_OF_REQUEST = b"\r\n\r\n"

_KNOWN = (
    (b"HTTP/", "a web server"),
    (b"<", "a web server"),
    (b"SSH-", "an SSH server"),
    (b"\x15\x03", "a server that speaks TLS (https, for example)"),
    (b"220", "a mail or FTP server"),
    (b"+OK", "a mail server"),
    (b"* OK", "a mail server"),
    (b"-ERR", "a Redis server"),
)


def who_says(data: bytes) -> str:
    """What a server probably is that begins with `data`, in words."""
    for begin, what in _KNOWN:
        if data.startswith(begin):
            return what
    return f"something else, which sent {data[:_SHOWN_BYTES]!r}"


async def first_state(control: Control, cookie: bytes) -> State:
    """Send `cookie`, and return the first state of the server.

    Raises ProbeError that says what is there instead of an iperf3 server: NotListeningError if it ended the connection
    without a word.
    """
    try:
        await control.send(cookie)
        return await control.soon()
    except ProtocolError:
        said = await control.rest_of_greeting()
        raise ProbeError(f"is no iperf3 server but {who_says(said)}", hint=_HINT) from None
    except PeerGoneError as error:
        raise NotListeningError(
            f"is probably no iperf3 server: it {error.message} before it said anything", hint=_HINT
        ) from error
    except PeerSilentError as error:
        if said := await _answer_as_request(control):
            raise ProbeError(f"is no iperf3 server but {who_says(said)}", hint=_HINT) from None
        raise ProbeError(
            f"is probably no iperf3 server, or it hangs: it accepted the connection, but {error.message}", hint=_HINT
        ) from error


async def _answer_as_request(control: Control) -> bytes:
    """What a silent server answers when the cookie ends as a request does: a web server waits for that."""
    with contextlib.suppress(ProbeError):
        await control.send(_END_OF_REQUEST)
        return await control.rest_of_greeting()
    return b""
