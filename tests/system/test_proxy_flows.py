"""Many simultaneous connections through `loadgen proxy`: no byte is changed or lost, and memory is limited."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import random
import selectors
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.proxies import (
    PATIENCE_S,
    cpu_s,
    descriptors,
    is_stream,
    resident_bytes,
    stream,
)
from tests.support.proxy_command import started
from tests.support.vms import within

MODES = pytest.mark.parametrize("mode", ["splice", "copy"])
MIB = 1 << 20


class Talker:
    """One end of a connection: sends `size_bytes` in random chunks with random pauses, and hashes the received bytes.

    It holds back the last `last_words_bytes` until the other end has shut down.
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
        except Exception as error:  # noqa: BLE001 - the test's own thread reports it
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
def test_a_gigabyte_arrives_unchanged(mode: str, upstream: socket.socket, tmp_path: Path) -> None:
    """Twelve connections at once: chunks of 1 B to 1 MB, pauses, half-closes in any order; SHA-256 at both ends."""
    chance = random.Random(1999)
    with started(upstream, tmp_path, "--mode", mode, "--json") as proxy, contextlib.ExitStack() as stack:
        clients: list[Talker] = []
        servers: list[Talker] = []
        for number in range(12):
            last_words = [(0, 0), (0, 200_000), (1, 0)][number % 3]  # no end, the upstream, or the client
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
        **dict.fromkeys(("upstream_refused", "upstream_unreachable", "upstream_timed_out", "local_limit"), 0),
        "accepted": 12,
        "forwarded_bytes": sum(client.size_bytes for client in clients),
        "returned_bytes": sum(server.size_bytes for server in servers),
    }


@MODES
def test_many_blocked_flows_need_limited_memory_and_lose_nothing(
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
        assert cpu_s(pid) - used_s < 0.1  # blocked flows must cost no CPU
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
