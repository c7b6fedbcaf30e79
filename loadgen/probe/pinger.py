"""The prober of `loadgen isolate`: sends small UDP requests at fixed times, and notes when the replies arrive.

It is a process of its own (`python -m loadgen.probe.pinger PLAN`, PLAN in JSON as of :meth:`Pings.encode`), so that
nothing else delays it: with real-time priority where it may have that, and with the kernel's stamps of arrival, which
do not contain the wait of this process for a core.  At its end it writes one line of JSON (:class:`Pinged`).

Requests leave when they are due, whether or not earlier ones were answered.  A reply that takes longer than the
time-out is lost.  It imports no numpy, because it must start fast.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import secrets
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from loadgen.host import child
from loadgen.model.units import NS_PER_S
from loadgen.probe.quake3 import INFO, STATUS, interval_ns, parse_answer, query

PRIORITY = 10
TIMEOUT_NS = NS_PER_S
"""A reply that takes longer is lost."""

_SO_TIMESTAMPNS = 35  # asm-generic/socket.h
_TIMESPEC = struct.Struct("@qq")
_CONTROL_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)
_ECHO = struct.Struct(">QQ")  # a secret of this process, the number
_MOST_BYTES = 4096
_FAR_NS = NS_PER_S  # a stamp farther away was made before or after the clock was set


@dataclass(frozen=True, slots=True, kw_only=True)
class Pings:
    """What is sent: for `time_ns`, an echo request each `echo_interval_ns` to `echo`, and queries to `game`.

    Addresses are (host, port).  Queries come from `sources` in turn; with none, from the address the kernel chooses.
    """

    echo: tuple[str, int]
    game: tuple[str, int]
    time_ns: int
    sources: tuple[str, ...] = ()
    echo_interval_ns: int = 10_000_000
    timeout_ns: int = TIMEOUT_NS

    def encode(self) -> str:
        """The plan as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, line: str) -> Pings:
        """The plan in a line made by :meth:`encode`."""
        data = json.loads(line)
        pairs = {name: (str(data[name][0]), int(data[name][1])) for name in ("echo", "game")}
        return cls(**{**data, **pairs, "sources": tuple(data["sources"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinged:
    """What came of it, for `echo` and `game`: a dict with times in ns.

    `answered_ns`: from sending to the arrival of the reply.  `late_ns`: how late each request was sent.  `lost`: the
    number of requests without a reply in time.  `priority` and `stamps` say how it was measured; `about` is what the
    game server says of itself.
    """

    echo: dict[str, Any]
    game: dict[str, Any]
    about: dict[str, str]
    priority: str
    stamps: str


def echo_request(secret: int, number: int) -> bytes:
    """The datagram of an echo request."""
    return _ECHO.pack(secret, number)


def echo_number(secret: int, datagram: bytes) -> int | None:
    """The number of the request that a datagram answers; None when it is not ours."""
    if len(datagram) != _ECHO.size:
        return None
    found, number = _ECHO.unpack(datagram)
    return number if found == secret else None


def challenge_of(secret: int, number: int) -> str:
    """The challenge of a query: unlike that of any other query, also of other probers."""
    return f"{secret:016x}{number}"


def game_number(secret: int, kind: str, datagram: bytes) -> int | None:
    """The number of the query of that kind that a datagram answers; None when its challenge is not ours."""
    found = parse_answer(datagram)
    if found is None or found.kind != kind:
        return None
    head = f"{secret:016x}"
    number = found.challenge.removeprefix(head)
    return int(number) if found.challenge.startswith(head) and number.isdecimal() else None


@dataclass(slots=True)
class Waiting:
    """The requests of one service that are under way, and what became of the others.  Times on one clock."""

    timeout_ns: int
    answered_ns: list[int] = field(default_factory=list)
    late_ns: list[int] = field(default_factory=list)
    _sent: dict[int, int] = field(default_factory=dict)
    _number: int = 0

    def sent(self, due_ns: int, now_ns: int) -> int:
        """Note a request that leaves now; returns its number, from 1."""
        self._number += 1
        self._sent[self._number] = now_ns
        self.late_ns.append(max(0, now_ns - due_ns))
        return self._number

    def arrived(self, number: int, at_ns: int) -> None:
        """Note a reply; a second one to the same request, or one after the time-out, does not count."""
        sent_ns = self._sent.get(number)
        if sent_ns is not None and at_ns - sent_ns <= self.timeout_ns:
            del self._sent[number]
            self.answered_ns.append(max(0, at_ns - sent_ns))

    @property
    def lost(self) -> int:
        """The requests that were not answered, once the time-out of the last one is over."""
        return len(self._sent)

    def to_dict(self) -> dict[str, Any]:
        """The numbers as plain data."""
        return {"answered_ns": self.answered_ns, "late_ns": self.late_ns, "lost": self.lost}


class Prober:
    """Plays :class:`Pings`."""

    def __init__(self, pings: Pings) -> None:
        self._pings = pings
        self._secret = secrets.randbits(64)
        self._echo = Waiting(pings.timeout_ns)
        self._game = Waiting(pings.timeout_ns)
        self._about: dict[str, str] = {}
        self._stamped = True
        self._kind_of: dict[int, str] = {}

    def play(self) -> Pinged:
        """Send and receive until the last time-out is over.  Raises OSError when a socket cannot be made."""
        priority = take_priority()
        pings = self._pings
        echo = _socket(pings.echo)
        games = [_socket(pings.game, source) for source in pings.sources or ("",)]
        readers: dict[int, tuple[socket.socket, Callable[[bytes, int], None]]] = {
            echo.fileno(): (echo, self._echo_arrived)
        }
        readers |= {one.fileno(): (one, self._game_arrived) for one in games}
        with select.epoll() as epoll:
            for descriptor in readers:
                epoll.register(descriptor, select.EPOLLIN)
            began_ns = time.time_ns()
            ends_ns = began_ns + pings.time_ns
            plan = self._due(began_ns, ends_ns, echo, games)
            due_ns, send = next(plan)
            while (now_ns := time.time_ns()) < ends_ns + pings.timeout_ns:
                if now_ns >= due_ns:
                    send(due_ns)
                    due_ns, send = next(plan, (1 << 62, send))
                    continue
                wait_ns = min(due_ns, ends_ns + pings.timeout_ns) - now_ns
                for descriptor, _ in epoll.poll(wait_ns / NS_PER_S):
                    self._read(*readers[descriptor])
        for sock in (echo, *games):
            sock.close()
        return Pinged(
            echo=self._echo.to_dict(),
            game=self._game.to_dict(),
            about=self._about,
            priority=priority,
            stamps="kernel" if self._stamped else "program",
        )

    def _due(
        self, began_ns: int, ends_ns: int, echo: socket.socket, games: list[socket.socket]
    ) -> Iterator[tuple[int, Callable[[int], None]]]:
        """When each request is due, in order, and what sends it.  Resumed when the last one was sent.

        A late query moves all later ones: two in quick succession could be one too many for the server.
        """
        echo_due_ns, game_due_ns = began_ns, began_ns + self._pings.echo_interval_ns // 2
        kinds = (INFO,) * len(games) + (STATUS,) * len(games)
        turns = itertools.cycle(zip(games * 2, kinds, strict=True))
        while min(echo_due_ns, game_due_ns) < ends_ns:
            if echo_due_ns <= game_due_ns:
                yield echo_due_ns, functools.partial(self._ask_echo, echo)
                echo_due_ns += self._pings.echo_interval_ns
            else:
                yield game_due_ns, functools.partial(self._ask_game, *next(turns))
                game_due_ns = max(game_due_ns, time.time_ns()) + interval_ns(len(games))

    def _ask_echo(self, sock: socket.socket, due_ns: int) -> None:
        number = self._echo.sent(due_ns, time.time_ns())
        _send(sock, echo_request(self._secret, number))

    def _ask_game(self, sock: socket.socket, kind: str, due_ns: int) -> None:
        number = self._game.sent(due_ns, time.time_ns())
        self._kind_of[number] = kind
        _send(sock, query(kind, challenge_of(self._secret, number)))

    def _echo_arrived(self, datagram: bytes, at_ns: int) -> None:
        number = echo_number(self._secret, datagram)
        if number is not None:
            self._echo.arrived(number, at_ns)

    def _game_arrived(self, datagram: bytes, at_ns: int) -> None:
        found = parse_answer(datagram)
        number = game_number(self._secret, found.kind, datagram) if found else None
        if found is None or number is None or self._kind_of.get(number) != found.kind:
            return
        self._game.arrived(number, at_ns)
        self._about.update(found.about)

    def _read(self, sock: socket.socket, arrived: Callable[[bytes, int], None]) -> None:
        try:
            datagram, control, _, _ = sock.recvmsg(_MOST_BYTES, _CONTROL_BYTES)
        except OSError:  # nobody listens there: the request stays unanswered
            return
        now_ns = time.time_ns()
        at_ns = stamp_in(control, now_ns)
        self._stamped &= at_ns is not None
        arrived(datagram, now_ns if at_ns is None else at_ns)


def stamp_in(control: list[tuple[int, int, bytes]], now_ns: int) -> int | None:
    """The kernel's stamp of the arrival (CLOCK_REALTIME in ns); None without one that can be right."""
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) >= _TIMESPEC.size:
            seconds, rest = _TIMESPEC.unpack_from(data)
            stamp_ns: int = seconds * NS_PER_S + rest
            return stamp_ns if 0 <= now_ns - stamp_ns < _FAR_NS else None
    return None


def take_priority() -> str:
    """Give this process real-time priority, or the best it may have; returns what it got, in words."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
    except OSError:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, -20)
        except OSError:
            return "ordinary priority"
        return "nice -20"
    return f"real-time priority (SCHED_FIFO {PRIORITY})"


def _socket(to: tuple[str, int], source: str = "") -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in to[0] else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    if source:
        sock.bind((source, 0))
    sock.connect(to)
    return sock


def _send(sock: socket.socket, datagram: bytes) -> None:
    try:
        sock.send(datagram)
    except OSError:  # an error of an earlier request (nobody listens), which this call reports: send again
        try:
            sock.send(datagram)
        except OSError:
            return  # it stays unanswered


def main() -> int:
    """Run the prober.  Returns the exit code."""
    child.begin()
    sys.stdout.write(f"{json.dumps(asdict(Prober(Pings.decode(sys.argv[1])).play()))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
