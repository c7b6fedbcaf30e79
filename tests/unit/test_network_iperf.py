from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from loadgen.measure.throughput import UNKNOWN, Granted, ProbeResult
from loadgen.model.errors import ExitCode
from loadgen.model.probe import Direction, IperfPlan, Kind
from loadgen.verdict.network import judge_iperf
from loadgen.verdict.result import Verdict
from tests.support.iperf_judging import BIDIR, NOBODY, UDP, check, judged, row, slower
from tests.support.networks import IPERF, iperf_results, probe_result


def test_rows_are_the_plans_cells_with_median_and_spread() -> None:
    result = judged()
    assert [(one.window_bytes, one.direction) for one in result.rows] == [
        (window_bytes, direction) for window_bytes in IPERF.windows_bytes for direction in IPERF.directions
    ]
    found = row(result, 16 << 10, Direction.SEND)
    assert found.repeats == 4
    assert found.runs_mbit_per_s == pytest.approx([524.0, 524.5, 525.0, 525.5])
    (rate,) = found.rates
    # For an even number, the mean of the two middle values.
    assert (rate.mbit_per_s, rate.min_mbit_per_s, rate.max_mbit_per_s) == pytest.approx((524.75, 524.0, 525.5))
    assert found.local_cpu_s_per_gb == pytest.approx(0.11)
    assert found.remote_cpu_s_per_gb == pytest.approx(0.125)
    assert found.cpu_s_per_gb == pytest.approx(0.235)
    assert (found.retransmits, found.rtt_ns, found.cwnd_bytes) == (3, 210_000, 524_288)
    assert found.local_granted == Granted(send_bytes=32 << 10, receive_bytes=32 << 10)
    assert result.peer == "iperf 3.12"


def test_the_median_is_of_received_bytes_not_of_sent_bytes() -> None:
    def half(one: ProbeResult) -> ProbeResult:
        streams = tuple(dataclasses.replace(s, sent_bytes=2 * s.sent_bytes) for s in one.streams)
        return dataclasses.replace(one, streams=streams)

    assert row(judged(change=half), 64 << 10, Direction.SEND).mbit_per_s == pytest.approx(942.25)


def test_streams_are_added_up() -> None:
    plan = dataclasses.replace(IPERF, parallel=4)
    found = row(judged(plan), 64 << 10, Direction.SEND)
    assert found.mbit_per_s == pytest.approx(942.25)
    assert (found.retransmits, found.cwnd_bytes, found.rtt_ns) == (12, 4 * 524_288, 210_000)


def unequal(one: ProbeResult) -> ProbeResult:
    """Return a test in which one stream moves 1 GB in 1 s, and each other stream 1 GB in 10 s."""
    streams = [
        dataclasses.replace(s, sent_bytes=10**9, received_bytes=10**9, sent_ns=10**10, received_ns=10**10)
        for s in one.streams
    ]
    for number, stream in enumerate(streams):
        if number == 0 or stream.direction is not streams[number - 1].direction:
            streams[number] = dataclasses.replace(stream, received_ns=10**9, sent_ns=10**9)
    return dataclasses.replace(one, streams=tuple(streams))


def test_with_a_byte_limit_the_rate_is_all_bytes_over_the_longest_time() -> None:
    """1 GB in 1 s and 1 GB in 10 s are 2 GB in 10 s: 1,600 Mbit/s, not 8,000 + 800."""
    plan = dataclasses.replace(IPERF, parallel=2, limit_bytes=2 * 10**9)
    result = judged(plan, unequal)
    found = row(result, 64 << 10, Direction.SEND)
    assert found.mbit_per_s == pytest.approx(1600)
    assert found.runs_mbit_per_s == pytest.approx([1600] * 4)
    assert (found.slowest_stream_mbit_per_s, found.fastest_stream_mbit_per_s) == pytest.approx((800, 8000))
    both = row(judged(dataclasses.replace(plan, directions=(Direction.BIDIR,)), unequal), 64 << 10, Direction.BIDIR)
    assert [rate.mbit_per_s for rate in both.rates] == pytest.approx([1600, 1600])


def test_both_directions_at_once_are_two_numbers_in_a_row() -> None:
    found = row(judged(BIDIR), 64 << 10, Direction.BIDIR)
    assert [rate.direction for rate in found.rates] == [Direction.SEND, Direction.RECEIVE]
    assert [rate.mbit_per_s for rate in found.rates] == pytest.approx([942.25, 942.25])
    assert found.mbit_per_s == pytest.approx(2 * 942.25)


def test_unknown_values_stay_unknown() -> None:
    def silent(one: ProbeResult) -> ProbeResult:
        streams = tuple(
            dataclasses.replace(s, retransmits=UNKNOWN, rtt_ns=UNKNOWN, cwnd_max_bytes=UNKNOWN) for s in one.streams
        )
        return dataclasses.replace(one, remote_cpu_ns=UNKNOWN, streams=streams)

    found = row(judged(change=silent), 64 << 10, Direction.SEND)
    assert found.local_cpu_s_per_gb > 0
    unknown = (found.remote_cpu_s_per_gb, found.cpu_s_per_gb, found.retransmits, found.rtt_ns, found.cwnd_bytes)
    assert set(unknown) == {UNKNOWN}


def test_datagrams_have_loss_jitter_and_order() -> None:
    found = row(judged(UDP), 0, Direction.SEND)
    assert found.mbit_per_s == pytest.approx(10.0)
    assert (found.loss_share, found.jitter_ns, found.out_of_order) == (0.02, 18_000, 2)


def test_request_response_has_times_and_no_rate() -> None:
    plan = dataclasses.replace(IPERF, kind=Kind.RR, directions=(Direction.SEND,), windows_bytes=(0,))
    result = judged(plan)
    (found,) = result.rows
    assert (found.rates, found.mbit_per_s) == ((), 0)
    assert (found.latency.p50_ns, found.latency.max_ns) == (41_500, 40 * 43_000)
    assert found.latency.transactions == 80_000
    assert found.latency.per_s == pytest.approx(10_000)
    assert result.verdict is Verdict.CONFORMING


def test_a_good_run_without_a_required_rate_is_valid() -> None:
    result = judged(others=(0.02, "sshd (pid 7)"))
    assert (result.verdict, result.exit_code, result.asked) == (Verdict.CONFORMING, ExitCode.CONFORMING, False)
    assert result.trust.valid
    assert result.reasons == ("40 of 40 tests were measured, and all checks passed.",)
    assert result.notes == ()


@pytest.mark.parametrize(("at_least_bps", "verdict"), [(504_750_000, "CONFORMING"), (504_751_000, "NOT_CONFORMING")])
def test_every_cell_must_reach_the_required_rate(at_least_bps: int, verdict: str) -> None:
    result = judged(dataclasses.replace(IPERF, at_least_bps=at_least_bps))
    assert result.verdict is Verdict[verdict]
    assert "receive 16K" in result.reasons[0]
    assert result.asked


def test_cells_below_the_required_rate_are_named() -> None:
    result = judged(dataclasses.replace(IPERF, at_least_bps=900_000_000))
    assert result.exit_code == 1
    assert result.reasons == (
        "4 of 10 cells are below 900 Mbit/s: receive 16K 504.8, send 16K 524.8, receive 32K 868.8, send 32K 888.8.",
    )


def test_each_of_both_directions_must_reach_the_required_rate() -> None:
    plan = dataclasses.replace(BIDIR, at_least_bps=1_000_000_000, windows_bytes=(64 << 10,))
    assert judged(plan).reasons == (
        "2 of 2 cells are below 1,000 Mbit/s: bidir 64K send 942.2, bidir 64K receive 942.2.",
    )


def test_other_processes_on_the_cores_make_a_run_invalid() -> None:
    assert judged(others=(0.40, "make (pid 9)")).verdict is Verdict.CONFORMING
    result = judged(others=(0.41, "make (pid 9)"))
    assert (result.verdict, result.exit_code) == (Verdict.INVALID, 3)
    assert "make (pid 9)" in result.reasons[0]


def test_other_processes_of_which_nothing_is_known_are_said_to_be_unknown() -> None:
    checks = judged().trust.checks
    assert not checks[0].known
    assert checks[0].ok
    assert "not known" in checks[0].detail
    assert [one.name for one in checks] == [
        "other processes",
        "tests without traffic",
        "received beyond sent",
        "tests limited by this end",
    ]


def test_a_missing_test_makes_a_run_invalid() -> None:
    result = judge_iperf(IPERF, iperf_results()[:-1], others=NOBODY)
    assert result.verdict is Verdict.INVALID
    assert result.reasons == ("Only 39 of 40 tests were measured.",)


def test_an_error_during_the_run_is_the_first_reason() -> None:
    problem = "send 64K 2/4: 192.0.2.1 port 5201 closed the connection"
    result = judge_iperf(IPERF, iperf_results()[:15], others=NOBODY, problems=(problem,))
    assert result.verdict is Verdict.INVALID
    assert result.reasons == (problem, "Only 15 of 40 tests were measured.")


@pytest.mark.parametrize("done", [0, 1, 15])
def test_an_interrupted_run_reports_its_progress(done: int) -> None:
    result = judge_iperf(IPERF, iperf_results()[:done], others=NOBODY, interrupted=True)
    assert (result.verdict, result.exit_code) == (Verdict.INTERRUPTED, 130)
    assert result.reasons == (f"The run was interrupted after {done} of 40 tests.",)
    assert len(result.rows) == min(done, 10)


@pytest.mark.parametrize(("share", "ok"), [(0.96, True), (0.94, False)])
def test_datagrams_below_the_requested_rate_make_a_run_invalid(share: float, ok: bool) -> None:
    result = judged(UDP, lambda one: slower(one, share))
    assert check(result, "datagrams sent").ok is ok
    assert (result.verdict is Verdict.CONFORMING) is ok


@pytest.mark.parametrize(("packets", "ok"), [(25, True), (2500, False)])
def test_three_late_datagrams_do_not_make_a_short_run_invalid(packets: int, ok: bool) -> None:
    def few(one: ProbeResult) -> ProbeResult:
        streams = tuple(dataclasses.replace(stream, packets=packets) for stream in slower(one, 0.89).streams)
        return dataclasses.replace(one, streams=streams)

    assert check(judged(UDP, few), "datagrams sent").ok is ok


def test_a_tcp_sender_slowed_down_by_the_path_is_a_result() -> None:
    result = judged(dataclasses.replace(IPERF, rate_bps=2_000_000_000), lambda one: slower(one, 0.4))
    assert result.verdict is Verdict.CONFORMING
    assert result.notes == ("2,000 Mbit/s were requested; the slowest cell reached only 800.0 Mbit/s.",)


@pytest.mark.parametrize(("omit_ns", "excess_bytes", "ok"), [(0, 1 << 20, True), (0, 40 << 20, False)])
def test_a_receiver_cannot_receive_more_than_was_sent(omit_ns: int, excess_bytes: int, ok: bool) -> None:
    def more(one: ProbeResult) -> ProbeResult:
        streams = tuple(dataclasses.replace(s, received_bytes=s.sent_bytes + excess_bytes) for s in one.streams)
        return dataclasses.replace(one, streams=streams)

    result = judged(dataclasses.replace(IPERF, omit_ns=omit_ns), more)
    assert check(result, "received beyond sent").ok is ok
    assert (result.verdict is Verdict.CONFORMING) is ok


def test_without_a_warm_up_no_buffered_bytes_are_allowed() -> None:
    def more(one: ProbeResult) -> ProbeResult:
        streams = tuple(dataclasses.replace(s, received_bytes=s.sent_bytes + (15 << 20)) for s in one.streams)
        return dataclasses.replace(one, streams=streams)

    plan = dataclasses.replace(IPERF, windows_bytes=(0,))
    assert judged(plan, more).trust.valid
    assert not judged(dataclasses.replace(plan, omit_ns=0), more).trust.valid


@pytest.mark.parametrize(("window_bytes", "ok"), [(0, True), (64 << 10, False)])
def test_after_a_warm_up_buffered_bytes_are_allowed(window_bytes: int, ok: bool) -> None:
    """2 s of 10 Mbit/s are 2.5 MB; of 4 MB that were received beyond that, buffers can hold only a part."""
    plan = dataclasses.replace(IPERF, windows_bytes=(window_bytes,), repeats=1, duration_ns=2_000_000_000)
    results = [probe_result(plan.test(window_bytes, way), 10.0) for way in plan.directions]
    spoiled = [
        dataclasses.replace(
            one,
            streams=tuple(dataclasses.replace(s, received_bytes=s.sent_bytes + 4_000_000) for s in one.streams),
        )
        for one in results
    ]
    assert judge_iperf(plan, spoiled, others=NOBODY).trust.valid is ok


def test_failed_transactions_are_said() -> None:
    plan = dataclasses.replace(IPERF, kind=Kind.RR, directions=(Direction.SEND,), windows_bytes=(0,))

    def failing(one: ProbeResult) -> ProbeResult:
        return dataclasses.replace(one, latency=dataclasses.replace(one.latency, failed=5))

    assert judged(plan, failing).notes == ("20 of 80,020 transactions failed.",)


def dropping(count: int) -> Callable[[ProbeResult], ProbeResult]:
    def change(one: ProbeResult) -> ProbeResult:
        streams = tuple(dataclasses.replace(stream, packets=10_000, dropped=count) for stream in one.streams)
        return dataclasses.replace(one, streams=streams)

    return change


@pytest.mark.parametrize(("count", "ok"), [(10, True), (11, False)])
def test_datagrams_that_this_end_dropped_were_not_lost_by_the_path(count: int, ok: bool) -> None:
    result = judged(UDP, dropping(count))
    assert check(result, "datagrams dropped here").ok is ok
    assert (result.verdict is Verdict.CONFORMING) is ok


def test_datagrams_that_the_far_end_dropped_are_told() -> None:
    result = judged(dataclasses.replace(UDP, directions=(Direction.SEND,)), dropping(500))
    assert result.verdict is Verdict.CONFORMING
    assert result.notes == (
        "The far end dropped 2,000 datagrams that had arrived, because it was too slow to take them.",
    )


def quiet(*seconds: float) -> Callable[[ProbeResult], ProbeResult]:
    """The streams of each direction received nothing in the last seconds of a test."""

    def change(one: ProbeResult) -> ProbeResult:
        streams = tuple(
            dataclasses.replace(stream, quiet_ns=int(seconds[number % len(seconds)] * 1e9))
            for number, stream in enumerate(one.streams)
        )
        return dataclasses.replace(one, streams=streams)

    return change


def test_a_path_that_carries_nothing_at_the_end_does_not_conform() -> None:
    """Its mean rate may be as high as was required."""
    plan = dataclasses.replace(IPERF, windows_bytes=(64 << 10,), directions=(Direction.SEND,), at_least_bps=900_000_000)
    result = judged(plan, quiet(5.0))
    assert result.verdict is Verdict.NOT_CONFORMING
    assert result.reasons == (
        "send 64K: nothing arrived in the last 5.0 s of a test of 10.0 s; its rate is the mean over all of the time.",
    )


@pytest.mark.parametrize(
    ("plan", "seconds", "ok"),
    [
        (IPERF, (0.9,), True),
        (IPERF, (1.1,), False),
        (dataclasses.replace(IPERF, parallel=2), (5.0, 0.0), True),  # the other stream goes on: the table has each
        (dataclasses.replace(IPERF, parallel=2), (5.0, 4.0), False),
        (BIDIR, (0.0, 5.0), False),
        (dataclasses.replace(IPERF, limit_bytes=1 << 30), (5.0,), True),
        (dataclasses.replace(IPERF, rate_bps=1000), (5.0,), True),
    ],
)
def test_a_pause_at_the_end_is_told_from_a_path_that_died(
    plan: IperfPlan, seconds: tuple[float, ...], ok: bool
) -> None:
    assert (judged(plan, quiet(*seconds)).verdict is Verdict.CONFORMING) is ok


def stalled(one: ProbeResult) -> ProbeResult:
    """One of the transactions was not answered for the second half of 2 s."""
    found = dataclasses.replace(
        one.latency,
        p90_ns=800_000_000,
        p99_ns=980_000_000,
        max_ns=1_000_000_000,
        unanswered=1,
        stalled_ns=1_000_000_000,
        lower_bounds=("p90_ns", "p99_ns", "max_ns"),
    )
    return dataclasses.replace(one, latency=found)


RR = dataclasses.replace(IPERF, kind=Kind.RR, directions=(Direction.SEND,), windows_bytes=(0,))


def test_a_far_end_that_stops_to_answer_is_the_result() -> None:
    result = judged(RR, stalled)
    assert (result.verdict, result.exit_code) == (Verdict.NOT_CONFORMING, 1)
    assert result.reasons == (
        "rr auto: no answer came until the end of the test for 50.0 % of the connections' time "
        "(4 unanswered, the longest for 1.00 s).",
    )
    (found,) = result.rows
    assert found.latency.lower_bounds == ("p90_ns", "p99_ns", "max_ns")
    assert found.latency.p99_ns == 980_000_000


@pytest.mark.parametrize(
    ("runs", "bounds"),
    [(1, ("max_ns",)), (2, ("p90_ns", "p99_ns", "max_ns")), (3, ("p90_ns", "p99_ns", "max_ns"))],
)
def test_a_median_of_runs_is_a_bound_when_a_longer_wait_would_change_it(runs: int, bounds: tuple[str, ...]) -> None:
    """Of three runs, one stall only moves the maximum."""
    plan = dataclasses.replace(RR, repeats=3)
    results = iperf_results(plan)
    results[:runs] = [stalled(one) for one in results[:runs]]
    (found,) = judge_iperf(plan, results, others=NOBODY).rows
    assert found.latency.lower_bounds == bounds
    assert found.latency.unanswered == runs


def test_a_few_unanswered_or_failed_transactions_are_told_and_more_are_a_miss() -> None:
    def failing(count: int) -> Callable[[ProbeResult], ProbeResult]:
        return lambda one: dataclasses.replace(one, latency=dataclasses.replace(one.latency, failed=count))

    assert judged(RR, failing(150)).verdict is Verdict.CONFORMING
    missed = judged(RR, failing(400))
    assert missed.verdict is Verdict.NOT_CONFORMING
    assert missed.reasons == ("rr auto: 1,600 of 81,600 transactions failed.",)


@pytest.mark.parametrize(
    ("plan", "silent"),
    [
        (IPERF, 40),
        (BIDIR, 20),
        (dataclasses.replace(IPERF, kind=Kind.RR, directions=(Direction.SEND,), windows_bytes=(0,)), 4),
    ],
)
def test_without_received_data_nothing_was_measured(plan: IperfPlan, silent: int) -> None:
    def mute(one: ProbeResult) -> ProbeResult:
        streams = tuple(dataclasses.replace(each, received_bytes=0) for each in one.streams)
        return dataclasses.replace(one, streams=streams, latency=dataclasses.replace(one.latency, transactions=0))

    result = judged(plan, mute)
    assert check(result, "tests without traffic").value == silent
    assert result.verdict is Verdict.INVALID
    assert check(judged(plan), "tests without traffic").ok
    assert judged(UDP, mute).verdict is Verdict.CONFORMING  # all datagrams may be lost: this is a result
