"""The null responder: a web server that does next to nothing, so that whoever asks it is the limit.

It answers every request with status 200 and a body of a given size.  Its processes are
`python -m deploy.null_responder DESCRIPTOR BODY_BYTES`, each with a listening socket of the same port; they end with
their stdin.  The loop is compiled (deploy/_null.pyx) where that could be built, as the engine is; else it is in Python.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from loadgen.agent.children import start_child
from loadgen.host import child
from loadgen.model.errors import TargetError

HOST = "127.0.0.1"

_BACKLOG = 4096
_READ_BYTES = 1 << 16
_HEAD_MAX = 1 << 16
_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: close", re.IGNORECASE)
_END_S = 2.0

Serve = Callable[[int, int, bytes, int], None]
"""A function of a listening descriptor, a descriptor whose data or end ends the loop, the reply, and the length of the
head of the reply.
"""


def reply_of(body_bytes: int) -> tuple[bytes, int]:
    """Return the reply with a body of this size, and the length of its head."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % body_bytes
    return head + b"." * body_bytes, len(head)


def compiled() -> Serve | None:
    """Return the compiled loop; None where it could not be built."""
    try:
        from deploy._null import serve
    except ImportError:
        return None
    return serve


@contextlib.contextmanager
def null_responder(body_bytes: int, processes: int = 1) -> Iterator[int]:
    """Run a null responder of so many processes on loopback, and yield its port.

    Raises TargetError when it cannot start.
    """
    started: list[subprocess.Popen[bytes]] = []
    try:
        with contextlib.ExitStack() as ours:  # the processes alone listen
            port = 0
            for _ in range(processes):
                listener = ours.enter_context(_listen(port))
                port = listener.getsockname()[1]
                descriptor = listener.fileno()
                started.append(
                    start_child("deploy.null_responder", str(descriptor), str(body_bytes), pass_fds=[descriptor])
                )
    except OSError as error:
        _end(started)
        raise TargetError(f"the null responder cannot be started: {error.strerror}") from error
    try:
        yield port
    finally:
        _end(started)


def _listen(port: int) -> socket.socket:
    sock = socket.socket()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # the kernel shares connections out to the processes
        sock.bind((HOST, port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    for process in processes:
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@dataclass(eq=False, slots=True)
class _Peer:
    """A connection: what was received of requests and not answered, and what is not sent of the reply.

    `skip`: bytes of a request body that are still to come.  `last`: the connection is closed after the reply.
    """

    sock: socket.socket
    held: bytes = b""
    skip: int = 0
    left: memoryview = field(default_factory=lambda: memoryview(b""))
    last: bool = False


def serve_in_python(listener: int, commands: int, reply: bytes, head_bytes: int) -> None:
    """Answer each request on `listener` until `commands` is readable."""
    server = socket.socket(fileno=os.dup(listener))
    server.setblocking(False)
    epoll = select.epoll()
    peers: dict[int, _Peer] = {}
    whole = memoryview(reply)
    for descriptor in (listener, commands):
        epoll.register(descriptor, select.EPOLLIN)
    with server, epoll:
        try:
            while True:
                for descriptor, _ in epoll.poll():
                    if descriptor == commands:
                        return
                    if descriptor == listener:
                        _welcome(server, epoll, peers)
                        continue
                    peer = peers[descriptor]
                    sending = bool(peer.left) and not peer.skip
                    if not (_send(peer) if sending else _hear(peer, whole, head_bytes)):
                        del peers[descriptor]
                        peer.sock.close()
                    elif (bool(peer.left) and not peer.skip) is not sending:
                        epoll.modify(descriptor, select.EPOLLIN if sending else select.EPOLLOUT)
        finally:
            for peer in peers.values():
                peer.sock.close()


def _welcome(server: socket.socket, epoll: select.epoll, peers: dict[int, _Peer]) -> None:
    try:
        sock, _ = server.accept()
    except OSError:
        return
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peers[sock.fileno()] = _Peer(sock)
    epoll.register(sock.fileno(), select.EPOLLIN)


def _hear(peer: _Peer, reply: memoryview, head_bytes: int) -> bool:
    """Read requests and answer them.  Returns whether the connection stays."""
    try:
        data = peer.sock.recv(_READ_BYTES)
    except BlockingIOError:
        return True
    except OSError:
        return False
    if not data:
        return False
    if peer.skip:
        some = min(peer.skip, len(data))
        peer.skip -= some
        data = data[some:]
        if peer.skip:
            return True
        if not _send(peer):
            return False
    data = peer.held + data
    while data and not peer.left:
        head, end, rest = data.partition(_END)
        if not end:
            break
        found = None if head.startswith(b"G") else _LENGTH.search(head)
        size = int(found[1]) if found else 0
        peer.last = _CLOSE.search(head) is not None
        peer.left = reply[:head_bytes] if head.startswith(b"HEAD ") else reply
        peer.skip = max(0, size - len(rest))
        data = rest[size:]
        if not peer.skip and not _send(peer):
            return False
    peer.held = data
    return len(data) <= _HEAD_MAX


def _send(peer: _Peer) -> bool:
    """Send what is left of the reply.  Returns whether the connection stays."""
    try:
        while peer.left:
            peer.left = peer.left[peer.sock.send(peer.left) :]
    except BlockingIOError:
        return True
    except OSError:
        return False
    return not peer.last


def main() -> int:
    """Run one process of the responder.  Returns the exit code."""
    child.begin()
    listener, body_bytes = int(sys.argv[1]), int(sys.argv[2])
    reply, head_bytes = reply_of(body_bytes)
    (compiled() or serve_in_python)(listener, sys.stdin.fileno(), reply, head_bytes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
