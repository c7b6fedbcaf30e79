"""Roles in the foreground whose output nobody reads: they serve, and Ctrl-C ends them."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cli import LOADGEN, environment, loadgen
from tests.support.proxies import free_ports, listening
from tests.support.unread import a_full_terminal, a_pipe, waits_to_write
from tests.support.vms import within

LONGEST_S = 60


@contextlib.contextmanager
def role(*words: str, cwd: Path, stdout: int = subprocess.DEVNULL, stderr: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [LOADGEN, *words],
        cwd=cwd,
        env={**environment(cwd), "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
        return True
    return False


ROLES: dict[str, Callable[[int], tuple[str, ...]]] = {
    "serve": lambda port: ("serve", "--port", str(port), "--connections", "1", "--server", "builtin"),
    "iperf": lambda port: ("iperf", "--server", "--port", str(port)),
    "sink": lambda port: ("forward", "--role", "sink", "--listen", f"127.0.0.1:{port}"),
    "proxy host": lambda port: (
        *("forward", "--role", "proxy", "--listen", f"127.0.0.1:{port}", "--connect", "127.0.0.1:9"),
        *("--windows", "64K", "--modes", "splice"),
    ),
    "proxy": lambda port: ("proxy", "--listen", f"127.0.0.1:{port}", "--connect", "127.0.0.1:9"),
    "web": lambda port: ("web", ".", "--listen", f"127.0.0.1:{port}"),
}


@pytest.mark.parametrize("name", ROLES)
def test_a_role_ends_by_ctrl_c_although_nobody_reads_stderr(name: str, tmp_path: Path) -> None:
    port = free_ports(2)
    with a_full_terminal() as unread, role(*ROLES[name](port), cwd=tmp_path, stderr=unread.inner) as process:
        assert within(LONGEST_S, lambda: is_open(port) and waits_to_write(process.pid, 2))
        process.send_signal(signal.SIGINT)
        assert process.wait(LONGEST_S) == 0


def test_a_proxy_forwards_although_nobody_reads_stderr(tmp_path: Path) -> None:
    port = free_ports(1)
    with listening() as upstream, a_full_terminal() as unread:
        words = ("proxy", "--listen", f"127.0.0.1:{port}", "--connect", f"127.0.0.1:{upstream.getsockname()[1]}")
        with role(*words, cwd=tmp_path, stderr=unread.inner):
            assert within(LONGEST_S, lambda: is_open(port))
            upstream.accept()[0].close()


def test_a_worker_joins_although_nobody_reads_stderr(tmp_path: Path) -> None:
    made = loadgen("fleet", "certificates", "certs", "--workers", "1", cache=tmp_path, cwd=tmp_path)
    assert made.code == 0, made.err
    with socket.create_server(("127.0.0.1", 0)) as coordinator, a_full_terminal() as unread:
        coordinator.settimeout(LONGEST_S)
        words = ("worker", "--join", f"127.0.0.1:{coordinator.getsockname()[1]}", "--cert", "certs/worker-0.pem")
        with role(*words, cwd=tmp_path, stderr=unread.inner) as process:
            coordinator.accept()[0].close()
            coordinator.accept()[0].close()  # it has found that this is no coordinator, said so, and tries again
            process.send_signal(signal.SIGINT)
            assert process.wait(LONGEST_S) == 0


def test_an_iperf_server_goes_on_and_ends_although_nobody_reads_its_lines(tmp_path: Path) -> None:
    port = free_ports(1)
    test = ("iperf", "127.0.0.1", "-p", str(port), "-w", "auto", "--send", "-t", "300ms", "--repeats", "1")
    words = ("iperf", "--server", "--port", str(port))
    with contextlib.ExitStack() as ends:
        unread = ends.enter_context(a_pipe(room=0))
        process = ends.enter_context(role(*words, cwd=tmp_path, stdout=unread.inner, stderr=subprocess.PIPE))
        assert process.stderr is not None
        err = ends.enter_context(process.stderr)
        assert b"is served on" in err.readline()
        for number in range(2):
            done = loadgen(*test, "--out", str(number), cache=tmp_path, cwd=tmp_path)
            assert done.code in (0, 3), done.err
        process.send_signal(signal.SIGINT)
        assert process.wait(LONGEST_S) == 130
        said = err.read()
    assert said == b"loadgen: interrupted before stdout took all lines: nobody reads it\n"
