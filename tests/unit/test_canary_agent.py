"""The responder of the canaries, as a process below its agent: what it answers, and what its loss costs."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time

import numpy as np
import uvloop

from loadgen.agent.canary import Canaries
from loadgen.agent.responder import DELAY_NS
from loadgen.engine.api import Segment
from loadgen.measure.canary import CanariesHeard
from loadgen.measure.record import RECORD_DTYPE
from loadgen.model.units import NS_PER_S
from tests.support.cli import alive, command_of, descendants


def segment(now_ns: int) -> Segment:
    end_ns = now_ns + 60 * NS_PER_S
    return Segment(
        index=3,
        origin_ns=now_ns,
        start_ns=now_ns,
        window_start_ns=now_ns,
        window_end_ns=end_ns,
        end_ns=end_ns,
    )


def ask(port: int) -> bytes:
    """Send two requests over one connection, as a canary does, and return their records."""
    rows = np.zeros(2, dtype=RECORD_DTYPE)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        time.sleep(0.3)  # the responder accepts it, and the kernel stamps what arrives then
        for row in rows:
            row["due_ns"] = row["sent_ns"] = time.monotonic_ns()
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert sock.recv(1000).endswith(b"\r\n\r\nok")
            row["done_ns"] = time.monotonic_ns()
    return rows.tobytes()


def responder() -> int:
    (pid,) = (pid for pid in descendants(os.getpid()) if "loadgen.agent.responder" in command_of(pid))
    return pid


async def heard_of(harm: int = 0) -> CanariesHeard | None:
    """What is heard of two canaries, of which one worked; `harm` is the signal that the responder gets."""
    canaries = Canaries("m", "a-mark")
    try:
        ports = canaries.listen(["m/0", "m/1"])
        await canaries.start()
        begun = segment(time.monotonic_ns())
        canaries.take("m/0", await asyncio.to_thread(ask, ports["m/0"]))
        pid = responder()
        assert "a-mark" in command_of(pid)
        if harm:
            os.kill(pid, harm)
        return await canaries.report(begun)
    finally:
        await canaries.close()
        assert not alive(pid)


def test_the_responder_tells_the_truth_about_each_request() -> None:
    heard = uvloop.run(heard_of())
    assert heard is not None
    assert (heard.machine, heard.segment, heard.why) == ("m", 3, "")
    first, second = heard.engines
    assert (first.worker, first.failed, first.truth.total) == ("m/0", 0, 2)
    assert first.truth.min_ns >= DELAY_NS
    assert (second.worker, second.truth.total) == ("m/1", 0)


def test_a_frozen_or_dead_responder_makes_the_canaries_unknown() -> None:
    frozen, dead = uvloop.run(heard_of(signal.SIGSTOP)), uvloop.run(heard_of(signal.SIGKILL))
    assert frozen is not None
    assert dead is not None
    assert (frozen.engines, frozen.why) == ((), "the responder did not answer")
    assert (dead.engines, dead.why) == ((), "the responder has ended")


def test_without_canaries_there_is_neither_a_responder_nor_a_report() -> None:
    async def scenario() -> None:
        canaries = Canaries("m", "")
        assert canaries.listen([]) == {}
        await canaries.start()
        assert not [pid for pid in descendants(os.getpid()) if "responder" in command_of(pid)]
        assert await canaries.report(segment(0)) is None
        await canaries.close()

    uvloop.run(scenario())
