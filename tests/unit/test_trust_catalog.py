from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from loadgen.measure.cells import Cell
from loadgen.measure.histogram import Histogram
from loadgen.measure.snapshot import Health
from loadgen.model.units import NS_PER_S
from loadgen.schedule.optape import START_DTYPE
from loadgen.schedule.timings import Timings
from loadgen.verdict.canary import canary_row
from loadgen.verdict.checks import network, tape
from loadgen.verdict.checks.catalog import FORWARD_CHECKS, IPERF_CHECKS, TAPE_CHECKS, run_checks
from loadgen.verdict.evidence import Loop, NeighbourEvidence, PortEvidence, StartEvidence, TrustEvidence, WorkerEvidence
from loadgen.verdict.result import Check, Trust
from loadgen.verdict.trust import judge_trust
from tests.support import toy_check
from tests.support.canaries import seen
from tests.support.evidence import asked
from tests.support.toy_check import MAX_TIME_WAIT, time_wait_sockets

COMMON_BEFORE = ["engine CPU", "engine runnable"]
COMMON_AFTER = ["local limits", "other processes", "CPU quota", "ephemeral ports", "start skew", "open files"]
MIX = [f"mix issued: class {number}" for number in range(4)]


def evidence(loop: Loop, *, time_wait: int = 0) -> TrustEvidence:
    """Return evidence for every check."""
    health = Health(
        wall_ns=NS_PER_S,
        cpu_ns=0,
        runqueue_ns=0,
        still_ns=0,
        open_fds=20,
        fd_limit=1024,
        sockets_time_wait=time_wait,
        active_connections=1,
    )
    times = Histogram.of(np.full(100, 1000))
    cell = dataclasses.replace(Cell.empty(4, 1), response=times, service=times, lateness=times)
    worker = WorkerEvidence(
        worker="e0", connections=1, judged_ns=NS_PER_S, operations=100, lateness=times, health=[health]
    )
    return TrustEvidence(
        loop=loop,
        asked=asked(1, 1),
        workers=[worker],
        whole=cell,
        window=cell,
        measured_ns=NS_PER_S,
        ports=[PortEvidence(machine="here", available=10, peak_connects={0: 1})],
        neighbours=[NeighbourEvidence(machine="here", share=0.1, most="make")],
        starts=[StartEvidence(skew_ns=1, error_ns=1, first="a/0", last="b/0")],
        timings=Timings(np.array([1_000]), np.zeros((1, 1), START_DTYPE), doubt_bytes=0),
        line_bps=400_000,
        canaries=[canary_row(0, seen())],
    )


@pytest.mark.parametrize(
    ("loop", "before", "after"),
    [
        (Loop.PACED, ["send lateness", "time lost to lateness", "rate lost to lateness"], ["canary", *MIX]),
        (Loop.CLOSED, [], ["engine stood still", "client's share", "time lost to lateness", "canary"]),
        (Loop.OPEN, [], ["engine stood still", "send lateness", "canary"]),
    ],
)
def test_each_loop_gets_its_checks_in_the_order_of_the_report(loop: Loop, before: list[str], after: list[str]) -> None:
    names = [check.name for check in judge_trust(evidence(loop)).checks]
    assert names == ["operations issued", *before, *COMMON_BEFORE, *after, *COMMON_AFTER]


def test_evidence_that_was_not_collected_is_not_judged() -> None:
    sparse = dataclasses.replace(evidence(Loop.OPEN), workers=(), ports=(), neighbours=(), starts=())
    names = {check.name for check in judge_trust(sparse).checks}
    assert not names & {"other processes", "ephemeral ports", "start skew", "open files"}


def checks_in(package_path: list[str], package: str) -> Iterator[Callable[..., object]]:
    for module in pkgutil.iter_modules(package_path):
        found = importlib.import_module(f"{package}.{module.name}")
        yield from (
            function
            for name, function in inspect.getmembers(found, inspect.isfunction)
            if function.__module__ == found.__name__
            and not name.startswith("_")
            and "evidence" in function.__annotations__
        )


def test_every_check_is_in_the_catalog() -> None:
    written = {*checks_in(list(tape.__path__), tape.__name__), *checks_in(list(network.__path__), network.__name__)}
    assert written == {*TAPE_CHECKS, *IPERF_CHECKS, *FORWARD_CHECKS}


@pytest.mark.parametrize(
    ("found", "results"),
    [
        (None, 0),
        (Check(name="one", value=0, limit=0, ok=True), 1),
        ([Check(name="one", value=0, limit=0, ok=True)] * 2, 2),
    ],
)
def test_a_check_may_return_one_result_several_or_none(found: Check | list[Check] | None, results: int) -> None:
    assert len(run_checks("evidence", [lambda _: found]).checks) == results


def with_toy(given: TrustEvidence) -> Trust:
    return judge_trust(given, (*TAPE_CHECKS, time_wait_sockets))


def test_a_new_check_can_fail_and_pass() -> None:
    good = with_toy(evidence(Loop.OPEN, time_wait=MAX_TIME_WAIT))
    assert (good.checks[-1].name, good.checks[-1].ok) == ("sockets in TIME_WAIT", True)
    bad = with_toy(evidence(Loop.OPEN, time_wait=MAX_TIME_WAIT + 1))
    assert [check.name for check in bad.checks if not check.ok][-1:] == ["sockets in TIME_WAIT"]
    assert not bad.valid
    assert len(with_toy(evidence(Loop.PACED)).checks) == len(judge_trust(evidence(Loop.PACED)).checks)


def test_the_new_check_is_short() -> None:
    assert len(Path(toy_check.__file__).read_text().splitlines()) <= 40
