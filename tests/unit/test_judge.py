"""From snapshots to the result of a spec run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from coordinator.fleet.api import say_machine_lost
from coordinator.kinds.spec.kind import SpecKind
from coordinator.record.fleet import FleetRecord
from coordinator.record.header import Header
from coordinator.run.api import Played
from coordinator.run.evidence import TapeMeasured
from coordinator.run.intake import Intake
from loadgen.measure.cells import Cell
from loadgen.measure.events import CoresShared
from loadgen.measure.histogram import Histogram
from loadgen.measure.snapshot import Snapshot
from loadgen.model.machine import Clock, Machine
from loadgen.model.plan import QUICK, SpecPlan
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.schedule.placement import Placement
from loadgen.verdict.connection import State
from loadgen.verdict.margin import Spread
from loadgen.verdict.result import Check, RunResult, Verdict
from tests.support.results import header as some_header
from tests.support.results import local_fleet
from tests.support.snapshots import cell, snapshot, tally
from workloads.specweb99.mix import CLASS_DECK, GROUPS, KINDS

PLAN = SpecPlan(vms=2, connections=2, engines=2, phases=replace(QUICK, measure_ns=2 * NS_PER_S, iterations=2))
TARGETS = tuple(Target(name=f"vm{i}", host="127.0.0.1", port=9000 + i) for i in range(2))
_FLEET = local_fleet(4, engines=2)
SYSCTLS = {"net.ipv4.ip_local_port_range": "32768\t60999", "net.ipv4.tcp_tw_reuse": "2"}


FLEET = replace(_FLEET, machines=(replace(_FLEET.machines[0], sysctls=SYSCTLS),))


def in_the_mix(ok: int) -> Cell:
    """Return `ok` operations of the static group in the correct mix of classes."""
    made = cell(ok, late_ms=0)
    made.counts[:] = 0
    made.counts[:, 0, 0] = [ok * share // sum(CLASS_DECK) for share in CLASS_DECK]
    return made


def snapshots(slow: frozenset[int] = frozenset()) -> list[Snapshot]:
    """Return two windows of two intervals each; engine i plays connections i and i + 2 (one of each VM)."""
    return [
        snapshot(
            f"local/{engine}",
            interval,
            {(interval // 2, 0): in_the_mix(100), (interval // 2, 1): in_the_mix(100)},
            tuple(
                tally(interval // 2, connection, kbit_per_s=300 if connection in slow else 390)
                for connection in (engine, engine + 2)
            ),
        )
        for interval in range(4)
        for engine in range(2)
    ]


def intake_of(workers: Sequence[str]) -> Intake:
    return Intake.of(workers, len(KINDS), len(GROUPS), connections=PLAN.total_connections, targets=len(TARGETS))


def measured(given: Sequence[Snapshot]) -> TapeMeasured:
    intake = intake_of(["local/0", "local/1"])
    for one in given:
        intake.receive(one)
    return TapeMeasured(
        intake=intake,
        measured_ns={0: 2 * NS_PER_S, 1: 2 * NS_PER_S},
        complete=frozenset({0, 1}),
        log_checks={i: Check(name="POST log", value=0, limit=0, ok=True) for i in range(2)},
    )


def header(targets: Sequence[Target] = TARGETS, fleet: FleetRecord = FLEET) -> Header[SpecPlan]:
    return replace(some_header(), plan=PLAN, targets=tuple(targets), fleet=fleet)


def played(
    found: TapeMeasured,
    *,
    targets: Sequence[Target] = TARGETS,
    fleet: FleetRecord = FLEET,
    interrupted: bool = False,
) -> Played[SpecPlan, TapeMeasured]:
    return Played(header=header(targets, fleet), measured=found, interrupted=interrupted)


def judge(
    found: TapeMeasured,
    *,
    targets: Sequence[Target] = TARGETS,
    fleet: FleetRecord = FLEET,
    interrupted: bool = False,
) -> RunResult:
    return SpecKind().judge(played(found, targets=targets, fleet=fleet, interrupted=interrupted))


def judge_snapshots(found: Header[SpecPlan], given: Sequence[Snapshot]) -> RunResult:
    kind = SpecKind()
    return kind.judge(kind.restore(found, given))


def test_a_good_run_conforms_in_every_iteration() -> None:
    result = judge(measured(snapshots()))
    assert result.verdict is Verdict.CONFORMING, result.reasons
    assert (result.conforming_connections, result.requested_connections) == (4, 4)
    assert [one.conforming for one in result.iterations] == [4, 4]
    assert [target.requested for target in result.targets] == [2, 2]
    assert {check.name for check in result.trust.checks} >= {"send lateness", "ephemeral ports", "open files"}


@pytest.mark.parametrize(("part", "starved"), [("pacing_ns", []), ("rest_ns", ["vm1"])])
def test_time_in_which_users_think_starves_no_vm(part: str, starved: list[str]) -> None:
    """The connections of vm1 are in operations for a tenth of the time.  They think or rest else."""

    def of(row: dict[str, int]) -> dict[str, int]:
        if row["connection"] not in (2, 3):
            return row
        busy_ns = row["busy_ns"] // 10
        short = row | {"bytes": row["bytes"] // 10, "busy_ns": busy_ns, "service_ns": busy_ns}
        return short | {part: NS_PER_S - busy_ns}

    given = [
        snapshot(
            f"local/{engine}",
            interval,
            {(interval // 2, 0): in_the_mix(100), (interval // 2, 1): in_the_mix(100)},
            tuple(of(tally(interval // 2, connection)) for connection in (engine, engine + 2)),
        )
        for interval in range(4)
        for engine in range(2)
    ]
    fair = judge(measured(given)).fairness
    assert fair is not None
    assert [one.name for one in fair.starved] == starved


def test_a_score_has_a_margin() -> None:
    """One connection has 300 kbit/s, the others 390; the floor is 320 kbit/s."""
    result = judge(measured(snapshots(slow=frozenset({2}))))
    assert result.margin is not None
    assert [one.conforming for one in result.margin.floors] == [3, 3, 3]
    assert result.margin.conforming == Spread(3, 3)
    assert result.margin.ideal is not None
    assert (result.margin.ideal.conforming, result.margin.ideal.deals) == (4, 40)
    assert judge(measured(snapshots(slow=frozenset({2})))).margin == result.margin


def test_without_a_score_or_a_complete_iteration_there_is_no_margin() -> None:
    cut = judge(replace(measured(snapshots()), complete=frozenset()), interrupted=True)
    assert cut.has_score
    assert cut.margin is None
    busy = judge(replace(measured(snapshots()), shared=[CoresShared("local", 0.9, "hog (pid 7)")]))
    assert busy.verdict is Verdict.INVALID
    assert busy.margin is None


@pytest.mark.parametrize(("late_ms", "notes"), [(5, 0), (14, 1)])
def test_lateness_that_takes_small_files_out_of_their_bound_is_told(late_ms: int, notes: int) -> None:
    """At 320 kbit/s, the smallest replies may take 7.5 ms, so at 14 ms they miss the bound on any server."""
    late = Histogram.of(np.full(2, late_ms * NS_PER_MS))
    given = [
        replace(one, cells={key: replace(found, lateness=late) for key, found in one.cells.items()})
        for one in snapshots()
    ]
    result = judge(measured(given))
    assert result.verdict is Verdict.CONFORMING, result.reasons
    said = [note for note in result.notes if note.startswith("lateness of the load generator alone takes")]
    assert len(said) == notes
    if notes:
        assert 2 < float(said[0].partition("takes ")[2].partition("%")[0]) < 7


def test_a_slow_connection_is_found_at_its_target_and_in_the_rows() -> None:
    found = measured(snapshots(slow=frozenset({2, 3})))
    result = judge(found)
    assert result.verdict is Verdict.NOT_CONFORMING
    assert [target.conforming for target in result.targets] == [2, 0]
    rows = SpecKind().rows(played(found))
    assert len(rows) == 8
    assert rows["state"].tolist() == [0, 0, 1, 1] * 2
    assert rows["target"].tolist() == [0, 0, 1, 1] * 2
    assert rows["kbit_per_s"][2] == pytest.approx(300, rel=0.01)


def test_a_server_whose_log_is_wrong_does_not_conform() -> None:
    wrong = {1: Check(name="POST log", value=1, limit=0, ok=False, detail="vm1: record 3 has number 1")}
    result = judge(replace(measured(snapshots()), log_checks=wrong))
    assert result.verdict is Verdict.NOT_CONFORMING
    assert any("record 3" in reason for reason in result.reasons)


def test_other_processes_on_the_cores_make_a_run_invalid() -> None:
    busy = CoresShared("local", 0.9, "hog (pid 7)")
    quiet = replace(busy, share=0.1)
    assert judge(replace(measured(snapshots()), shared=[quiet])).verdict is Verdict.CONFORMING
    result = judge(replace(measured(snapshots()), shared=[quiet, busy]))
    assert result.verdict is Verdict.INVALID
    assert "hog (pid 7)" in result.reasons[0]


def test_a_server_that_stalls_for_the_whole_window_is_not_the_generators_fault() -> None:
    """No operation was due in the window: the connections are inside operations that cover it."""
    row = tally(0, 0, ok=0) | {"cut": 1, "busy_ns": 9 * NS_PER_S}
    stalled = [
        snapshot(f"local/{engine}", 2, {(-1, 0): in_the_mix(100)}, (row | {"connection": engine},))
        for engine in range(2)
    ]
    result = judge(replace(measured(stalled), measured_ns={0: 2 * NS_PER_S}, complete=frozenset({0})))
    issued = next(check for check in result.trust.checks if check.name == "operations issued")
    assert issued.ok
    assert not result.iterations[0].conforms


def test_a_lost_worker_degrades_and_its_share_is_named() -> None:
    only = [one for one in snapshots() if one.worker == "local/0" or one.interval == 0]
    result = judge(replace(measured(only), lost={"local/1": "killed by signal 9"}))
    assert result.verdict is Verdict.DEGRADED
    assert "local/1 (killed by signal 9)" in result.reasons[0]
    assert "2 of 4 connections" in result.reasons[0]
    assert result.margin is None  # what remains is no score
    # Connections do not conform in windows that their worker did not play to the end.
    assert [one.conforming for one in result.iterations] == [2, 2]
    assert result.conforming_connections == 2


def test_connections_of_a_worker_that_was_lost_later_conformed_before() -> None:
    known = [one for one in snapshots() if one.worker == "local/0" or one.interval < 3]
    found = played(replace(measured(known), lost={"local/1": "killed by signal 9"}))
    assert [one.conforming for one in SpecKind().judge(found).iterations] == [4, 2]
    # Its connections had only to wait for the line when the worker was lost: all of their time is known.
    waited = replace(measured(snapshots()), lost={"local/1": "killed by signal 9"}, gone={1: frozenset({"local/1"})})
    assert [one.conforming for one in judge(waited).iterations] == [4, 2]
    of_second = [State.CONFORMING, State.LOST, State.CONFORMING, State.LOST]
    assert SpecKind().rows(found)["state"].tolist() == [State.CONFORMING] * 4 + of_second


def test_an_interrupted_run_shows_its_measurements() -> None:
    cut = replace(measured(snapshots()), complete=frozenset({0}), measured_ns={0: 2 * NS_PER_S, 1: NS_PER_S})
    result = judge(cut, interrupted=True)
    assert result.verdict is Verdict.INTERRUPTED
    assert [one.complete for one in result.iterations] == [True, False]
    assert result.median == 0


def test_a_run_without_measurements_has_a_result() -> None:
    result = judge(replace(measured([]), measured_ns={}, complete=frozenset()), interrupted=True)
    assert result.verdict is Verdict.INTERRUPTED
    assert result.iterations == ()


def test_snapshots_alone_give_the_same_numbers() -> None:
    whole = judge(measured(snapshots(slow=frozenset({3}))))
    cut = judge_snapshots(header(), snapshots(slow=frozenset({3})))
    assert cut.verdict is Verdict.INTERRUPTED
    assert [one.conforming for one in cut.iterations] == [one.conforming for one in whole.iterations]
    assert [one.complete for one in cut.iterations] == [True, False]
    assert cut.iterations[1].measured_s == whole.iterations[1].measured_s == 2


def test_snapshots_before_the_first_window_are_no_result() -> None:
    early = [snapshot("local/0", 0, {(-1, 0): cell(5)}, (tally(-1, 0),))]
    assert judge_snapshots(header(), early).iterations == ()
    assert judge_snapshots(replace(header(), targets=()), []).iterations == ()


@pytest.mark.parametrize(
    ("reuse", "host", "ok"), [("0", "127.0.0.1", False), ("2", "127.0.0.1", True), ("2", "192.0.2.1", False)]
)
def test_ports_are_counted_as_long_as_the_kernel_keeps_them(reuse: str, host: str, ok: bool) -> None:
    """Nine ports, of which two engines and the servers of this machine hold some as listeners; four connects in total.

    Within 60 s, these are too many for four; within 1 s, they are not.
    """
    found = measured(snapshots())
    targets = tuple(replace(target, host=host) for target in TARGETS)
    sysctls = {"net.ipv4.ip_local_port_range": "1000 1008", "net.ipv4.tcp_tw_reuse": reuse}
    machine = replace(FLEET.machines[0], sysctls=sysctls)
    result = judge(found, targets=targets, fleet=replace(FLEET, machines=(machine,)))
    (check,) = [check for check in result.trust.checks if check.name == "ephemeral ports"]
    assert check.ok is ok
    assert check.value == (2 if ok else 8)
    assert np.isclose(check.limit, 5 if host == "127.0.0.1" else 7)


def test_snapshots_of_another_run_are_refused() -> None:
    stranger = snapshot("local/0", 0, {(0, 0): in_the_mix(100)}, (tally(0, PLAN.total_connections),))
    with pytest.raises(ValueError, match="more connections than the run's 4"):
        judge_snapshots(header(), [stranger])
    stranger = snapshot("local/0", 0, {(0, len(TARGETS)): in_the_mix(100)}, (tally(0, 0),))
    with pytest.raises(ValueError, match="more targets than the run's 2"):
        judge_snapshots(header(), [stranger])


def test_workers_of_a_lost_machine_are_reported_together_with_their_connections() -> None:
    two = [Machine(name=name, workers=(f"{name}/0", f"{name}/1"), cores=2, open_files=99) for name in ("a", "b")]
    workers = ("a/0", "b/0", "a/1", "b/1")
    fleet = replace(FLEET, machines=tuple(two), placement=Placement(workers, np.arange(4, dtype=np.int32)))
    intake = intake_of(workers)
    for one in snapshots():
        if one.worker == "local/0":
            intake.receive(replace(one, worker="a/0"))
    silent = say_machine_lost("b", "silent for 2.2 s")
    lost = {"b/0": silent, "b/1": silent, "a/1": "killed by signal 9"}
    result = judge(replace(measured([]), intake=intake, lost=lost), fleet=fleet)
    assert result.verdict is Verdict.DEGRADED
    assert result.reasons[0] == (
        "Machine b (silent for 2.2 s) was lost 0 s into the run, and with it 2 of 4 connections (50.0 %): "
        "1 of each of vm0, vm1."
    )
    assert "Worker a/1 (killed by signal 9)" in result.reasons[1]
    assert result.reasons[1].endswith("1 of 4 connections (25.0 %): 1 of vm1.")


def test_distant_start_times_of_machines_make_a_run_invalid() -> None:
    two = tuple(Machine(name=name, workers=(f"{name}/0",), cores=2, open_files=99) for name in ("a", "local"))
    clocks = {"a": Clock(offset_ns=5, error_ns=300_000), "local": Clock(error_ns=100_000)}
    fleet = replace(FLEET, machines=(*two, *FLEET.machines), clocks=clocks)
    for skew_ns, ok in ((3_000_000, True), (300_000_000, False)):
        began_ns = {0: {"local/0": 7, "a/0": 7 + skew_ns}}
        result = judge(replace(measured(snapshots()), began_ns=began_ns), fleet=fleet)
        (check,) = [one for one in result.trust.checks if one.name == "start skew"]
        assert (check.ok, check.value) == (ok, skew_ns / 1e6)
        assert check.detail == "local/0 to a/0; clock error ± 0.40 ms"
    began_ns = {0: {"a/0": 7, "a/1": 8}}
    result = judge(replace(measured(snapshots()), began_ns=began_ns), fleet=fleet)
    (check,) = [one for one in result.trust.checks if one.name == "start skew"]
    assert check.detail == "a/0 to a/1; clock error ± 0.00 ms"  # of one machine


def test_a_starved_window_beside_a_quiet_one_makes_the_run_invalid() -> None:
    """The second of two windows; its engine used 97 % of a core, and 53 % on average over both."""
    given = [
        replace(one, health=replace(one.health, cpu_ns=(97 if one.interval >= 2 else 10) * NS_PER_S // 100))
        if one.worker == "local/1"
        else one
        for one in snapshots()
    ]
    result = judge(measured(given))
    assert result.verdict is Verdict.INVALID
    assert "engine CPU 97 %" in result.reasons[0]
    assert "iteration 2, engine local/1" in result.reasons[0]
    assert [one.trust is not None and one.trust.valid for one in result.iterations] == [True, False]
    assert result.conforming_connections is None


def test_a_lost_worker_beside_an_engine_that_is_late_makes_the_run_invalid() -> None:
    only = [one for one in snapshots() if one.worker == "local/0" or one.interval == 0]
    late = [
        replace(
            one, cells={key: replace(in_the_mix(100), lateness=cell(100, late_ms=612).lateness) for key in one.cells}
        )
        for one in only
    ]
    result = judge(replace(measured(late), lost={"local/1": "killed by signal 9"}))
    assert result.verdict is Verdict.INVALID
    assert "send lateness 612" in result.reasons[0]
    assert any("local/1 (killed by signal 9)" in reason for reason in result.reasons)
    assert result.conforming_connections is None


def test_an_operation_that_reaches_into_a_window_does_not_begin_it() -> None:
    """The run was cut in its warm-up, when the reply of a large file had come that takes until the window."""
    early = [snapshot("local/0", 0, {(-1, 0): cell(5)}, (tally(-1, 0), tally(0, 1)))]
    assert judge_snapshots(header(), early).iterations == ()
