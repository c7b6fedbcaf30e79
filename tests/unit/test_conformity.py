"""Connections and iterations for which it is known whether they conform."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadgen.measure.fold import FoldContext, fold
from loadgen.measure.ledger import Totals
from loadgen.model.bound import Bound
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.connection import State, judge_connections, lost_in
from loadgen.verdict.iteration import judge_iteration
from loadgen.verdict.mix import check_mix
from loadgen.verdict.result import Check
from loadgen.verdict.rules import RULES
from loadgen.verdict.span import Span
from tests.support.evidence import asked, records, rows, tallies
from tests.support.iterations import FINE, FLOOR, MIX, TIMES, WINDOW_NS, cell, check, iteration, served


def states(*given: dict[str, int], connections: int | None = None, bound: Bound = FLOOR) -> list[State]:
    found = judge_connections(rows(*given), connections or len(given), bound)
    return [State(s) for s in found["state"].tolist()]


# Connections.


@pytest.mark.parametrize(("share", "state"), [(0.79, State.SLOW), (0.81, State.CONFORMING), (0.80, State.CONFORMING)])
def test_79_percent_of_the_cap_is_too_slow_and_81_is_not(share: float, state: State) -> None:
    assert states(served(0, 400 * share)) == [state]


@pytest.mark.parametrize(("share", "conforming"), [(0.79, False), (0.81, True)])
def test_a_server_limited_to_a_share_of_the_cap_from_record_to_verdict(share: float, conforming: bool) -> None:
    """Operations of all sizes follow each other, each as long as its bytes take at this rate; the last one is cut."""
    sizes = np.resize(np.array([300, 1_000, 5_000, 15_000, 102_700, 921_900]), 40)
    took = np.rint(sizes * (8 * NS_PER_S / (400_000 * share))).astype(np.int64)
    due = np.cumsum(took) - took
    given = [
        {"due_ns": int(d), "sent_ns": int(d) + 1, "done_ns": int(d + t), "bytes": int(b)}
        for d, t, b in zip(due, took, sizes, strict=True)
        if d < WINDOW_NS
    ]
    given[-1] |= {"done_ns": (given[-1]["due_ns"] + given[-1]["done_ns"]) // 2, "outcome": Outcome.CUT}
    given[-1]["bytes"] //= 2
    ctx = FoldContext(
        kind=np.zeros(1, np.uint8),
        group=np.zeros(1, np.uint8),
        kinds=4,
        groups=1,
        target_of=np.zeros(1, np.int32),
        line_bps=400_000,
        bound=FLOOR,
    )
    _, rates = fold(records(*given), ctx, window=0, window_start_ns=0, window_end_ns=WINDOW_NS)
    found = judge_connections(rates, 1, FLOOR)
    assert found["bits_per_s"][0] == pytest.approx(400_000 * share, rel=0.001)
    assert (found["state"][0] == State.CONFORMING) == conforming


def one_file_at_a_time(freeze_s: float, thaw_s: float) -> NDArray[np.void]:
    """Records of 15,000 B (300 ms at line speed) from 10 s before the window on, by a server that stands still once."""
    given, due = [], -10 * NS_PER_S
    while due < WINDOW_NS:
        done = due + NS_PER_MS
        if freeze_s * NS_PER_S <= done < thaw_s * NS_PER_S:
            done = round(thaw_s * NS_PER_S)
        given.append({"due_ns": due, "sent_ns": due + 1, "done_ns": done, "bytes": 15_000})
        due += max(done - due, 300 * NS_PER_MS)
    return records(*given)


@pytest.mark.parametrize(("freeze_s", "thaw_s", "inside_s"), [(-4, 5.8, 5.8), (-9, -1, 0), (18, 30, 2), (-4, 40, 20)])
def test_a_stall_counts_as_long_as_it_lasts_inside_the_window(freeze_s: float, thaw_s: float, inside_s: float) -> None:
    ctx = FoldContext(
        kind=np.zeros(1, np.uint8),
        group=np.zeros(1, np.uint8),
        kinds=4,
        groups=1,
        target_of=np.zeros(1, np.int32),
        line_bps=400_000,
        bound=FLOOR,
    )
    table = one_file_at_a_time(freeze_s, thaw_s)
    _, found = fold(table, ctx, window=0, window_start_ns=0, window_end_ns=WINDOW_NS)
    found = found[found["window"] == 0]
    assert found["busy_ns"][0] == WINDOW_NS  # every moment of the window is accounted for
    judged = judge_connections(found, 1, FLOOR)
    assert judged["bits_per_s"][0] == pytest.approx(400_000 * (1 - inside_s / 20), rel=0.02, abs=9000)
    assert (judged["state"][0] == State.CONFORMING) == (inside_s < 4)


def test_a_connection_that_never_opened_does_not_conform() -> None:
    assert states(served(1, 390), connections=3) == [State.NO_REQUESTS, State.CONFORMING, State.NO_REQUESTS]


def test_a_connection_that_stalls_for_the_whole_window_does_not_conform() -> None:
    stalled = {"connection": 0, "cut": 1, "bytes": 4_000, "busy_ns": 25 * NS_PER_S}
    silent = {"connection": 1, "cut": 1, "busy_ns": 25 * NS_PER_S}
    assert states(stalled, silent) == [State.SLOW, State.SLOW]
    assert states(stalled, silent, bound=TIMES) == [State.SLOW, State.SLOW]


def test_one_long_reply_in_progress_at_full_speed_conforms() -> None:
    assert states({"cut": 1, "bytes": 1_000_000, "busy_ns": WINDOW_NS}) == [State.CONFORMING]


def test_one_error_in_a_hundred_is_allowed_and_two_are_not() -> None:
    assert states(served(0, 390, ok=99, bad=1)) == [State.CONFORMING]
    assert states(served(0, 390, ok=98, bad=2)) == [State.ERRORS]
    assert states(served(0, 390, ok=98, bad=1)) == [State.ERRORS]
    assert states({"bad": 3}) == [State.ERRORS]


def test_too_many_errors_are_reported_before_slowness() -> None:
    assert states(served(0, 10, ok=1, bad=1)) == [State.ERRORS]


@pytest.mark.parametrize(
    ("ok", "good", "tolerable", "overdue", "state"),
    [
        (100, 95, 99, 0, State.CONFORMING),
        (100, 94, 99, 0, State.SLOW),
        (100, 95, 98, 0, State.SLOW),
        (99, 99, 99, 1, State.CONFORMING),
        (66, 66, 66, 1, State.SLOW),  # one request hung at the end: 66 of 67 are below 99 %
        (0, 0, 0, 0, State.SLOW),
    ],
)
def test_a_time_bound_needs_its_shares(ok: int, good: int, tolerable: int, overdue: int, state: State) -> None:
    given = {"ok": ok, "good": good, "tolerable": tolerable, "overdue": overdue, "cut": overdue + (ok == 0)}
    assert states(given, bound=TIMES) == [state]


def test_a_finding_has_the_numbers_that_it_is_based_on() -> None:
    found = judge_connections(rows(served(2, 250, ok=50, bad=0, cut=1)), 3, FLOOR)
    assert found[["connection", "bits_per_s", "ok", "cut", "bytes", "busy_ns"]][2].tolist() == (
        2,
        250_000.0,
        50,
        1,
        625_000,
        WINDOW_NS,
    )


@given(table=tallies.map(lambda t: t[t["connection"] < 3]), faster=st.integers(2, 100))
def test_being_faster_never_makes_a_connection_worse(table: NDArray[np.void], faster: int) -> None:
    table = table[np.unique(table["connection"], return_index=True)[1]]
    before = judge_connections(table, 3, FLOOR)["state"]
    quicker = table.copy()
    quicker["busy_ns"] //= faster
    after = judge_connections(quicker, 3, FLOOR)["state"]
    assert (after[before == State.CONFORMING] == State.CONFORMING).all()
    assert (after[before == State.ERRORS] == State.ERRORS).all()


@pytest.mark.parametrize(
    ("known_s", "state"),
    [
        (20.0, State.CONFORMING),  # its engine was lost later
        (19.995, State.CONFORMING),
        (19.9, State.LOST),  # the last operation of the window was never reported
        (7.0, State.LOST),
        (0.0, State.LOST),
    ],
)
def test_a_connection_conforms_only_in_windows_before_its_engine_was_lost(known_s: float, state: State) -> None:
    known_ns = round(known_s * NS_PER_S)
    mine = {**served(0, 390), "busy_ns": known_ns, "service_ns": known_ns}
    table = rows(*([mine] if known_s else []), served(1, 390), {"connection": 2, "bad": 5, "failed_ns": WINDOW_NS})
    lost = lost_in(table, np.array([True, False, True]), WINDOW_NS)
    found = judge_connections(table, 3, FLOOR, lost=lost)
    assert found["state"].tolist() == [state, State.CONFORMING, State.ERRORS]


def test_in_records_without_times_all_connections_of_a_lost_engine_count_as_lost() -> None:
    without = [{**served(number, 390), "service_ns": 0} for number in range(2)]
    assert lost_in(rows(*without), np.array([True, False]), WINDOW_NS).tolist() == [True, False]


# Iterations


def test_lost_connections_are_counted_apart() -> None:
    half = [served(number, 390) for number in range(10)]
    totals = Totals({(0, 0): cell(MIX)}, rows(*half), {})
    lost = np.arange(20) >= 10
    result = judge_iteration(0, totals, asked(1, 20, FLOOR), measured_ns=WINDOW_NS, lost=lost)
    assert (result.conforming, result.requested) == (10, 20)
    assert "10 lost with their load machine" in check(result, "conforming connections").detail
    assert result.targets[0].dead_share == 0


def test_a_good_iteration_conforms() -> None:
    result = iteration({0: cell(MIX, bytes=20 * 975_000)}, FINE)
    assert result.conforms
    assert (result.requested, result.conforming, result.requests_ok) == (20, 20, 10_000)
    assert result.ops_per_s == 500
    assert result.kbit_per_s == pytest.approx(20 * 390)
    assert result.by_kind["class 3"] == (100, 0)
    assert result.by_group == {"static": (10_000, 0)}
    assert result.response_ms.p50 is not None
    assert result.response_ms.p50.low == result.response_ms.p50.high == pytest.approx(5000, rel=0.001)
    assert result.response_ms.max == Span(10_000, 10_000)
    (target,) = result.targets
    assert target.conforming == target.requested
    assert target.connection_kbit_per_s == (390, 390, 390)


@pytest.mark.parametrize(("slow", "ok"), [(1, True), (2, False)])
def test_95_percent_of_the_requested_connections_must_conform(slow: int, ok: bool) -> None:
    result = iteration({0: cell(MIX)}, [served(i, 390 if i >= slow else 250) for i in range(20)])
    share = check(result, "conforming connections")
    assert share.ok is result.conforms is ok
    assert (share.value, share.limit) == (100 * (20 - slow) / 20, 95)
    assert f"{slow} too slow" in share.detail


def test_shares_are_relative_to_requested_connections() -> None:
    result = iteration({0: cell(MIX)}, FINE[:10])
    share = check(result, "conforming connections")
    assert (share.value, share.ok) == (50, False)
    assert "10 without any request" in share.detail


def test_each_target_is_judged_by_its_own_connections_and_the_worst_is_named() -> None:
    found = [served(i, 390 if i < 4 or i == 6 else 300) for i in range(8)]
    result = iteration({0: cell(MIX), 1: cell((1, 2, 3, 4))}, found, vms=2, each=4)
    assert [(t.name, t.conforming, t.requests_ok) for t in result.targets] == [("vm0", 4, 10_000), ("vm1", 1, 10)]
    assert "worst: vm1 with 1 of 4" in check(result, "conforming connections").detail
    assert result.targets[1].connection_kbit_per_s == pytest.approx((300, 322.5, 390))


def test_a_target_that_did_nothing_is_in_the_result() -> None:
    result = iteration({}, [])
    assert not result.conforms
    assert (result.conforming, result.targets[0].ops_per_s, result.response_ms.p99) == (0, 0, None)
    assert not any(c.ok for c in result.checks if c.name.startswith("mix"))


@pytest.mark.parametrize(("class_2", "ok"), [(1400, True), (1540, True), (1560, False), (1260, True), (1240, False)])
def test_a_class_may_be_off_by_a_tenth_of_its_share(class_2: int, ok: bool) -> None:
    result = iteration({0: cell((3500, 10_000 - 3600 - class_2, class_2, 100))}, FINE)
    assert check(result, "mix: class 2").ok is ok
    assert check(result, "mix: class 2").limit == 10.5


def test_a_short_window_allows_random_deviations() -> None:
    """Of 1,000 requests, 2 to 21 are of class 3 by chance; of 100,000, chance stays within 10.5 %."""
    few = check(iteration({0: cell((345, 505, 129, 21))}, FINE), "mix: class 3")
    assert few.ok
    assert few.value == pytest.approx(110)
    assert few.limit == pytest.approx(110)
    assert "chance alone explains 2 to 21" in few.detail
    assert not check(iteration({0: cell((345, 505, 128, 22))}, FINE), "mix: class 3").ok
    many = check(iteration({0: cell((35_000, 50_000, 13_890, 1110))}, FINE), "mix: class 3")
    assert (many.ok, many.limit) == (False, 10.5)
    assert many.value == pytest.approx(11)
    assert "chance" not in many.detail


@given(total=st.integers(1, 120), count=st.integers(0, 120), percent=st.sampled_from([1, 14, 35, 50]))
def test_random_deviations_follow_the_binomial_distribution(total: int, count: int, percent: int) -> None:
    """A count fails exactly when this count or a more extreme one has a probability below 1 in 741."""
    share, count = percent / 100, min(count, total)
    found, _ = check_mix(np.array([count, total - count]), ["x", "rest"], [share, 1 - share], RULES)

    def probability(counts: range) -> float:
        return sum(math.comb(total, k) * share**k * (1 - share) ** (total - k) for k in counts)

    once_in_741 = 0.0013498980316
    beyond = probability(range(count, total + 1)) if count > share * total else probability(range(count + 1))
    near = abs(count / (share * total) - 1) <= RULES.mix_tolerance
    if abs(beyond / once_in_741 - 1) > 1e-6:
        assert found.ok is (near or beyond > once_in_741)


def test_cut_requests_are_part_of_the_mix() -> None:
    """The end of a segment mostly cuts the longest requests: half of class 3 in a window of 20 s."""
    assert check(iteration({0: cell((35_000, 50_000, 14_000, 500), cut=500)}, FINE), "mix: class 3").ok
    assert not check(iteration({0: cell((35_000, 50_000, 14_000, 500))}, FINE), "mix: class 3").ok


def test_errors_are_judged_in_total_and_within_each_class() -> None:
    assert check(iteration({0: cell(MIX, bad=(30, 45, 14, 1))}, FINE), "errors").ok
    too_many = check(iteration({0: cell(MIX, bad=(36, 51, 15, 1))}, FINE), "errors")
    assert (too_many.ok, too_many.limit) == (False, 1)
    assert "BAD_LENGTH 103" in too_many.detail
    one_class = check(iteration({0: cell(MIX, bad=(0, 0, 0, 2))}, FINE), "errors")
    assert not one_class.ok
    assert one_class.value == pytest.approx(100 * 2 / 102)
    assert "2 of 102 failed: class 3" in one_class.detail


def test_a_single_error_in_a_rare_class_is_allowed() -> None:
    assert check(iteration({0: cell((350, 500, 140, 10), bad=(0, 0, 0, 1))}, FINE), "errors").ok
    assert not check(iteration({0: cell((350, 500, 140, 10), bad=(0, 0, 0, 2))}, FINE), "errors").ok


def test_a_class_over_its_limit_is_reported_before_a_larger_one() -> None:
    errors = check(iteration({0: cell((350, 500, 140, 10), bad=(20, 0, 0, 1))}, FINE), "errors")
    assert not errors.ok
    assert "20 of 370 failed: class 0" in errors.detail


def test_a_time_bound_is_also_judged_over_all_requests() -> None:
    fine = iteration({0: cell(MIX, good=9_500, tolerable=9_900)}, FINE, bound=TIMES)
    assert check(fine, "good requests").ok
    assert check(fine, "tolerable requests").ok
    assert fine.requests_conforming == 9_500
    slow = iteration({0: cell(MIX, good=9_499, tolerable=9_900, cut=1, overdue=1)}, FINE, bound=TIMES)
    assert not check(slow, "good requests").ok
    assert not check(slow, "tolerable requests").ok  # 9,900 of 10,001
    assert not [c for c in iteration({0: cell(MIX)}, FINE).checks if "requests" in c.name]


def test_external_checks_are_part_of_the_result() -> None:
    totals = Totals({(0, 0): cell(MIX)}, rows(*FINE), {})
    log = Check(name="POST log", value=1, limit=0, ok=False)
    result = judge_iteration(0, totals, asked(1, 20), measured_ns=WINDOW_NS, more_checks=[log], complete=False)
    assert not result.conforms
    assert not result.complete
    assert result.checks[-1] == log


def test_other_windows_are_ignored() -> None:
    totals = Totals({(0, 0): cell(MIX), (1, 0): cell((1, 0, 0, 0)), (-1, 0): cell(MIX)}, rows(*FINE), {})
    assert judge_iteration(1, totals, asked(1, 20), measured_ns=WINDOW_NS).requests_ok == 1
