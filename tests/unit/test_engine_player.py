"""Details of the Python engine that its contract cannot test: timers, the lease, pauses, addresses."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from loadgen.engine.api import Assignment, Load, Segment
from loadgen.engine.connection import Connection
from loadgen.engine.doing import Doing
from loadgen.engine.pages import User
from loadgen.engine.player import Player
from loadgen.engine.vitals import Vitals
from loadgen.model.bound import Bound
from loadgen.model.shard import Shard
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.schedule.optape import OpTape
from tests.support.tapes import Op, make_tape


class Timer:
    """A timer that never fires."""

    def __init__(self) -> None:
        self.live = True

    def cancel(self) -> None:
        self.live = False


class StillLoop:
    """An event loop whose timers never fire and whose sockets are never ready."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []
        self.readers: list[int] = []

    def call_later(self, delay_s: float, callback: Callable[..., None], *arguments: object) -> Timer:
        self.timers.append(Timer())
        return self.timers[-1]

    def add_reader(self, descriptor: int, callback: Callable[[], None]) -> None:
        self.readers.append(descriptor)

    def remove_reader(self, descriptor: int) -> None:
        self.readers.remove(descriptor)


def player(
    loop: Any,
    *,
    host: str = "127.0.0.1",
    port: int = 9,
    now_ns: Callable[[], int] = lambda: 0,
    ended: Callable[[Segment, str], None] = lambda segment, why: None,
    tape: OpTape | None = None,
) -> Player:
    assignment = Assignment(
        worker="w",
        shard=Shard((0,)),
        targets=(Target(name="t", host=host, port=port),),
        shares=(1,),
        tape=tape or make_tape([Op()], 1, segments=2),
        load=Load(line_bps=400_000, bound=Bound.rate(320_000), timeout_ns=NS_PER_S),
    )
    return Player(assignment, loop, ended, now_ns=now_ns, vitals=Vitals())


def segment(index: int) -> Segment:
    return Segment(
        index=index,
        origin_ns=0,
        start_ns=NS_PER_S,
        window_start_ns=NS_PER_S,
        window_end_ns=9 * NS_PER_S,
        end_ns=9 * NS_PER_S,
    )


def test_no_timer_outlives_its_segment() -> None:
    loop = StillLoop()
    engine = player(loop)
    engine.renew(NS_PER_S)
    for index in range(2):
        engine.start(segment(index))
        assert any(timer.live for timer in loop.timers)
        assert loop.readers
        engine.stop()
        assert not any(timer.live for timer in loop.timers)
        assert not loop.readers


def test_a_lease_expires_only_at_the_second_check() -> None:
    loop, clock_ns, why = StillLoop(), [0], list[str]()
    engine = player(loop, now_ns=lambda: clock_ns[0], ended=lambda _, reason: why.append(reason))
    for index in range(2):
        engine.renew(clock_ns[0] + NS_PER_S)
        engine.start(segment(index))
        clock_ns[0] += 2 * NS_PER_S
        engine._pulse()
        assert len(why) == index  # a renewal may be in the pipe
        engine._pulse()
        assert why == ["lease expired"] * (index + 1)


def test_a_renewal_that_arrives_during_a_long_turn_of_the_loop_is_honoured() -> None:
    """On the event loop of engines, with a pipe as in an engine process, and a socket whose callback takes long."""
    why: list[str] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        engine = player(loop, now_ns=time.monotonic_ns, ended=lambda _, reason: why.append(reason))
        begin_ns = time.monotonic_ns()
        there, here = socket.socketpair()
        busy, made_busy = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=here)

        async def hear() -> None:
            while await reader.read(1):
                engine.renew(time.monotonic_ns() + NS_PER_S // 4)

        def work() -> None:
            made_busy.recv(1)
            there.send(b"r")  # the renewal arrives during this callback
            time.sleep(0.4)

        hearing = asyncio.create_task(hear())
        loop.add_reader(made_busy, work)
        engine.renew(begin_ns + NS_PER_S // 4)
        engine.start(
            Segment(
                index=0,
                origin_ns=begin_ns,
                start_ns=begin_ns + 60 * NS_PER_S,
                window_start_ns=begin_ns + 60 * NS_PER_S,
                window_end_ns=begin_ns + 90 * NS_PER_S,
                end_ns=begin_ns + 90 * NS_PER_S,
            )
        )
        try:
            busy.send(b"w")
            await asyncio.sleep(0.05)
            there.send(b"r")
            await asyncio.sleep(0.1)
        finally:
            engine.stop()
            hearing.cancel()
            writer.close()
            loop.remove_reader(made_busy)
            for one in (there, busy, made_busy):
                one.close()

    uvloop.run(scenario())
    assert why == ["stopped"]


def test_a_pause_of_the_connection_is_not_a_time_out_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = player(StillLoop())
    engine.renew(NS_PER_S)
    engine.start(segment(0))
    (connection,) = engine._connections
    assert isinstance(connection, Connection)
    connection._doing = Doing.PAUSED
    monkeypatch.setattr(
        engine._context.readiness, "watch", lambda descriptor, owner: None
    )  # the connection has no socket
    connection.wake(5 * NS_PER_S)
    connection.expire(5 * NS_PER_S + NS_PER_MS, NS_PER_S)
    assert connection._doing == Doing.READING


def test_the_tcp_connections_of_a_user_may_be_due_at_the_same_time() -> None:
    engine = player(StillLoop(), now_ns=lambda: 2 * NS_PER_S, tape=make_tape([Op(), Op(embedded=True)], 1, lanes=3))
    (user,) = engine._connections
    assert isinstance(user, User)
    for lane in user._lanes:
        engine._agenda.push(NS_PER_S, lane)
    engine._agenda._fire()
    assert not engine._agenda._heap
