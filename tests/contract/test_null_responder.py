"""The null responder answers every request at once: its compiled loop, and the one in Python."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from deploy.null_responder import Serve, compiled, null_responder, reply_of, serve_in_python

BODY = 3_000_000  # more than socket buffers hold, so that replies are sent in parts
REQUIRED = os.environ.get("CI") == "true"
LOOPS: dict[str, Serve | None] = {"python": serve_in_python, "compiled": compiled()}


@pytest.fixture(params=LOOPS)
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Run the loop in a thread."""
    serve = LOOPS[request.param]
    if serve is None and not REQUIRED:
        pytest.skip("the null responder was not compiled")
    assert serve is not None
    reply, head_bytes = reply_of(BODY)
    ending, end = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        thread = threading.Thread(target=serve, args=(listener.fileno(), ending, reply, head_bytes))
        thread.start()
        yield listener.getsockname()[1]
        os.close(end)
        thread.join(30)
        assert not thread.is_alive()
    os.close(ending)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 30)


def whole(sock: socket.socket, body: int = BODY) -> None:
    """Read one reply, and nothing after it."""
    data = b""
    size = len(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY) + body
    while len(data) < size:
        some = sock.recv(min(1 << 20, size - len(data)))
        assert some
        data += some
    assert data.startswith(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY)
    assert data.count(b".") == body + 1  # with that of the version


def test_many_requests_of_one_connection(port: int) -> None:
    with connect(port) as sock:
        for _ in range(3):
            sock.sendall(b"GET /any HTTP/1.1\r\nHost: h\r\n\r\n")
            whole(sock)


def test_a_request_that_comes_in_pieces_is_answered_once(port: int) -> None:
    with connect(port) as sock, connect(port) as other:
        for byte in b"GET / HTTP/1.1\r\nHost: h\r\n\r\n":
            sock.sendall(bytes([byte]))
            other.sendall(bytes([byte]))
        whole(sock)
        whole(other)
        sock.sendall(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
        whole(sock, 0)


def test_a_body_is_read_before_the_answer(port: int) -> None:
    body = b"GET / HTTP/1.1\r\n\r\n" * 10_000
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-LENGTH: %d\r\n\r\n" % len(body)
    with connect(port) as sock:
        for at in range(0, len(head) + len(body), 50_000):
            sock.sendall((head + body)[at : at + 50_000])
        whole(sock)
        sock.sendall(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok")
        whole(sock)
        sock.sendall(b"POST / HTTP/1.1\r\nHost: h\r\n\r\n")
        whole(sock)


def test_a_connection_is_closed_when_the_client_asks_for_it(port: int) -> None:
    with connect(port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        whole(sock)
        assert sock.recv(1) == b""
    for _ in range(50):  # descriptors that were closed are used again
        with connect(port) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n")
    with connect(port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        whole(sock)


def test_its_processes_share_a_port_and_end(no_descriptor_is_left: None) -> None:
    with null_responder(10, processes=2) as port:
        for _ in range(8):
            with connect(port) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                assert sock.recv(100).endswith(b"\r\n\r\n..........")
    with pytest.raises(ConnectionRefusedError):
        connect(port)
