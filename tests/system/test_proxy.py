"""`loadgen proxy` as a user runs it: signals, limits, the terminal, and errors of one line."""

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
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import LOADGEN, environment, loadgen
from tests.support.proxies import (
    PATIENCE_S,
    cpu_s,
    descriptors,
    is_reset,
    listening,
    read_all,
    read_exactly,
    refusing_upstream,
)
from tests.support.proxy_command import started
from tests.support.vms import within


@pytest.fixture
def upstream() -> Iterator[socket.socket]:
    with listening() as sock:
        yield sock


<<<<<<< HEAD
=======
class Started:
    """A proxy's command that runs.  `address` is where it listens."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        assert process.stderr is not None
        self.opening = process.stderr.readline().decode()
        found = re.search(r"proxy: (.*):(\d+) forwards to", self.opening)
        assert found, self.opening
        self.address = (found[1], int(found[2]))

    def client(self, **changes: int) -> socket.socket:
        return connect(socket.AF_INET, self.address, **changes)

    def drain(self, number: int = signal.SIGTERM) -> str:
        """Send a signal; what it says when it has stopped accepting."""
        self.process.send_signal(number)
        assert self.process.stderr is not None
        while line := self.process.stderr.readline().decode():
            if "a second signal" in line:
                return line
        raise AssertionError("it has ended")

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Exit code, stdout and the rest of stderr after a signal."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out.decode(), err.decode()


@contextlib.contextmanager
def started(
    upstream: socket.socket | int, tmp_path: Path, *options: str, prefix: tuple[str, ...] = ()
) -> Iterator[Started]:
    """`loadgen proxy` on any free port; killed when the test did not end it."""
    port = upstream if isinstance(upstream, int) else upstream.getsockname()[1]
    argv = [*prefix, LOADGEN, "proxy", "--listen", ":0", "--connect", f"127.0.0.1:{port}", *options]
    process = subprocess.Popen(
        argv,
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            yield Started(process)
        finally:
            if process.poll() is None:
                process.kill()


class Talker:
    """One end of a connection: sends so much, in chunks and with pauses of its own, and hears what comes.

    `last_words_bytes` of it are only said when the other end has ended.
    """

    def __init__(self, sock: socket.socket, seed: int, size_bytes: int, last_words_bytes: int) -> None:
        self.sent, self.heard = hashlib.sha256(), hashlib.sha256()
        self.size_bytes, self.heard_bytes = size_bytes, 0
        self.error: BaseException | None = None
        self._sock = sock
        self._seed = seed
        self._last_words_bytes = last_words_bytes
        self._heard_all = threading.Event()
        self.threads = [threading.Thread(target=self._guard, args=(work,)) for work in (self._send, self._hear)]

    def _guard(self, work: Callable[[random.Random], None]) -> None:
        try:
            work(random.Random(self._seed))
        except Exception as error:  # noqa: BLE001 - the test's own thread tells it
            self.error = error
            self._sock.close()

    def _send(self, chance: random.Random) -> None:
        self._say(chance, 0, self.size_bytes - self._last_words_bytes)
        if self._last_words_bytes:
            assert self._heard_all.wait(60)
            self._say(chance, self.size_bytes - self._last_words_bytes, self.size_bytes)
        self._sock.shutdown(socket.SHUT_WR)

    def _say(self, chance: random.Random, offset: int, end: int) -> None:
        while offset < end:
            chunk = stream(self._seed + offset, min(end - offset, int(2 ** chance.uniform(0, 20))))
            self._sock.sendall(chunk)
            self.sent.update(chunk)
            offset += len(chunk)
            _pause(chance)

    def _hear(self, chance: random.Random) -> None:
        view = memoryview(bytearray(MIB))
        while count := self._sock.recv_into(view[: int(2 ** chance.uniform(8, 20))]):
            self.heard.update(view[:count])
            self.heard_bytes += count
            _pause(chance)
        self._heard_all.set()


def _pause(chance: random.Random) -> None:
    if chance.random() < 0.02:
        time.sleep(chance.uniform(0, 0.004))


@MODES
def test_a_gigabyte_arrives_as_it_was_sent(mode: str, upstream: socket.socket, tmp_path: Path) -> None:
    """Twelve connections at once: chunks of a byte to 1 MB, pauses, half-closes in any order; SHA-256 at both ends."""
    chance = random.Random(1999)
    with started(upstream, tmp_path, "--mode", mode, "--json") as proxy, contextlib.ExitStack() as stack:
        clients: list[Talker] = []
        servers: list[Talker] = []
        for number in range(12):
            last_words = [(0, 0), (0, 200_000), (1, 0)][number % 3]  # nobody's, the upstream's, the client's
            for talkers, sock, last_words_bytes in (
                (clients, proxy.client(), last_words[0]),
                (servers, upstream.accept()[0], last_words[1]),
            ):
                stack.enter_context(sock).settimeout(60)
                size_bytes = chance.randrange(20 * MIB, 80 * MIB)
                talkers.append(Talker(sock, chance.randrange(1 << 20), size_bytes, last_words_bytes))
        everybody = clients + servers
        assert sum(talker.size_bytes for talker in everybody) >= 1 << 30
        threads = [thread for talker in everybody for thread in talker.threads]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [talker.error for talker in everybody if talker.error] == []
        for one, other in itertools.chain(zip(clients, servers, strict=True), zip(servers, clients, strict=True)):
            assert other.heard_bytes == one.size_bytes
            assert other.heard.digest() == one.sent.digest()
        code, out, _ = proxy.end()
    assert code == 0
    assert json.loads(out)["counters"] == {
        **dict.fromkeys(("refused", "upstream_failed", "reset", "idle", "cut"), 0),
        "accepted": 12,
        "forwarded_bytes": sum(client.size_bytes for client in clients),
        "returned_bytes": sum(server.size_bytes for server in servers),
    }


@MODES
def test_many_blocked_flows_need_bounded_memory_and_lose_nothing(
    mode: str, upstream: socket.socket, tmp_path: Path
) -> None:
    flows, patience = 256, 20.0
    with started(upstream, tmp_path, "--mode", mode, "--window", "128K") as proxy, contextlib.ExitStack() as stack:
        pid = proxy.process.pid
        clients: list[socket.socket] = []
        servers: list[socket.socket] = []
        for _ in range(flows):
            clients.append(stack.enter_context(proxy.client(send_bytes=64 << 10)))
            servers.append(stack.enter_context(upstream.accept()[0]))
        before = descriptors(pid)
        assert before >= 2 * flows
        sent = [0] * flows
        with selectors.DefaultSelector() as selector:
            for number, client in enumerate(clients):
                client.setblocking(False)
                selector.register(client, selectors.EVENT_WRITE, number)
            while ready := selector.select(1):
                for key, _ in ready:
                    with contextlib.suppress(BlockingIOError):
                        sent[key.data] += clients[key.data].send(stream(sent[key.data], 256 << 10))
        memory_bytes, open_now = resident_bytes(pid), descriptors(pid)
        assert memory_bytes < 220e6
        assert open_now <= before + 2 * flows + 10
        used_s = cpu_s(pid)
        time.sleep(0.3)
        assert cpu_s(pid) - used_s < 0.1  # whoever is blocked keeps nobody busy
        for client, server, sent_bytes in zip(clients, servers, sent, strict=True):
            client.shutdown(socket.SHUT_WR)
            server.settimeout(patience)
            received_bytes = 0
            while chunk := server.recv(MIB):
                assert is_stream(received_bytes, chunk)
                received_bytes += len(chunk)
            assert received_bytes == sent_bytes
            server.close()
        assert within(PATIENCE_S, lambda: descriptors(pid) <= before - 2 * flows)
        assert proxy.end()[0] == 0


>>>>>>> pure
def test_out_of_descriptors_it_refuses_and_recovers_and_stays_calm(upstream: socket.socket, tmp_path: Path) -> None:
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


def test_a_signal_lets_what_is_open_end(upstream: socket.socket, tmp_path: Path) -> None:
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
def test_a_second_signal_cuts_it(number: signal.Signals, upstream: socket.socket, tmp_path: Path) -> None:
    with started(upstream, tmp_path) as proxy, proxy.client() as client, upstream.accept()[0] as server:
        proxy.drain(number)
        code, out, _ = proxy.end(number)
        assert code == 0
        assert is_reset(client)
        assert is_reset(server)
        assert re.search(r"^cut +1$", out, re.MULTILINE)
        assert re.search(r"^accepted +1$", out, re.MULTILINE)


def test_what_does_not_end_in_time_is_cut(upstream: socket.socket, tmp_path: Path) -> None:
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


def test_a_port_that_is_taken_is_one_line(upstream: socket.socket, tmp_path: Path) -> None:
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
<<<<<<< HEAD
=======


async def _hosted(upstream: socket.socket) -> None:
    connect_port = upstream.getsockname()[1]
    first = free_ports(5)
    async with ProxyEnd("proxy") as proxy:
        port, report = await proxy.host(
            host="127.0.0.1",
            port=first,
            connect_host="127.0.0.1",
            connect_port=connect_port,
            modes=[Mode.SPLICE, Mode.COPY],
            windows_bytes=[0, 64 << 10],
        )
        assert port == first
        assert [(one.mode, one.window_bytes, one.port - first) for one in report.services] == [
            (Mode.SPLICE, 0, 1),
            (Mode.SPLICE, 64 << 10, 2),
            (Mode.COPY, 0, 3),
            (Mode.COPY, 64 << 10, 4),
        ]
        for number, service in enumerate(report.services, start=1):
            with socket.create_connection(("127.0.0.1", service.port), PATIENCE_S) as client:
                client.sendall(b"x" * 1000 * number)
                client.shutdown(socket.SHUT_WR)
                with upstream.accept()[0] as server:
                    assert len(read_all(server)) == 1000 * number
                    server.sendall(b"y")
                assert read_all(client) == b"y"
        later = await _report_when(port, lambda report: not any(one.counters.open for one in report.services))
        assert [one.counters.forwarded_bytes for one in later.services] == [1000, 2000, 3000, 4000]
        assert [one.counters.accepted for one in later.services] == [1, 1, 1, 1]
        assert later.cpu_ns >= report.cpu_ns > 0
        assert later.memory_bytes > 1 << 20
        with pytest.raises(PlanError, match="already"):
            await proxy.host(
                host="127.0.0.1", connect_host="127.0.0.1", connect_port=9, modes=[Mode.COPY], windows_bytes=[0]
            )
        with (
            socket.create_connection(("127.0.0.1", report.services[0].port), PATIENCE_S) as client,
            upstream.accept()[0] as server,
        ):
            proxy._process.stdin.close()  # type: ignore[union-attr]
            assert await asyncio.to_thread(is_reset, client)
            assert is_reset(server)
    assert proxy.is_lost
    assert not any(_connects_to(port) for port in range(first, first + 5))


async def _report_when(port: int, happened: Callable[[HostReport], bool]) -> HostReport:
    async with asyncio.timeout(PATIENCE_S):
        while not happened(report := await fetch("127.0.0.1", port)):  # noqa: ASYNC110 - another process's news
            await asyncio.sleep(0.02)
    return report


def _connects_to(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def test_a_proxy_host_forwards_each_way_and_reports(upstream: socket.socket) -> None:
    asyncio.run(_hosted(upstream))


def test_a_host_that_cannot_be_is_refused_and_nothing_listens() -> None:
    async def refused(first: int) -> None:
        async with ProxyEnd("proxy") as proxy:

            async def host(port: int = 0, connect_host: str = "127.0.0.1", mode: Mode = Mode.COPY) -> int:
                got, _ = await proxy.host(
                    host="127.0.0.1",
                    port=port,
                    connect_host=connect_host,
                    connect_port=9,
                    modes=[mode],
                    windows_bytes=[0],
                )
                return got

            before = descriptors(proxy.pid)
            with pytest.raises(PlanError, match=r"cannot listen on 127\.0\.0\.1:\d+: Address already in use"):
                await host(port=first)
            with pytest.raises(PlanError, match=r"cannot listen on 127\.0\.0\.1 port"):
                await host(port=first + 1)
            with pytest.raises(PlanError, match="must be splice or copy"):
                await host(mode=Mode.DIRECT)
            with pytest.raises(TargetError, match="the upstream ::g is not known"):
                await host(connect_host="::g")
            assert descriptors(proxy.pid) == before
            assert await host() > 0

    first = free_ports(3)
    with socket.create_server(("127.0.0.1", first + 1)):
        asyncio.run(refused(first))


PARENT = """
import asyncio, sys
from coordinator.network.ends import ProxyEnd
from loadgen.model.probe import Mode

async def main():
    async with ProxyEnd("proxy") as proxy:
        port, _ = await proxy.host(
            host="127.0.0.1", connect_host="127.0.0.1", connect_port=9, modes=[Mode.SPLICE], windows_bytes=[0]
        )
        print(proxy.pid, port, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_it_does_not_outlive_whoever_started_it() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, port = map(int, parent.stdout.readline().split())
        assert _connects_to(port)
        parent.kill()
    assert within(PATIENCE_S, lambda: not is_running(pid))
    assert within(PATIENCE_S, lambda: not _connects_to(port))  # its other thread may be a little later
>>>>>>> pure
