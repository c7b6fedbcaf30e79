"""Which seconds are called disturbed: real disturbances, and neither a quiet machine nor the load itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from loadgen.measure.disturbance import UNKNOWN, EngineSecond, MachineSecond
from loadgen.measure.snapshot import Health
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.disturbance_rules import Cause, causes_of
from tests.support.disturbance import engine_second, second
from tests.support.snapshots import snapshot

HEALTH = replace(snapshot("local/0", 0).health, runqueue_ns=0, still_ns=0)


def engine(**more: Any) -> MachineSecond:
    return second(3, engines=(engine_second(**more),))


def causes(given: MachineSecond, **health: int) -> dict[str, Cause]:
    return {one.what: one for one in causes_of(given, {"local/0": replace(HEALTH, **health)})}


@pytest.mark.parametrize(
    ("given", "health", "what", "value"),
    [
        (engine(others=0.21), {}, "other processes", 21),
        (engine(stolen_ns=60 * NS_PER_MS), {}, "hypervisor", 6),
        (second(3, throttled_ns=1, throttled_periods=3), {}, "CPU quota", 30),
        (second(3, softnet_dropped=1), {}, "packets dropped", 1),
        (engine(others=0.11), {"runqueue_ns": 210 * NS_PER_MS}, "waiting for a core", 21),
        (second(3), {"still_ns": 110 * NS_PER_MS}, "stood still", 11),
    ],
)
def test_a_disturbance_is_named_with_its_value(
    given: MachineSecond, health: dict[str, int], what: str, value: float
) -> None:
    found = causes(given, **health)
    assert set(found) == {what}
    assert found[what].value == pytest.approx(value)
    assert found[what].value > found[what].limit


@pytest.mark.parametrize(
    ("given", "health"),
    [
        (second(3), {}),
        (engine(others=0.2), {}),
        (engine(stolen_ns=50 * NS_PER_MS), {}),
        (engine(softirq_ns=NS_PER_S), {}),  # of its own traffic
        (second(3), {"runqueue_ns": 900 * NS_PER_MS}),  # beside its own servers
        (engine(others=0.1), {"runqueue_ns": 900 * NS_PER_MS}),
        (second(3), {"still_ns": 100 * NS_PER_MS}),
        (second(3), {"still_ns": 5 * NS_PER_S, "runqueue_ns": -1}),  # it may have waited for its servers
        (second(3), {"still_ns": 150 * NS_PER_MS, "wall_ns": 2 * NS_PER_S}),
        (second(3, 0.9, wall_ns=NS_PER_S // 2 - 1), {}),  # a few ticks
        (second(3, softnet_squeezed=99, tcp_retransmits=99, listen_overflows=99, pressure_ns=NS_PER_S), {}),
    ],
)
def test_a_quiet_second_and_the_load_itself_are_not_accused(given: MachineSecond, health: dict[str, int]) -> None:
    assert causes(given, **health) == {}


def test_what_is_not_known_accuses_nobody() -> None:
    nothing = MachineSecond(machine="m", interval=0, engines=(EngineSecond(worker="m/0"),))
    assert causes_of(nothing, {}) == []
    assert nothing.softnet_dropped == nothing.engines[0].others_ns == UNKNOWN
    unknown: dict[str, Health] = {}
    assert causes_of(engine(others_ns=UNKNOWN), unknown) == []


def test_the_engine_that_is_disturbed_most_is_named() -> None:
    both = second(
        3, engines=(engine_second("m/0", 0.3, cores=(0,)), engine_second("m/1", 0.9, cores=(2, 5), most="cc1 (pid 9)"))
    )
    (cause,) = causes_of(both, {})
    assert (cause.where, cause.who) == ("cores 2, 5", "cc1 (pid 9)")
    assert cause.value == pytest.approx(90)
