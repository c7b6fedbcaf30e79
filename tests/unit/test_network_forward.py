from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from loadgen.measure.forwarding import NO_REPORT, HostReport, NicCounters, Passage
from loadgen.measure.throughput import UNKNOWN
from loadgen.model.probe import Direction, ForwardPlan, Kind, Link, Mode
from loadgen.verdict.network import ForwardResult, judge_forward
from loadgen.verdict.network_result import ForwardRow
from loadgen.verdict.result import Check, Verdict
from tests.support.networks import FORWARD, forward_passages

NOBODY = (0.0, "")
FULL, SMALL = 64 << 10, 16 << 10
Rate = Callable[[Link, Mode, int, int], float]


def judged(
    plan: ForwardPlan = FORWARD, rate: Rate | None = None, change: Callable[[Passage], Passage] = lambda one: one
) -> ForwardResult:
    passages = forward_passages(plan, rate) if rate else forward_passages(plan)
    return judge_forward(plan, [change(one) for one in passages], others=NOBODY)


def row(result: ForwardResult, mode: Mode, window_bytes: int = FULL, flows: int = 1) -> ForwardRow:
    return next(one for one in result.rows if (one.mode, one.window_bytes, one.flows) == (mode, window_bytes, flows))


def check(result: ForwardResult, name: str) -> Check:
    return next(one for one in result.trust.checks if one.name == name)


def proxied(direct: float, through: float) -> Rate:
    return lambda link, mode, window_bytes, flows: direct if mode is Mode.DIRECT else through


def on(*links: Link, **changes: object) -> ForwardPlan:
    sink = "192.0.2.2:5201" if Link.REAL in links else ""
    return dataclasses.replace(FORWARD, links=links, sink=sink, proxy=sink, **changes)  # type: ignore[arg-type]


def test_there_is_a_row_for_every_way_window_and_number_of_flows() -> None:
    result = judged()
    assert len(result.rows) == 3 * (5 + 1)
    found = row(result, Mode.SPLICE)
    assert (found.repeats, found.retransmits) == (3, 3)
    assert found.mbit_per_s == pytest.approx(940.5)
    assert found.proxy_cpu_s_per_gb == pytest.approx(0.18)  # over all forwarded bytes, including the warm-up
    assert found.source_cores == pytest.approx(940.5e6 / 8 * 0.11e-9)
    assert found.share_of_direct == pytest.approx(1.0)
    assert row(result, Mode.COPY).share_of_direct == pytest.approx(938.5 / 940.5)
    direct = row(result, Mode.DIRECT)
    assert {direct.proxy_cpu_s_per_gb, direct.share_of_direct, direct.slowest_over_fastest} == {UNKNOWN}
    assert row(result, Mode.SPLICE, flows=16).share_of_direct == pytest.approx(1.0)


def test_a_starving_flow_is_reported() -> None:
    def starve(one: Passage) -> Passage:
        first, *rest = one.result.streams or (None,)
        if first is None or not rest:
            return one
        slow = dataclasses.replace(first, received_bytes=first.received_bytes // 4)
        return dataclasses.replace(one, result=dataclasses.replace(one.result, streams=(slow, *rest)))

    assert row(judged(change=starve), Mode.COPY, flows=16).slowest_over_fastest == pytest.approx(0.25)


def test_latency_is_compared_with_the_direct_path() -> None:
    direct, splice, copy = judged().latencies
    assert [one.mode for one in (direct, splice, copy)] == list(FORWARD.modes)
    assert (direct.latency.p50_ns, direct.added_ns) == (20_000, UNKNOWN)
    assert (splice.latency.p50_ns, splice.added_ns, splice.connections_per_s) == (60_000, 40_000, 10_000)


def test_an_undisturbed_lab_is_valid_and_the_link_was_the_limit() -> None:
    result = judged()
    assert (result.verdict, result.exit_code, result.asked) == (Verdict.CONFORMING, 0, False)
    assert result.reasons == ("54 of 54 tests were measured, and all checks passed.",)
    assert [one.name for one in result.trust.checks] == [
        "other processes",
        "tests without traffic",
        "tests past a NIC",
        "gige link",
        "proxied over direct",
        "cells limited by an end",
    ]
    assert result.notes == (
        "gige, splice: 100.0 % of the direct path; the link is the limit, so the proxy can forward at least this much.",
        "gige, copy: 99.8 % of the direct path; the link is the limit, so the proxy can forward at least this much.",
    )


def test_a_slower_proxy_is_only_compared() -> None:
    result = judged(rate=proxied(941.5, 417.0))
    assert result.verdict is Verdict.CONFORMING
    assert "gige, copy: 44.3 % of the direct path." in result.notes


@pytest.mark.parametrize(("at_least_bps", "code"), [(900_000_000, 0), (941_000_000, 1)])
def test_the_required_rate_is_checked_for_proxies_by_window(at_least_bps: int, code: int) -> None:
    """The direct path is no proxy, and many flows share a queue by chance."""
    plan = dataclasses.replace(FORWARD, at_least_bps=at_least_bps)
    result = judged(plan, lambda link, mode, window_bytes, flows: 940.0 / flows)
    assert result.exit_code == code
    if code:
        assert result.reasons[0].startswith("10 of 10 cells are below 941 Mbit/s: gige splice 16K 940.0, ")


def test_without_a_proxy_the_required_rate_is_checked_for_the_direct_path() -> None:
    plan = dataclasses.replace(FORWARD, modes=(Mode.DIRECT,), at_least_bps=950_000_000)
    assert judged(plan).verdict is Verdict.NOT_CONFORMING


@pytest.mark.parametrize(
    ("drop", "missing"),
    [
        (lambda one: one.result.test.kind is Kind.CRR and one.mode is Mode.COPY, 1),
        (lambda one: one.flows == 16 and one.result.test.kind is Kind.STREAM, 3),
        (lambda one: one.window_bytes == SMALL and one.mode is Mode.SPLICE, 3),
    ],
)
def test_a_missing_test_makes_a_run_invalid(drop: Callable[[Passage], bool], missing: int) -> None:
    kept = [one for one in forward_passages() if not drop(one)]
    result = judge_forward(FORWARD, kept, others=NOBODY)
    assert result.verdict is Verdict.INVALID
    assert result.reasons == (f"Only {54 - missing} of 54 tests were measured.",)


def test_an_interrupted_run_is_judged_by_the_finished_tests() -> None:
    result = judge_forward(FORWARD, forward_passages()[:7], others=NOBODY, interrupted=True)
    assert (result.verdict, result.exit_code) == (Verdict.INTERRUPTED, 130)
    assert result.reasons == ("The run was interrupted after 7 of 54 tests.",)
    nothing = judge_forward(FORWARD, [], others=NOBODY, interrupted=True)
    assert (nothing.rows, nothing.latencies, nothing.proofs, nothing.trust.checks) == ((), (), (), ())


# Counters of the NICs of the proxy host


def counted(one: Passage, *nics: NicCounters) -> Passage:
    """Return the counters of a host with these NICs; all counters were 0 before."""
    zero = tuple(NicCounters(name=nic.name, rx_bytes=0, tx_bytes=0, rx_packets=0, tx_packets=0) for nic in nics)
    before = dataclasses.replace(one.before, nics=zero)
    return dataclasses.replace(one, before=before, after=dataclasses.replace(one.after, nics=nics))


def nic(name: str, rx_bytes: int, tx_bytes: int) -> NicCounters:
    return NicCounters(name=name, rx_bytes=rx_bytes, tx_bytes=tx_bytes, rx_packets=0, tx_packets=0)


LOTS = 1 << 34

BYPASSES: dict[str, Callable[[Passage], Passage]] = {
    "the loopback": lambda one: counted(one, nic("a", 0, 0), nic("b", 0, 0)),
    "in and out at the same NIC": lambda one: counted(one, nic("a", LOTS, LOTS), nic("b", 900, 900)),
    "in at one NIC, out past the other": lambda one: counted(one, nic("a", LOTS, 900), nic("b", 900, 0)),
    "in past the NIC, out at the other": lambda one: counted(one, nic("a", 900, 900), nic("b", 0, LOTS)),
    "only one NIC": lambda one: counted(one, nic("a", LOTS, LOTS)),
    "no NIC": counted,
    "nobody counted": lambda one: dataclasses.replace(one, before=NO_REPORT, after=NO_REPORT),
}


@pytest.mark.parametrize("which", BYPASSES)
@pytest.mark.parametrize("mode", Mode, ids=lambda mode: mode.value)
def test_a_route_that_bypasses_a_nic_makes_a_run_invalid(which: str, mode: Mode) -> None:
    """Even in a single test, of any way, including the direct way."""
    passages = forward_passages()
    at = next(number for number, one in enumerate(passages) if one.mode is mode)
    passages[at] = BYPASSES[which](passages[at])
    result = judge_forward(FORWARD, passages, others=NOBODY)
    assert result.verdict is Verdict.INVALID
    assert check(result, "tests past a NIC").value == 1
    assert [proof.ok for proof in result.proofs].count(False) == 1
    assert f"gige {mode.value} 16K" in result.reasons[0]
    assert "the route bypasses a NIC" in result.reasons[0]


def test_the_proof_names_the_nics_and_the_payload() -> None:
    passage = forward_passages()[0]
    proof = judge_forward(FORWARD, [passage], others=NOBODY, interrupted=True).proofs[0]
    assert (proof.rx_nic, proof.tx_nic, proof.ok) == ("va1", "vb0", True)
    assert proof.payload_bytes == passage.result.received_bytes()
    assert proof.rx_bytes > proof.payload_bytes


def test_bytes_of_the_return_path_must_cross_too() -> None:
    """In a test of both directions, NICs that only counted the forward path are no proof."""

    def both(one: Passage) -> Passage:
        back = tuple(
            dataclasses.replace(stream, direction=Direction.RECEIVE, id=stream.id + 100)
            for stream in one.result.streams
        )
        return dataclasses.replace(one, result=dataclasses.replace(one.result, streams=one.result.streams + back))

    assert judged(change=both).verdict is Verdict.INVALID
    for a, b, ok in (
        (nic("a", LOTS, LOTS), nic("b", LOTS, LOTS), True),
        (nic("a", LOTS, 900), nic("b", LOTS, LOTS), False),
        (nic("a", LOTS, LOTS), nic("b", 900, LOTS), False),
    ):
        seen = counted(both(forward_passages()[0]), a, b)
        assert judge_forward(FORWARD, [seen], others=NOBODY, interrupted=True).proofs[0].ok is ok


def test_bytes_that_the_proxy_read_must_have_come_in_and_written_ones_may_be_in_buffers() -> None:
    """The sink received 100 MB, the proxy forwarded 110 MB."""
    passages = [one for one in forward_passages() if one.mode is Mode.COPY and one.result.test.kind is Kind.STREAM]
    one = passages[0]
    payload = one.result.received_bytes()
    read = one.after.services[0].counters.forwarded_bytes
    assert read > payload
    for entered, left, ok in ((read, payload, True), (payload, payload, False), (read, payload - 1, False)):
        seen = counted(one, nic("a", entered, 0), nic("b", 0, left))
        assert judge_forward(FORWARD, [seen], others=NOBODY, interrupted=True).proofs[0].ok is ok


def test_on_loopback_no_nic_is_checked() -> None:
    result = judged(on(Link.LOOPBACK), change=BYPASSES["the loopback"])
    assert result.proofs == ()
    assert result.verdict is Verdict.CONFORMING


def test_between_machines_a_proxy_host_is_checked_and_a_single_sink_is_not() -> None:
    bypassed = judged(on(Link.REAL), change=BYPASSES["the loopback"])
    assert bypassed.verdict is Verdict.INVALID
    alone = on(Link.REAL, modes=(Mode.DIRECT,))
    assert judged(alone, change=BYPASSES["nobody counted"]).verdict is Verdict.CONFORMING


def test_between_machines_the_direct_path_may_be_another_route() -> None:
    def elsewhere(one: Passage) -> Passage:
        return dataclasses.replace(one, after=one.before) if one.mode is Mode.DIRECT else one

    result = judged(on(Link.REAL), change=elsewhere)
    assert result.exit_code == 0
    assert any("compared with another route" in note for note in result.notes)
    assert not any("another route" in note for note in judged(on(Link.REAL)).notes)
    assert judged(change=elsewhere).exit_code == 3  # in a lab there is only one route


def test_other_traffic_on_a_nic_is_a_note() -> None:
    def noisy(one: Passage) -> Passage:
        if one.result.test.kind is not Kind.STREAM or one.window_bytes != SMALL:
            return one
        nics = tuple(dataclasses.replace(n, rx_bytes=2 * n.rx_bytes, tx_bytes=2 * n.tx_bytes) for n in one.after.nics)
        return dataclasses.replace(one, after=dataclasses.replace(one.after, nics=nics))

    result = judged(change=noisy)
    assert result.verdict is Verdict.CONFORMING
    assert result.notes[-1].startswith("Other traffic on the NIC va1: it counted ")


# Whether the comparison with the direct path is valid


def test_a_gigabit_link_below_its_rate_makes_a_run_invalid() -> None:
    result = judged(rate=lambda link, mode, window_bytes, flows: 929.0 if window_bytes >= FULL else 941.0)
    assert result.verdict is Verdict.INVALID
    assert "gige link 929 Mbit/s, but at least 930" in result.reasons[0]


def test_small_windows_and_other_links_may_be_slower() -> None:
    small = judged(rate=lambda link, mode, window_bytes, flows: 524.0 if window_bytes < FULL else 941.0)
    assert small.verdict is Verdict.CONFORMING
    assert judged(on(Link.TEN_GIGE), rate=lambda *_: 800.0).verdict is Verdict.CONFORMING


@pytest.mark.parametrize(
    ("link", "window_bytes", "flows", "ok"),
    [
        (Link.GIGE, FULL, 1, False),
        (Link.TEN_GIGE, FULL, 1, False),
        (Link.GIGE, SMALL, 1, True),  # a proxy halves the round-trip time
        (Link.GIGE, FULL, 16, True),
        (Link.NONE, FULL, 1, True),  # routing in the kernel is slower there than a proxy
        (Link.LOOPBACK, FULL, 1, True),
    ],
)
def test_a_proxy_faster_than_its_link_makes_a_run_invalid(link: Link, window_bytes: int, flows: int, ok: bool) -> None:
    def rate(_: Link, mode: Mode, window: int, count: int) -> float:
        return 990.0 if mode is Mode.SPLICE and (window, count) == (window_bytes, flows) else 940.0

    result = judged(on(link), rate)
    assert (result.verdict is Verdict.CONFORMING) is ok
    if not ok:
        assert "the direct measurement was disturbed" in result.reasons[0]


def with_ends(direct_cores: float, proxied_cores: float) -> Callable[[Passage], Passage]:
    """Return tests in which the sink uses this many cores, without and with the proxy."""

    def change(one: Passage) -> Passage:
        cores = direct_cores if one.mode is Mode.DIRECT else proxied_cores
        return dataclasses.replace(
            one, result=dataclasses.replace(one.result, remote_cpu_ns=int(one.result.wall_ns * cores))
        )

    return change


@pytest.mark.parametrize(
    ("through", "direct_cores", "proxied_cores", "ok"),
    [
        (870.0, 0.98, 0.97, False),  # 92.6 % of the direct path, and the sink was at its limit in both tests
        (800.0, 0.98, 0.97, True),  # the sink could have received more
        (920.0, 0.98, 0.97, True),  # the link was the limit
        (870.0, 0.50, 0.97, True),
        (870.0, 0.98, 0.50, True),
    ],
)
def test_an_end_at_its_limit_makes_a_run_invalid(
    through: float, direct_cores: float, proxied_cores: float, ok: bool
) -> None:
    result = judged(rate=proxied(940.0, through), change=with_ends(direct_cores, proxied_cores))
    assert check(result, "cells limited by an end").ok is ok
    assert (result.verdict is Verdict.CONFORMING) is ok


def test_a_report_of_another_host_is_no_proof() -> None:
    """NICs that did not exist before are not counted."""

    def renamed(report: HostReport) -> HostReport:
        return dataclasses.replace(report, nics=tuple(dataclasses.replace(n, name=f"x{n.name}") for n in report.nics))

    assert judged(change=lambda one: dataclasses.replace(one, after=renamed(one.after))).verdict is Verdict.INVALID


def test_the_required_rate_is_checked_for_the_plans_windows_only() -> None:
    """The window of the flows is also measured with one flow, even when it is not in the list of windows."""
    plan = dataclasses.replace(FORWARD, windows_bytes=(1 << 20,), flows=(1,), at_least_bps=900_000_000)
    alone = dataclasses.replace(plan, windows_bytes=(FULL,), repeats=1)
    slow = [one for one in forward_passages(alone, proxied(940.0, 800.0)) if one.result.test.kind is Kind.STREAM]
    passages = [*forward_passages(plan, proxied(940.0, 940.0)), *slow]
    assert judge_forward(plan, passages, others=NOBODY).exit_code == 0


def test_failed_transactions_of_a_proxy_are_reported() -> None:
    def failing(one: Passage) -> Passage:
        latency = dataclasses.replace(one.result.latency, failed=3 * (one.mode is Mode.COPY))
        return dataclasses.replace(one, result=dataclasses.replace(one.result, latency=latency))

    assert "gige, copy: 6 transactions failed." in judged(change=failing).notes
    assert not any("failed" in note for note in judged().notes)


def test_a_proxy_that_forwards_nothing_was_not_measured() -> None:
    result = judged(rate=proxied(940.0, 0.0))
    assert not check(result, "tests without traffic").ok
    assert result.exit_code == 3
