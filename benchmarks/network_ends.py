"""Source and sink for comparing proxies: one thread with epoll each, fair between flows, the same for every proxy.

    python benchmarks/network_ends.py sink HOST PORT
        discards all data; a connection whose first byte is "e" gets every byte sent back instead
    python benchmarks/network_ends.py flows HOST PORT COUNT SECONDS
        sends over COUNT connections as fast as possible
    python benchmarks/network_ends.py pingpong HOST PORT SECONDS
        sends one byte and waits for it to come back, over one connection
    python benchmarks/network_ends.py connects HOST PORT AT_ONCE SECONDS
        connects, sends one byte, waits for it to come back, and closes

Each command except sink prints "go" when the measured time begins, and one line of JSON at its end.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time

BLOCK_BYTES = 256 << 10
READ_BYTES = 1 << 20
WARMUP_S = 0.4
ECHO, DISCARD = b"e", b"d"
_ABORT = struct.pack("ii", 1, 0)


def sink(host: str, port: int) -> None:
    listener = socket.create_server((host, port), backlog=4096)
    listener.setblocking(False)
    poller = select.epoll()
    poller.register(listener.fileno(), select.EPOLLIN)
    buffer = bytearray(READ_BYTES)
    flows: dict[int, tuple[socket.socket, bool]] = {}
    strangers: dict[int, socket.socket] = {}
    while True:
        for fd, _ in poller.poll():
            try:
                if fd in flows:
                    sock, echoes = flows[fd]
                    count = sock.recv_into(buffer)
                    if count and echoes:
                        sock.send(buffer[:count])
                elif fd == listener.fileno():
                    sock, _ = listener.accept()
                    sock.setblocking(False)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    strangers[sock.fileno()] = sock
                    poller.register(sock.fileno(), select.EPOLLIN)
                    continue
                else:
                    sock = strangers.pop(fd)
                    first = sock.recv(1)
                    flows[fd] = (sock, first == ECHO)
                    if first == ECHO:
                        sock.send(first)
                    count = len(first)
            except BlockingIOError:
                continue
            except OSError:
                count = 0
            if not count:
                flows.pop(fd, (sock, False))[0].close()


def flows(host: str, port: int, count: int, seconds: float) -> dict[str, object]:
    """Return the bytes of each flow during the measured time."""
    block = memoryview(bytes(BLOCK_BYTES))
    socks = [socket.create_connection((host, port)) for _ in range(count)]
    poller = select.epoll()
    sent = {}
    for sock in socks:
        sock.send(DISCARD)
        sock.setblocking(False)
        sent[sock.fileno()] = 0
        poller.register(sock.fileno(), select.EPOLLOUT)
    send = {sock.fileno(): sock.send for sock in socks}

    def play(until: float) -> None:
        while time.monotonic() < until:
            for fd, _ in poller.poll(0.01):
                sent[fd] += send[fd](block)

    play(time.monotonic() + WARMUP_S)
    before, began = dict(sent), time.monotonic()
    print("go", flush=True)
    play(began + seconds)
    took = time.monotonic() - began
    for sock in socks:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)  # data that is still queued is not needed
        sock.close()
    return {"seconds": took, "bytes": [sent[fd] - before[fd] for fd in sent]}


def pingpong(host: str, port: int, seconds: float) -> dict[str, object]:
    with socket.create_connection((host, port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.send(ECHO)
        sock.recv(1)
        times_ns: list[int] = []

        def play(until: float) -> None:
            while time.monotonic() < until:
                began_ns = time.monotonic_ns()
                sock.send(ECHO)
                sock.recv(1)
                times_ns.append(time.monotonic_ns() - began_ns)

        play(time.monotonic() + WARMUP_S)
        times_ns.clear()
        print("go", flush=True)
        play(time.monotonic() + seconds)
    times_ns.sort()
    return {
        "transactions": len(times_ns),
        "p50_us": times_ns[len(times_ns) // 2] / 1e3,
        "p99_us": times_ns[len(times_ns) * 99 // 100] / 1e3,
    }


def connects(host: str, port: int, at_once: int, seconds: float) -> dict[str, object]:
    poller = select.epoll()
    busy: dict[int, socket.socket] = {}
    done = failed = 0

    def begin() -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex((host, port))
        busy[sock.fileno()] = sock
        poller.register(sock.fileno(), select.EPOLLOUT)

    def play(until: float) -> None:
        nonlocal done, failed
        while time.monotonic() < until:
            for fd, events in poller.poll(0.01):
                sock = busy[fd]
                try:
                    if events & select.EPOLLOUT and not events & select.EPOLLIN:
                        sock.send(ECHO)
                        poller.modify(fd, select.EPOLLIN)
                        continue
                    if sock.recv(1) != ECHO:
                        raise ConnectionResetError
                    done += 1
                except OSError:
                    failed += 1
                del busy[fd]
                # No TIME_WAIT: otherwise the ports of one address are used up in three seconds.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
                sock.close()
                begin()

    for _ in range(at_once):
        begin()
    play(time.monotonic() + WARMUP_S)
    done = failed = 0
    print("go", flush=True)
    began = time.monotonic()
    play(began + seconds)
    took = time.monotonic() - began
    for sock in busy.values():
        sock.close()
    return {"per_s": done / took, "failed": failed}


def main() -> None:
    what, host, port, *rest = sys.argv[1:]
    if what == "sink":
        sink(host, int(port))
        return
    if what == "flows":
        result = flows(host, int(port), int(rest[0]), float(rest[1]))
    elif what == "pingpong":
        result = pingpong(host, int(port), float(rest[0]))
    else:
        result = connects(host, int(port), int(rest[0]), float(rest[1]))
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
