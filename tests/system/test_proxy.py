"""`loadgen proxy` as users run it: signals, limits, the terminal, and one-line errors."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.cli import LOADGEN, environment, loadgen
from tests.support.proxies import (
    PATIENCE_S,
    cpu_s,
    descriptors,
    is_reset,
    read_all,
    read_exactly,
    refusing_upstream,
)
from tests.support.proxy_command import started
from tests.support.vms import within


def test_without_descriptors_the_proxy_refuses_recovers_and_uses_little_cpu(
    upstream: socket.socket, tmp_path: Path
) -> None:
    limited = ("sh", "-c", 'ulimit -n 40; exec "$@"', "sh")
    with started(upstream, tmp_path, "--json", prefix=limited) as proxy, contextlib.ExitStack() as stack:
        clients = []
        for _ in range(60):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(proxy.address)
            clients.append(client)
        assert within(PATIENCE_S, lambda: descriptors(proxy.process.pid) >= 38)
        used_s = cpu_s(proxy.process.pid)
        time.sleep(0.5)
        assert cpu_s(proxy.process.pid) - used_s < 0.2
        for client in clients:
            client.close()
        upstream.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while True:
                upstream.accept()[0].close()
        with proxy.client() as client:
            upstream.settimeout(PATIENCE_S)
            with upstream.accept()[0] as server:
                client.sendall(b"room again")
                assert read_exactly(server, 10) == b"room again"
        code, out, _ = proxy.end()
    assert code == 0
    counters = json.loads(out)["counters"]
    assert counters["accepted"] == 61
    assert counters["refused"] >= 60 - 40 // 2


def test_after_a_signal_open_connections_may_end(upstream: socket.socket, tmp_path: Path) -> None:
    with (
        started(upstream, tmp_path, "--json") as proxy,
        proxy.client() as client,
        upstream.accept()[0] as server,
    ):
        client.sendall(b"before")
        assert read_exactly(server, 6) == b"before"
        assert "1 open connections have 10s to end" in proxy.drain()
        with pytest.raises(ConnectionRefusedError):
            proxy.client()
        client.sendall(b"after")
        client.shutdown(socket.SHUT_WR)
        assert read_all(server) == b"after"
        server.sendall(b"goodbye")
        server.close()
        assert read_all(client) == b"goodbye"
        out, _ = proxy.process.communicate(timeout=PATIENCE_S)
        assert proxy.process.returncode == 0
    document = json.loads(out)
    assert document["mode"] == "splice"
    assert document["listen"] == f"127.0.0.1:{proxy.address[1]}"
    assert document["counters"]["forwarded_bytes"] == 11
    assert document["counters"]["returned_bytes"] == 7
    assert document["counters"]["cut"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_second_signal_cuts_open_connections(number: signal.Signals, upstream: socket.socket, tmp_path: Path) -> None:
    with started(upstream, tmp_path) as proxy, proxy.client() as client, upstream.accept()[0] as server:
        proxy.drain(number)
        code, out, _ = proxy.end(number)
        assert code == 0
        assert is_reset(client)
        assert is_reset(server)
        assert re.search(r"^cut +1$", out, re.MULTILINE)
        assert re.search(r"^accepted +1$", out, re.MULTILINE)


def test_connections_that_do_not_end_in_time_are_cut(upstream: socket.socket, tmp_path: Path) -> None:
    with (
        started(upstream, tmp_path, "--drain", "100ms", "--json") as proxy,
        proxy.client() as client,
        upstream.accept()[0],
    ):
        code, out, _ = proxy.end()
        assert code == 0
        assert json.loads(out)["counters"]["cut"] == 1
        assert is_reset(client)


def test_a_dead_upstream_is_counted(tmp_path: Path) -> None:
    with refusing_upstream() as port, started(port, tmp_path, "--json") as proxy:
        for _ in range(3):
            with contextlib.suppress(ConnectionResetError), proxy.client() as client:
                assert is_reset(client)
        assert json.loads(proxy.end()[1])["counters"]["upstream_failed"] == 3


def test_a_taken_port_is_reported_in_one_line(upstream: socket.socket, tmp_path: Path) -> None:
    port = upstream.getsockname()[1]
    done = loadgen("proxy", "--listen", f":{port}", "--connect", "127.0.0.1:9", cache=tmp_path, cwd=tmp_path)
    assert done.code == 2
    assert done.out == ""
    assert done.err.splitlines() == [
        f"loadgen: cannot listen on 127.0.0.1:{port}: Address already in use",
        "hint: use another address or port",
    ]


def test_a_terminal_shows_one_line_and_may_be_stopped(upstream: socket.socket, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    argv = [LOADGEN, "proxy", "--listen", ":0", "--connect", f"127.0.0.1:{upstream.getsockname()[1]}"]
    process = subprocess.Popen(
        argv,
        cwd=tmp_path,
        env={**environment(tmp_path), "TERM": "xterm"},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""

    def shows(what: bytes) -> bool:
        nonlocal shown
        with contextlib.suppress(BlockingIOError):
            shown += os.read(ours, 4096)
        return what in shown

    with process:
        try:
            os.set_blocking(ours, False)
            assert within(PATIENCE_S, lambda: shows(b"Ctrl-C ends it"))
            found = re.search(rb"127.0.0.1:(\d+) forwards to", shown)
            assert found
            with (
                socket.create_connection(("127.0.0.1", int(found[1])), PATIENCE_S) as client,
                upstream.accept()[0] as server,
            ):
                assert within(PATIENCE_S, lambda: shows(b"\r\x1b[Kproxy: 1 open, 1 accepted; Mbit/s 0.0 forward"))
                os.write(ours, b"\x13")  # Ctrl-S: writing to the terminal blocks from now on
                time.sleep(1.2)
                client.sendall(b"still there?")
                assert read_exactly(server, 12) == b"still there?"
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 0
            assert re.search(rb"^forwarded_bytes +12$", out, re.MULTILINE)
        finally:
            if process.poll() is None:
                process.kill()
            os.close(ours)
