"""Opens the connections of a test: the control connection by name, then the streams to the same address."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
from dataclasses import dataclass
from typing import Any

from loadgen.host import links
from loadgen.model.address import format_address
from loadgen.model.errors import PlanError
from loadgen.model.probe import MIN_UDP_BLOCK_BYTES
from loadgen.model.units import NS_PER_S
from loadgen.probe.api import NotListeningError, ProbeError
from loadgen.probe.iperf3 import UDP_CONNECT, UDP_CONNECTS
from loadgen.probe.messages import Parameters
from loadgen.probe.sockets import fit_segments, tune

_IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h
_GREET_AGAIN_S = 1.0  # the first datagram of a stream may get lost
_GREETING_BYTES = 64
_START_HINT = "start `iperf3 -s` or `loadgen iperf --server` there"


@dataclass(frozen=True, slots=True)
class Path:
    """The address that the control connection of a test reached; its streams go to the same address."""

    family: int
    address: Any  # of AF_INET or AF_INET6, from getaddrinfo
    source: Any = None  # of the same family; None: the kernel's choice

    def socket_from(self, kind: int, port: int) -> socket.socket:
        """A socket that connects from the source and `port`; 0 is the kernel's choice.  Raises ProbeError."""
        sock = _socket(self.family, kind)
        try:
            bind_source(sock, self.source, port)
        except BaseException:
            sock.close()
            raise
        return sock

    async def tcp(self, asked: Parameters, cookie: bytes, patience_ns: int, port: int = 0) -> socket.socket:
        """Open a TCP data connection (from `port`) and send the test's cookie on it.  Raises ProbeError."""
        sock = self.socket_from(socket.SOCK_STREAM, port)
        try:
            tune(sock, asked)  # before connecting: the window is part of the handshake
            if asked.window_bytes and not asked.mss_bytes:
                fit_segments(sock, asked.window_bytes)
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
        self, asked: Parameters, cookie: bytes, patience_ns: int, control: asyncio.Future[Any], port: int = 0
    ) -> socket.socket:
        """Open a UDP stream (from `port`) and wait until the server has accepted it.

        `cookie`: what the server wants at the end of a greeting; may be empty.  An answer may get lost, so greetings
        are repeated, and the two other signs count: data of the test, which stay in the socket's queue, and `control`,
        the next message on the control connection, which the caller must judge.  Raises ProbeError.
        """
        sock = self.socket_from(socket.SOCK_DGRAM, port)
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


async def connect(
    host: str, port: int, patience_ns: int, *, ip_version: int = 0, bind: str = ""
) -> tuple[Path, socket.socket]:
    """Open a control connection to the first address of `host` that accepts it.

    `ip_version`: 4, 6, or 0 for any.  `bind`: this end's address; empty for the kernel's choice.  Raises ProbeError,
    and PlanError if `bind` is no address of this machine.
    """
    family = {0: socket.AF_UNSPEC, 4: socket.AF_INET, 6: socket.AF_INET6}[ip_version]
    sources = await _sources(bind) if bind else {}
    found = await _found(host, port, family)
    if bind and not any(one[0] in sources for one in found):
        raise PlanError(f"{bind} and {host} have no IP version in common", hint="give --bind an address of the other")
    failure = ProbeError("cannot be found")
    for family, kind, _, _, address in found:
        if links.is_unscoped(address):
            failure = ProbeError(links.NEEDS_SCOPE, hint=links.how_to_scope(address))
            continue
        path = Path(family, address, sources.get(family))
        if bind and path.source is None:
            continue
        try:
            sock = path.socket_from(kind, 0)
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
            return path, sock
    raise failure


async def look_up(host: str, port: int, family: int = socket.AF_UNSPEC, flags: int = 0) -> list[Any]:
    """The addresses of `host` for TCP, as getaddrinfo returns them.  Raises OSError or UnicodeError.

    Addresses are not given to the event loop: uvloop takes the scope (%eth0) off them.
    """
    try:
        return list(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, flags | socket.AI_NUMERICHOST))
    except (OSError, UnicodeError):
        loop = asyncio.get_running_loop()
        return list(await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=flags))


async def _found(host: str, port: int, family: int) -> list[Any]:
    try:
        return await look_up(host, port, family)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not a valid host name"
        raise ProbeError(f"cannot be found: {why}", hint="check the name") from error


async def _sources(bind: str) -> dict[int, Any]:
    """The addresses of `bind` by family."""
    try:
        found = await look_up(bind, 0)
    except (OSError, UnicodeError) as error:
        raise PlanError(f"--bind {bind}: there is no such address", hint="give an address of this machine") from error
    return {family: address for family, _, _, _, address in reversed(found)}


def bind_source(sock: socket.socket, source: Any, port: int) -> None:
    """Bind to an address of the socket's family (None: any) and `port`.  Raises PlanError."""
    if source is None and not port:
        return
    address = list(source or (("::" if sock.family == socket.AF_INET6 else "0.0.0.0"), 0))
    address[1] = port
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if not port:
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        elif sock.type == socket.SOCK_STREAM:
            # Closed by a reset, the next test can use the port at once; its data and results have arrived by then.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.bind(tuple(address))
    except OSError as error:
        raise PlanError(
            f"cannot connect from {format_address(address[0], port)}: {error.strerror}",
            hint="give --bind an address of this machine, and --cport a free port",
        ) from error


def _socket(family: int, kind: int) -> socket.socket:
    try:
        return socket.socket(family, kind)
    except OSError as error:  # for example no descriptor left, or no IPv6
        raise ProbeError(f"cannot be reached from here: {error.strerror}") from error


async def _connect(sock: socket.socket, address: Any, patience_ns: int) -> None:
    async with asyncio.timeout(patience_ns / NS_PER_S):
        await links.connect(sock, address)


def _refusal(error: OSError) -> ProbeError:
    match error.errno:
        case errno.ECONNREFUSED:
            return NotListeningError("refuses the connection", hint=_START_HINT)
        case errno.ECONNRESET:  # it was accepted, and reset before this end saw that
            return NotListeningError(
                "is probably no iperf3 server: it reset the connection before it said anything", hint=_START_HINT
            )
        case errno.EHOSTUNREACH | errno.ENETUNREACH:
            return ProbeError(f"cannot be reached: {(error.strerror or '').lower()}")
        case errno.ETIMEDOUT:
            return ProbeError("does not answer")
    return ProbeError(f"cannot be reached: {error.strerror or error}")
