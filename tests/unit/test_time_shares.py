"""The parts of connection time as shares, dead VMs, and the trust check that the time adds up."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from rich.console import Console

from coordinator.output.terminal.time_lines import time_lines
from loadgen.engine.accounts import Accounts
from loadgen.engine.api import Assignment, Load, Segment
from loadgen.engine.vitals import Vitals
from loadgen.measure.histogram import EMPTY
from loadgen.model.bound import Bound
from loadgen.model.shard import Shard
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_S
from loadgen.verdict.checks.tape.time_accounted import time_accounted
from loadgen.verdict.evidence import Loop, TrustEvidence, WorkerEvidence
from loadgen.verdict.time_shares import TimeShares, is_dead, time_shares, unaccounted_share
from tests.support.evidence import asked, rows
from tests.support.iterations import cell
from tests.support.results import target_result
from tests.support.tapes import Op, make_tape

S = NS_PER_S
NOTHING = TimeShares(service=0, pacing=0, lateness=0, rest=0, failed=0, unfinished=0, absent=0, idle=0)


def shares(**parts: float) -> TimeShares:
    return dataclasses.replace(NOTHING, **parts)


def test_the_shares_add_up_and_the_remainder_is_absent_or_idle() -> None:
    found = rows(
        {"connection": 0, "ok": 1, "busy_ns": 8 * S, "service_ns": 2 * S, "pacing_ns": 5 * S, "lateness_ns": S},
        {"connection": 2, "bad": 1, "failed_ns": 4 * S, "rest_ns": 3 * S},
        {"connection": 3, "cut": 1, "busy_ns": 10 * S, "unfinished_ns": 10 * S},
    )
    closed = time_shares(found, 4, 10 * S)
    assert closed == shares(
        service=0.05, pacing=0.125, lateness=0.025, failed=0.1, rest=0.075, unfinished=0.25, absent=0.375
    )
    assert time_shares(found, 4, 10 * S, open_loop=True) == dataclasses.replace(closed, absent=0, idle=0.375)
    assert unaccounted_share(found, 4, 10 * S) == 0.375


def test_the_time_of_an_open_loop_is_known_when_requests_waited_for_a_connection() -> None:
    waited = rows(
        {"connection": 0, "ok": 3, "busy_ns": 30 * S, "service_ns": 10 * S},
        {"connection": 1, "cut": 5, "busy_ns": 25 * S},
    )
    assert time_shares(waited, 2, 10 * S, open_loop=True) == shares(service=0.5, idle=0.5)
    assert time_shares(waited, 2, 10 * S) is None
    assert time_shares(rows({"ok": 3, "busy_ns": 30 * S}), 2, 10 * S, open_loop=True) is None  # of version 0.1


def test_an_interrupted_window_that_is_longer_than_known_still_adds_up() -> None:
    found = time_shares(rows({"ok": 1, "busy_ns": 3 * S, "service_ns": 3 * S}), 1, 2 * S)
    assert found == shares(service=1)


def test_time_that_is_counted_twice_does_not_add_up_either() -> None:
    """One connection has 2 s too many, another 2 s too few: the sum hides both."""
    found = rows(*({"connection": at, "ok": 1, "service_ns": s, "busy_ns": s} for at, s in enumerate((12 * S, 8 * S))))
    assert unaccounted_share(found, 2, 10 * S) == 0.2


def test_the_time_of_earlier_versions_is_not_known() -> None:
    old = rows({"ok": 5, "busy_ns": S})
    assert time_shares(old, 1, S) is None
    assert unaccounted_share(old, 1, S) is None
    assert is_dead(None, 0) is None


@pytest.mark.parametrize(
    ("time", "bytes_per_s", "dead"),
    [
        (shares(unfinished=1), 0, True),  # frozen
        (shares(failed=0.9, rest=0.1), 0, True),  # time-outs
        (shares(rest=0.98, lateness=0.02), 0, True),  # refused connects
        (shares(failed=0.02, rest=0.03, idle=0.95), 0, True),  # the same in an open loop
        (shares(failed=0.5, service=0.004, rest=0.496), 20, True),
        (shares(unfinished=1), 50_000, False),  # one long reply fills the window
        (shares(service=0.01, idle=0.99), 0.5, False),  # little was asked
        (shares(service=0.02, pacing=0.3, failed=0.68), 90, False),
        (shares(absent=1), 0, False),  # the load generator never began
        (shares(failed=1), 15_000, False),  # error pages
    ],
)
def test_a_vm_is_dead_if_next_to_nothing_was_answered(time: TimeShares, bytes_per_s: float, dead: bool) -> None:
    assert is_dead(time, bytes_per_s) is dead


@pytest.mark.parametrize(
    ("time", "kbit_per_s", "dead"),
    [
        (shares(unfinished=1), (800.0, 800.0, 800.0), False),  # a reply that was due before fills the window
        (shares(unfinished=1), (0.0, 0.0, 0.0), True),
        (shares(service=0.0001, failed=0.9999), (0.0, 400.0, 800.0), True),  # one answer, then time-outs
    ],
)
def test_bits_of_replies_that_were_due_before_the_window_are_an_answer(
    time: TimeShares, kbit_per_s: tuple[float, float, float], dead: bool
) -> None:
    vm = dataclasses.replace(target_result(0), time=time, kbit_per_s=0.0, connection_kbit_per_s=kbit_per_s)
    assert vm.dead is dead


def evidence(loop: Loop, unaccounted: Sequence[float | None]) -> TrustEvidence:
    workers = [
        WorkerEvidence(
            worker=f"local/{at}",
            connections=2,
            judged_ns=S,
            operations=5,
            lateness=EMPTY,
            health=(),
            unaccounted_share=one,
        )
        for at, one in enumerate(unaccounted)
    ]
    empty = cell((0, 0, 0, 0))
    return TrustEvidence(loop=loop, asked=asked(1, 4), workers=workers, whole=empty, window=empty, measured_ns=S)


@pytest.mark.parametrize("loop", [Loop.CLOSED, Loop.PACED])
def test_an_engine_that_did_not_play_is_found_among_good_ones(loop: Loop) -> None:
    found = time_accounted(evidence(loop, [0.0, 0.07, None]))
    assert found is not None
    assert not found.ok
    assert found.value == pytest.approx(7)
    assert found.detail.startswith("engine local/1")
    fine = time_accounted(evidence(loop, [0.0, 0.04]))
    assert fine is not None
    assert fine.ok


def test_without_knowledge_and_in_an_open_loop_nobody_is_accused() -> None:
    assert time_accounted(evidence(Loop.OPEN, [1.0])) is None
    assert time_accounted(evidence(Loop.PACED, [None])) is None


def accounts(line_bps: int, spread_ns: int) -> Accounts:
    tape = make_tape([Op()], 4, segments=2, spread_ns=spread_ns)
    return Accounts(
        Assignment(
            worker="w",
            shard=Shard((1, 3)),
            targets=(Target(name="t", host="127.0.0.1", port=1),),
            shares=(4,),
            tape=tape,
            load=Load(line_bps=line_bps, bound=Bound.rate(1), timeout_ns=S),
        ),
        Vitals(),
    )


def test_before_its_first_operation_a_paced_connection_is_inside_of_one() -> None:
    """Connection c starts c * 3 s after the segment, whose window is from 4 s to 8 s."""
    made = accounts(400_000, 3 * S)
    made.start(Segment(index=1, origin_ns=0, start_ns=S, window_start_ns=5 * S, window_end_ns=9 * S, end_ns=10 * S))
    found = made.drain(0, 0, 0, {}).tallies
    assert found[["window", "connection", "pacing_ns"]].tolist() == [(1, 3, 4 * S)]
    unpaced = accounts(0, 3 * S)
    unpaced.start(Segment(index=1, origin_ns=0, start_ns=S, window_start_ns=S, window_end_ns=9 * S, end_ns=10 * S))
    assert not len(unpaced.drain(0, 0, 0, {}).tallies)


@dataclasses.dataclass(frozen=True)
class Vm:
    name: str
    dead: bool | None


def said(time: TimeShares | None, *vms: Vm) -> str:
    console = Console(width=80, color_system=None)
    with console.capture() as captured:
        for line in time_lines(time, vms, "VMs"):
            console.print(line)
    return captured.get()


def test_the_report_names_the_dead_and_leaves_out_what_is_too_small_to_see() -> None:
    time = shares(service=0.3, pacing=0.5996, lateness=0.0004, failed=0.1)
    assert said(time, Vm("a", False)) == "Connection time: service 30.0%, pacing 60.0%, failed 10.0%\n"
    many = [Vm(f"vm{at}", at > 1) for at in range(10)]
    end = "Dead VMs (next to nothing was answered): vm2, vm3, vm4, vm5, vm6, vm7, and 2 more"
    assert " ".join(said(time, *many).split()).endswith(end)
    assert said(None, Vm("a", None)) == ""


def test_connections_without_a_row_are_absent() -> None:
    assert time_shares(rows(), 2, S) == shares(absent=1)
    assert np.isclose(unaccounted_share(rows(), 2, S) or 0, 1)
