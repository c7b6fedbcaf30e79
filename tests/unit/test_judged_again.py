"""A run is judged again without its disturbed seconds: does its verdict depend on them?"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgpack
import pytest

from coordinator.kinds.again import disturbance_of
from coordinator.kinds.catalog import judges
from coordinator.kinds.http.kind import HttpKind
from coordinator.output.judged import read_judged
from coordinator.output.text import write_text
from coordinator.record.disturbance import read_disturbance, write_disturbance
from coordinator.record.document import finished, result_of, unfinished
from coordinator.record.schema.generate import why_damaged
from coordinator.record.writer import DISTURBANCE, RecordWriter
from coordinator.run.api import Played
from coordinator.run.evidence import TapeEvidence, TapeMeasured
from coordinator.run.tapes import empty_intake
from loadgen.measure.disturbance import MachineSecond
from loadgen.measure.events import CoresShared
from loadgen.measure.snapshot import Snapshot
from loadgen.model.http_plan import HttpPlan
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.disturbance import Dependence, Disturbance
from loadgen.verdict.http_result import HttpResult
from loadgen.verdict.result import RunResult, Verdict
from tests.support.canaries import heard, seen, tail
from tests.support.disturbance import engine_second, second
from tests.support.https import OPEN, ended, header
from tests.unit import test_judge as spec

PLAN = dataclasses.replace(OPEN, duration_ns=6 * NS_PER_S, rate_per_s=100.0)


def operations(slow_s: Iterable[int] = (), *, silent_from_s: float = 99.0) -> list[tuple[float, float, Outcome]]:
    """100 requests per second that take 4 ms, or 61 ms in the seconds `slow_s`; or none is answered any more."""
    slow, found = set(slow_s), []
    for n in range(600):
        due_s = n / 100
        if due_s >= silent_from_s:
            found.append((due_s, 6.0, Outcome.CUT))
        else:
            found.append((due_s, due_s + (0.061 if int(due_s) in slow else 0.004), Outcome.OK))
    return found


def http(
    given: Sequence[Snapshot], seconds: Iterable[MachineSecond] = (), plan: HttpPlan = PLAN, **more: Any
) -> HttpResult:
    kind, begun = HttpKind(), header(plan)
    intake = empty_intake(kind.asked(plan, plan.targets), begun.own_fleet.placement)
    for one in seconds:
        intake.observe(one)
    for snapshot in given:
        intake.receive(snapshot)
    measured = TapeMeasured(
        **{"intake": intake, "measured_ns": {0: plan.duration_ns}, "complete": frozenset({0}), **more}
    )
    return kind.judge(Played(header=begun, measured=measured, interrupted=False))


def track(busy: Iterable[int], others: float = 0.9) -> list[MachineSecond]:
    busy = set(busy)
    return [second(n, others * (n in busy)) for n in range(6)]


def disturbance(result: HttpResult | RunResult) -> Disturbance:
    assert result.disturbance is not None
    return result.disturbance


def test_an_undisturbed_run_says_nothing() -> None:
    result = http(ended(PLAN, operations()), track([]))
    assert result.verdict is Verdict.CONFORMING
    assert disturbance(result).dependence is Dependence.NONE
    assert disturbance(result).sentence == ""
    assert http(ended(PLAN, operations())).disturbance is None


def test_a_verdict_that_disturbed_seconds_cause_depends_on_them() -> None:
    """The engine waits 61 ms in the second in which a neighbour uses 21 % of its core, which is allowed in a window."""
    result = http(ended(PLAN, operations([2])), track([2], others=0.21))
    found = disturbance(result)
    assert result.verdict is Verdict.NOT_CONFORMING
    assert found.dependence is Dependence.OTHER
    assert found.without is not None
    assert found.without.verdict == "conforming"
    assert found.left_out_s == 2
    assert found.sentence == (
        "1 of 6 seconds was disturbed (other processes used 21 % of core 1 at 2 s, largest user hog (pid 7)); without "
        "them, the verdict would be CONFORMING: p99 4 ms instead of 61 ms. Repeat the run on a quiet machine."
    )


@pytest.mark.parametrize("slow", [[], [0, 4]])
def test_a_verdict_that_other_seconds_cause_does_not(slow: list[int]) -> None:
    result = http(ended(PLAN, operations(slow)), track([2], others=0.21))
    found = disturbance(result)
    assert result.verdict is (Verdict.NOT_CONFORMING if slow else Verdict.CONFORMING)
    assert found.dependence is Dependence.SAME
    assert found.sentence.endswith("hog (pid 7)); without them, the verdict is the same.")


def test_a_silent_server_cannot_hide_behind_a_disturbance() -> None:
    result = http(ended(PLAN, operations(silent_from_s=3.5)), track([4, 5], others=0.3))
    assert result.verdict is Verdict.NOT_CONFORMING
    assert disturbance(result).dependence is Dependence.SAME


def test_a_run_that_was_disturbed_throughout_cannot_be_judged_again() -> None:
    result = http(ended(PLAN, operations()), track(range(6)))
    found = disturbance(result)
    assert found.dependence is Dependence.NOT_KNOWN
    assert found.without is None
    assert found.sentence.endswith(
        "too few undisturbed seconds are left to judge again. Repeat the run on a quiet machine."
    )


def test_an_invalid_run_stays_invalid_and_tells_no_verdict_on_the_servers() -> None:
    result = http(ended(PLAN, operations([2])), track([1, 2, 3]))
    found = disturbance(result)
    assert result.verdict is Verdict.INVALID
    assert result.slos == ()
    assert found.without is not None
    assert found.without.verdict is None
    assert found.without.trusted
    assert found.without.changes == ()
    assert found.sentence.endswith("the load generator passes its checks. Repeat the run on a quiet machine.")
    busy = http(ended(PLAN, operations(), cpu=0.97), track([1, 2, 3]))
    assert disturbance(busy).sentence.endswith("without them, the load generator does not pass its checks.")


def test_a_canary_of_disturbed_seconds_does_not_convict_the_others() -> None:
    """A canary is known for whole windows only, so nobody knows what it shows without the disturbed seconds."""
    delayed = heard(seen(added_ms=100))
    alone = http(ended(PLAN, operations()), track([2], others=0.21), canaries=(delayed,))
    assert [check.name for check in alone.trust.checks if not check.ok] == ["canary"]
    assert disturbance(alone).dependence is Dependence.NOT_KNOWN
    assert disturbance(alone).without is None
    assert disturbance(alone).sentence.endswith(
        "it is not known whether the load generator passes its checks without them (not known for single seconds: "
        "canary). Repeat the run on a quiet machine."
    )
    assert read_disturbance(write_disturbance(disturbance(alone))) == disturbance(alone)
    busy = http(ended(PLAN, operations(), cpu=0.97), track([2]), canaries=(delayed,))
    assert disturbance(busy).sentence.endswith("without them, the load generator does not pass its checks.")
    # With slow seconds, the limit of the canary is half of a larger percentile.
    slow = http(ended(PLAN, operations([2])), track([2], others=0.21), canaries=(heard(seen(added_ms=1.9)),))
    assert slow.verdict is Verdict.NOT_CONFORMING
    rest = disturbance(slow).without
    assert rest is not None
    assert rest.verdict == "conforming"


def test_a_canary_that_slow_seconds_excuse_is_not_compared_with_the_others() -> None:
    """25 ms are less than half of the measured 61 ms, and more than the 20 ms that are allowed without slow seconds."""
    plan = dataclasses.replace(PLAN, slos=())
    result = http(ended(plan, operations([2])), track([2], others=0.21), plan, canaries=(heard(tail()),))
    assert result.verdict is Verdict.CONFORMING
    assert disturbance(result).dependence is Dependence.SAME


def test_the_use_of_a_whole_segment_does_not_convict_undisturbed_seconds() -> None:
    """Of three seconds, the two whole ones are left out; only the use of the segment is known for the rest."""
    plan = dataclasses.replace(PLAN, duration_ns=3 * NS_PER_S)
    given = ended(plan, [one for one in operations() if one[0] < 2.9])
    shared = (CoresShared("local", 0.3, "hog (pid 7)"),)
    partial = second(2, end_ns=NS_PER_S * 9 // 10)
    result = http(given, [second(0, 0.9), second(1, 0.0), partial], plan, shared=shared)
    assert [check.name for check in result.trust.checks if not check.ok] == ["other processes"]
    assert disturbance(result).undecided == ("other processes",)


def test_a_disturbed_second_that_counts_is_not_said_to_be_left_out() -> None:
    """The window ends within the disturbed second, so the run judged again would be the same run."""
    plan = dataclasses.replace(PLAN, duration_ns=59 * NS_PER_S // 10)
    given = ended(plan, [one for one in operations([5]) if one[0] < 5.8])
    result = http(given, [*track([])[:5], second(5, 0.9, end_ns=NS_PER_S * 9 // 10)], plan)
    assert result.verdict is Verdict.NOT_CONFORMING
    assert disturbance(result).dependence is Dependence.NOT_KNOWN
    assert "a second in which a window ends cannot be left out" in disturbance(result).sentence


def test_a_run_that_lacks_a_window_does_not_depend_on_disturbed_seconds() -> None:
    result = http(ended(PLAN, operations()), track([2], others=0.21), complete=frozenset())
    assert result.verdict is Verdict.INVALID
    assert result.trust.valid
    assert disturbance(result).dependence is Dependence.SAME
    assert disturbance(result).sentence.endswith("without them, the load generator passes its checks.")


def test_a_span_names_who_used_the_most_in_most_seconds() -> None:
    users = ["tests (pid 1)", "tests (pid 1)", "cc1 (pid 2)"]
    engines = [engine_second(others=0.3 + n / 10, most=who) for n, who in enumerate(users, start=1)]
    given = [second(n, engines=(engine,)) for n, engine in enumerate(engines)]
    result = http(ended(PLAN, operations()), [*given, *track([])[3:]])
    assert (
        "other processes used up to 60 % of core 1 at 0-2 s, largest user tests (pid 1))"
        in disturbance(result).sentence
    )


def test_the_engines_health_in_disturbed_seconds_is_left_out() -> None:
    """An engine that stood still for 0.4 of 6 s fails its check; without the second and the next one it did not."""
    given = [
        dataclasses.replace(one, health=dataclasses.replace(one.health, still_ns=400 * NS_PER_MS))
        if one.interval == 2
        else one
        for one in ended(PLAN, operations())
    ]
    result = http(given, track([]))
    found = disturbance(result)
    assert result.verdict is Verdict.INVALID
    assert [(span.cause.what, span.first_s, span.last_s) for span in found.spans] == [("stood still", 2, 2)]
    assert found.without is not None
    assert found.without.trusted


def test_a_gap_in_a_closed_loop_breaks_no_law() -> None:
    """No operation ends in the seconds that are left out, in which all connections were busy."""
    plan = dataclasses.replace(PLAN, rate_per_s=0.0, slos=(), duration_ns=12 * NS_PER_S)
    starts_s = (0, 3, 6, 9)
    given = ended(plan, [(start_s, start_s + 3, Outcome.OK) for start_s in starts_s for _ in range(plan.connections)])
    # 20 % of a core are allowed in the whole window.
    found = disturbance(http(given, [second(n, 0.21 * (n % 3 == 1)) for n in range(12)], plan))
    assert found.left_out_s == 8
    assert found.dependence is Dependence.SAME
    assert found.without is not None
    assert found.without.trusted


def test_the_measured_time_is_that_of_the_rest() -> None:
    kind, begun = HttpKind(), header(PLAN)
    intake = empty_intake(kind.asked(PLAN, PLAN.targets), begun.own_fleet.placement)
    for one in track([2], others=0.21):
        intake.observe(one)
    for snapshot in ended(PLAN, operations()):
        intake.receive(snapshot)
    measured = TapeMeasured(intake=intake, measured_ns={0: 6 * NS_PER_S}, complete=frozenset({0}))
    played = Played(header=begun, measured=measured, interrupted=False)
    rests: list[TapeMeasured] = []

    def judge(evidence: TapeEvidence) -> HttpResult:
        rests.append(evidence.measured)
        return kind.judge(played)

    disturbance_of(kind.judge(played), kind.evidence(played), judge, lambda result: {})
    (rest,) = rests
    assert rest.measured_ns == {0: 4 * NS_PER_S}
    assert rest.left_out == {2, 3}
    assert sum(cell.ok for cell in rest.totals.window(0).values()) == 400


def test_the_check_of_other_processes_is_of_the_windows_seconds() -> None:
    """What others did in the ramp made whole segments INVALID."""
    ramp = [second(n, 0.9, window=-1) for n in range(10, 20)]
    result = http(ended(PLAN, operations()), [*track([]), *ramp])
    (check,) = [one for one in result.trust.checks if one.name == "other processes"]
    assert check.value == 0


def spec_run(seconds: Iterable[MachineSecond], slow_at: int = -1, **changes: object) -> RunResult:
    """Two windows of two seconds; all connections are slow in interval `slow_at`."""
    quick, slow = spec.snapshots(), spec.snapshots(slow=frozenset(range(4)))
    measured = spec.measured([])
    for one in seconds:
        measured.intake.observe(one)
    for usual, other in zip(quick, slow, strict=True):
        measured.intake.receive(other if usual.interval == slow_at else usual)
    return spec.judge(dataclasses.replace(measured, **changes))  # type: ignore[arg-type]


def test_a_lost_machine_is_not_convicted_by_an_earlier_segment() -> None:
    """It had a busy ramp, kept to the limit in the first window, and was lost before the second one."""
    lost = {"local/0": "killed by signal 9", "local/1": "killed by signal 9"}
    result = spec_run(spec_track([])[:2], shared=[CoresShared("local", 0.9, "hog (pid 7)")], lost=lost)
    assert "other processes" not in [check.name for check in result.trust.checks if not check.ok]
    unseen = spec_run([], shared=[CoresShared("local", 0.9, "hog (pid 7)")], lost=lost)
    assert "other processes" in [check.name for check in unseen.trust.checks if not check.ok]


def spec_track(busy: Iterable[int], others: float = 0.21) -> list[MachineSecond]:
    busy = set(busy)
    engines = [tuple(engine_second(f"local/{i}", others * (n in busy)) for i in range(2)) for n in range(4)]
    return [second(n, window=n // 2, engines=engines[n]) for n in range(4)]


def test_spec_is_judged_again_in_the_same_way() -> None:
    """390 and 250 kbit/s are 320 together, and 390 without the disturbed second."""
    slow = dict.fromkeys(range(4), 240)
    quick, late = spec.snapshots(), []
    for one in quick:
        rows = one.tallies.copy()
        if one.interval == 1:
            rows["bytes"] = [slow[connection] * 125 for connection in rows["connection"].tolist()]
        late.append(dataclasses.replace(one, tallies=rows))
    measured = spec.measured([])
    for second_ in spec_track([1]):
        measured.intake.observe(second_)
    for one in late:
        measured.intake.receive(one)
    result = spec.judge(measured)
    found = disturbance(result)
    assert result.verdict is Verdict.NOT_CONFORMING
    assert found.without is not None
    assert found.without.verdict == "conforming"
    assert "conforming connections 100% instead of 0%" in found.sentence.replace(" %", "%")
    assert found.left_out_s == 2


def test_a_spec_verdict_that_does_not_depend_on_the_disturbance() -> None:
    found = disturbance(spec_run(spec_track([1])))
    assert found.dependence is Dependence.SAME
    assert found.disturbed_s == 1


def test_connections_with_few_operations_are_not_judged_by_the_seconds_that_hold_none_of_them() -> None:
    """Users who think make one request in a window: without its second they would be taken for silent ones."""
    measured = spec.measured([])
    for second_ in spec_track([1]):
        measured.intake.observe(second_)
    for one in spec.snapshots():
        thinking = one.tallies.copy()
        for name in thinking.dtype.names or ():
            thinking[name] = one.tallies[name] if name in ("window", "connection") else 0
        thinking["pacing_ns"] = NS_PER_S
        measured.intake.receive(one if one.interval in (1, 2) else dataclasses.replace(one, tallies=thinking))
    result = spec.judge(measured)
    assert result.verdict is Verdict.CONFORMING, result.reasons
    assert disturbance(result).dependence is Dependence.NOT_KNOWN


def test_a_window_of_which_nothing_is_left_cannot_be_judged_again() -> None:
    assert disturbance(spec_run(spec_track([2]))).dependence is Dependence.NOT_KNOWN


def test_each_window_has_its_own_use_by_others() -> None:
    result = spec_run(spec_track([2, 3], 0.9), shared=[CoresShared("local", 0.9, "hog")])
    shares = [
        check.value
        for one in result.iterations
        if one.trust is not None
        for check in one.trust.checks
        if check.name == "other processes"
    ]
    assert shares == [0, pytest.approx(90)]
    assert result.verdict is Verdict.INVALID
    assert result.conforming_connections is None


@pytest.mark.parametrize("busy", [[], [2], [1, 2, 3], range(6)])
def test_the_document_holds_it_and_fits_the_schema(busy: Iterable[int]) -> None:
    result = http(ended(PLAN, operations([2])), track(busy, others=0.5))
    document = finished(header(PLAN), result, finished_at="2026-02-03T04:05:09+00:00")
    assert why_damaged(document) == ""
    assert result_of(document).disturbance == result.disturbance
    assert document["disturbance"]["sentence"] == disturbance(result).sentence


def test_a_cut_run_is_judged_again_from_its_record(tmp_path: Path) -> None:
    seconds, given = track([2], others=0.5), ended(PLAN, operations([2]))
    with RecordWriter(tmp_path / "run", unfinished(header(PLAN))) as writer:
        for one in seconds:
            writer.observe(one)
        writer.append(given)
    judged = read_judged(tmp_path / "run", judges())
    found = disturbance(judged.result)
    assert found.disturbed_s == 1
    assert [(span.first_s, span.last_s) for span in found.spans] == [(2, 2)]
    text = tmp_path / "text"
    with text.open("w") as stream:
        write_text(judged, stream)
    assert "disturbed: 1 of 6 seconds was disturbed" in text.read_text()
    torn = msgpack.packb(seconds[0].to_wire())[:-3]
    with (tmp_path / "run" / DISTURBANCE).open("ab") as file:
        file.write(torn)
    assert disturbance(read_judged(tmp_path / "run", judges()).result).disturbed_s == 1


def test_json_of_an_invalid_run_has_no_score() -> None:
    result = spec_run(spec_track([2, 3], 0.9))
    document = finished(spec.header(), result, finished_at="2026-02-03T04:05:09+00:00")
    assert why_damaged(document) == ""
    assert "conforming" not in json.dumps(document["disturbance"]["without"])
