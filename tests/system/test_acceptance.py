"""The arithmetic of SPECweb99, checked on a real engine with a server that is never the bottleneck."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
import uvloop

from loadgen.model.plan import SpecPlan
from loadgen.model.units import NS_PER_S
from loadgen.schedule.optape import OpTape
from tests.support.engines import Played, play, python_engine
from tests.support.scripted import ScriptedServer, good, head
from tests.support.tapes import Op, make_tape
from workloads.specweb99.compile import compile_tape, line_times_ns

LINE_BPS = 400_000


def run(tape: OpTape, length_s: float) -> Played:
    async def scenario() -> Played:
        async with ScriptedServer(good) as server:
            return await asyncio.wait_for(
                play(python_engine, tape, [server.port], line_bps=LINE_BPS, length_ns=int(length_s * NS_PER_S)), 30
            )

    return uvloop.run(scenario())


def test_every_connection_reaches_the_line_speed_and_ops_times_ms_is_1000() -> None:
    """Check 5 of the benchmark style: the rate of every connection, and operations without gaps between them."""
    size = 5_000 - len(head(4_900))
    connections, length_s = 10, 4.0
    played = run(make_tape([Op(size=size)], connections, spread_ns=9_000_000), length_s)
    tallies = played.tallies()
    rates = 8 * NS_PER_S * tallies["bytes"] / tallies["busy_ns"]
    assert np.all(np.abs(rates / LINE_BPS - 1) <= 0.01)
    ops_per_s = tallies["ok"] / (length_s - 0.009 * np.arange(connections))
    ms_per_op = tallies["busy_ns"] / tallies["ok"] / 1e6
    # An operation takes 100 ms: the last one may be in progress at the end, so one in 40 is the resolution.
    assert np.all(ops_per_s * ms_per_op >= 1000 * (1 - 0.01))
    assert np.all(ops_per_s * ms_per_op <= 1000 * (1 + 1 / 39))


@pytest.mark.parametrize("connections", [20, 320])
def test_a_connection_at_line_speed_makes_3_2_to_3_4_operations_a_second(connections: int) -> None:
    plan = SpecPlan(vms=1, connections=connections)
    tape = compile_tape(replace(plan, phases=replace(plan.phases, measure_ns=300 * NS_PER_S)))
    content = tape.checks["content_bytes"][tape.ops["check"]]
    class_ = tape.ops["kind"].astype(np.int64)
    num = np.array([_number_of(size, int(c)) for size, c in zip(content.tolist(), class_.tolist(), strict=True)])
    mean_ns = line_times_ns(tape.ops["group"].astype(np.int64), class_, num, LINE_BPS).mean()
    assert 3.2 <= NS_PER_S / mean_ns <= 3.4


def _number_of(size: int, class_: int) -> int:
    """Return which of a class's nine files has this size."""
    base = 1024 * int(10**class_)
    return -(-size * 10 // base) - 1
