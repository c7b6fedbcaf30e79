"""Opens the connections of a test: the control connection by name, then the streams to the same address."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from dataclasses import dataclass
from typing import Any

from loadgen.model.probe import MIN_UDP_BLOCK_BYTES
from loadgen.model.units import NS_PER_S
from loadgen.probe.api import ProbeError
from loadgen.probe.iperf3 import UDP_CONNECT, UDP_CONNECTS
from loadgen.probe.messages import Parameters
from loadgen.probe.sockets import tune

_GREET_AGAIN_S = 1.0  # the first datagram of a stream may get lost
_GREETING_BYTES = 64
_START_HINT = "start `iperf3 -s` or `loadgen iperf --server` there"


@dataclass(frozen=True, slots=True)
class Path:
    """The address that the control connection of a test reached; its streams go to the same address."""

    family: int
    address: Any  # of AF_INET or AF_INET6, from getaddrinfo

    async def tcp(self, asked: Parameters, cookie: bytes, patience_ns: int) -> socket.socket:
        """Open a TCP data connection and send the test's cookie on it.  Raises ProbeError."""
        sock = _socket(self.family, socket.SOCK_STREAM)
        try:
            tune(sock, asked)  # before connecting: the window is part of the handshake
            await _connect(sock, self.address, patience_ns)
            await asyncio.get_running_loop().sock_sendall(sock, cookie)
        except TimeoutError:
            sock.close()
            raise ProbeError("does not answer to a data connection") from None
        except OSError as error:
            sock.close()
            raise ProbeError(f"cannot be reached by a data connection: {error.strerror}") from error
        except BaseException:
            sock.close()
            raise
        return sock

    async def udp(
        self, asked: Parameters, cookie: bytes, patience_ns: int, control: asyncio.Future[Any]
    ) -> socket.socket:
        """Open a UDP stream and wait until the server has accepted it.

        `cookie`: what the server wants at the end of a greeting; may be empty.  An answer may get lost, so greetings
        are repeated, and the two other signs count: data of the test, which stay in the socket's queue, and `control`,
        the next message on the control connection, which the caller must judge.  Raises ProbeError.
        """
        sock = _socket(self.family, socket.SOCK_DGRAM)
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        try:
            sock.setblocking(False)
            tune(sock, asked)
            sock.connect(self.address)
            loop.add_reader(sock.fileno(), readable.set)
            try:
                async with asyncio.timeout(patience_ns / NS_PER_S):
                    while not control.done():
                        _greet(sock, UDP_CONNECT + cookie)
                        hearing: asyncio.Future[Any] = asyncio.ensure_future(readable.wait())
                        signs = (hearing, control)
                        await asyncio.wait(signs, timeout=_GREET_AGAIN_S, return_when=asyncio.FIRST_COMPLETED)
                        hearing.cancel()
                        readable.clear()
                        if _is_accepted(sock):
                            break
            finally:
                loop.remove_reader(sock.fileno())
        except TimeoutError:
            sock.close()
            raise ProbeError(
                "does not answer to UDP", hint="a firewall may pass TCP but drop UDP on the same port"
            ) from None
        except OSError as error:
            sock.close()
            raise ProbeError(f"cannot be reached over UDP: {error.strerror}") from error
        except BaseException:
            sock.close()
            raise
        return sock


def _greet(sock: socket.socket, greeting: bytes) -> None:
    with contextlib.suppress(BlockingIOError):
        sock.send(greeting)


def _is_accepted(sock: socket.socket) -> bool:
    """Whether the answer to a greeting (taken), or data of the test (left in the queue) has come."""
    while True:
        try:
            data = sock.recv(_GREETING_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        if len(data) >= MIN_UDP_BLOCK_BYTES:
            return True
        sock.recv(_GREETING_BYTES)
        if data in UDP_CONNECTS.values():
            return True


async def connect(host: str, port: int, patience_ns: int) -> tuple[Path, socket.socket]:
    """Open a control connection to the first address of `host` that accepts it.  Raises ProbeError."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        why = error.strerror if isinstance(error, socket.gaierror) else "it is not a valid host name"
        raise ProbeError(f"cannot be found: {why}", hint="check the name") from error
    failure = ProbeError("cannot be found")
    for family, kind, _, _, address in found:
        try:
            sock = _socket(family, kind)
        except ProbeError as error:
            failure = error
            continue
        try:
            await _connect(sock, address, patience_ns)
        except TimeoutError:
            sock.close()
            failure = ProbeError(
                "does not answer", hint="check the address, and whether a firewall drops the connection"
            )
        except OSError as error:
            sock.close()
            failure = _refusal(error)
        except BaseException:
            sock.close()
            raise
        else:
            return Path(family, address), sock
    raise failure


def _socket(family: int, kind: int) -> socket.socket:
    try:
        return socket.socket(family, kind)
    except OSError as error:  # for example no descriptor left, or no IPv6
        raise ProbeError(f"cannot be reached from here: {error.strerror}") from error


async def _connect(sock: socket.socket, address: Any, patience_ns: int) -> None:
    sock.setblocking(False)
    async with asyncio.timeout(patience_ns / NS_PER_S):
        await asyncio.get_running_loop().sock_connect(sock, address)


def _refusal(error: OSError) -> ProbeError:
    match error.errno:
        case errno.ECONNREFUSED:
            return ProbeError("refuses the connection", hint=_START_HINT)
        case errno.EHOSTUNREACH | errno.ENETUNREACH:
            return ProbeError(f"cannot be reached: {(error.strerror or '').lower()}")
        case errno.ETIMEDOUT:
            return ProbeError("does not answer")
    return ProbeError(f"cannot be reached: {error.strerror or error}")
