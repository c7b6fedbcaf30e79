"""Request/response over new connections (CRR): connect, send the cookie, receive one byte, wait for the close.

The server closes first, so TIME_WAIT is on its side.  Otherwise this end would run out of its some 28,000 ports.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.probe.rr import ANSWER, PHASE, Asker
from loadgen.probe.sockets import BLOCKED_AT_MOST_NS
from loadgen.probe.streams import BYTES, STOP
from loadgen.probe.tcpinfo import TcpInfo

_CALL_TIMEOUT_NS = 2 * NS_PER_S
_PAUSE_NS = NS_PER_MS  # after a connect that failed at once: no port left, or no listener
_EVENTS = 256


@dataclass(slots=True)
class _Call:
    """One transaction that is under way."""

    sock: socket.socket
    phase: int
    began_ns: int
    asked: bool = False
    answered: bool = False


class Caller(Asker):
    """Keeps `at_once` transactions under way, in one thread: with one thread each, they would wait for the GIL.

    A failed connection is counted and dropped.
    """

    def __init__(
        self, number: int, address: Any, family: int, cookie: bytes, at_once: int, cores: Collection[int] = ()
    ) -> None:
        super().__init__(
            number, socket.socket(family, socket.SOCK_STREAM), cores
        )  # a placeholder; each transaction opens its own socket
        self._address = address
        self._family = family
        self._cookie = cookie
        self.at_once = at_once
        self._calls: dict[int, _Call] = {}
        self._done = 0

    def work(self) -> None:
        """Run transactions until told to stop."""
        cell, now_ns, calls = self.cell, time.monotonic_ns, self._calls
        paused_until_ns = swept_ns = now_ns()
        with select.epoll() as poll:
            try:
                while not cell[STOP]:
                    if (at_ns := now_ns()) - swept_ns > BLOCKED_AT_MOST_NS:
                        self._sweep(at_ns)
                        swept_ns = at_ns
                    while len(calls) < self.at_once and at_ns >= paused_until_ns:
                        if not self._begin(poll):
                            paused_until_ns = at_ns + _PAUSE_NS
                    wait_ns = _PAUSE_NS if len(calls) < self.at_once else BLOCKED_AT_MOST_NS
                    self._advance_all(poll, wait_ns)
                until_ns = now_ns() + BLOCKED_AT_MOST_NS  # those under way may still be answered
                while calls and (rest_ns := until_ns - now_ns()) > 0:
                    self._advance_all(poll, rest_ns)
            finally:
                for call in calls.values():
                    self.give_up(call.phase, call.began_ns)
                    call.sock.close()
                calls.clear()

    def info(self) -> TcpInfo | None:
        """None: no connection lasts long enough to be measured."""
        return None

    def _begin(self, poll: select.epoll) -> bool:
        try:
            sock = socket.socket(self._family, socket.SOCK_STREAM)
        except OSError:  # no descriptor left
            self._fail(self.cell[PHASE])
            return False
        call = _Call(sock, self.cell[PHASE], time.monotonic_ns())
        try:
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(self._address)
            poll.register(sock.fileno(), select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        except OSError:  # no port left, or no listener
            sock.close()
            self._fail(call.phase)
            return False
        self._calls[sock.fileno()] = call
        return True

    def _advance_all(self, poll: select.epoll, wait_ns: int) -> None:
        for descriptor, _ in poll.poll(wait_ns / NS_PER_S, _EVENTS):
            self._advance(self._calls[descriptor], poll)

    def _advance(self, call: _Call, poll: select.epoll) -> None:
        sock = call.sock
        try:
            if not call.asked:
                sock.send(self._cookie)
                call.asked = True
            while True:
                data = sock.recv(2)
                if data == ANSWER and not call.answered:
                    call.answered = True
                elif data or not call.answered:
                    self._end(call, ok=False)
                    return
                else:
                    self._end(call, ok=True)
                    return
        except BlockingIOError:
            return
        except OSError:
            self._end(call, ok=False)

    def _end(self, call: _Call, *, ok: bool) -> None:
        took_ns = time.monotonic_ns() - call.began_ns
        del self._calls[call.sock.fileno()]
        call.sock.close()
        if ok:
            self._done += 1
            self.cell[BYTES] = self._done
            self.note(call.phase, took_ns)
        else:
            self._fail(call.phase)

    def _fail(self, phase: int) -> None:
        if self.counts(phase):
            self.failed += 1

    def _sweep(self, now_ns: int) -> None:
        for call in [call for call in self._calls.values() if now_ns - call.began_ns > _CALL_TIMEOUT_NS]:
            self._end(call, ok=False)
