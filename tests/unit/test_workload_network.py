"""The sequences of tests of network plans: which tests, in which order, and for how long."""

from __future__ import annotations

from loadgen.model.probe import Direction, ForwardPlan, IperfPlan, Kind, Link, Mode, Transport
from loadgen.model.units import NS_PER_S
from workloads import forward, iperf

K = 1024


def test_every_cell_is_tested_once_before_any_is_repeated() -> None:
    plan = IperfPlan(host="h", windows_bytes=(16 * K, 0), repeats=2)
    assert [step.label for step in iperf.steps(plan)] == [
        "receive 16K 1/2",
        "send 16K 1/2",
        "receive auto 1/2",
        "send auto 1/2",
        "receive 16K 2/2",
        "send 16K 2/2",
        "receive auto 2/2",
        "send auto 2/2",
    ]


def test_a_probe_step_follows_the_plan() -> None:
    plan = IperfPlan(host="h", windows_bytes=(64 * K,), directions=(Direction.BIDIR,), repeats=1, rate_bps=10**6)
    (step,) = iperf.steps(plan)
    assert step.test == plan.test(64 * K, Direction.BIDIR)


def test_labels_name_all_tests_except_tcp_streams() -> None:
    udp = IperfPlan(host="h", windows_bytes=(0,), directions=(Direction.SEND,), repeats=1, transport=Transport.UDP)
    rr = IperfPlan(host="h", windows_bytes=(0,), directions=(Direction.SEND,), repeats=1, kind=Kind.RR)
    assert [iperf.steps(plan)[0].label for plan in (udp, rr)] == ["udp send auto 1/1", "rr send auto 1/1"]


def test_the_time_of_a_plan_is_the_sum_of_its_tests() -> None:
    plan = IperfPlan(host="h", windows_bytes=(1, 2), repeats=3, duration_ns=10 * NS_PER_S, omit_ns=NS_PER_S)
    assert iperf.total_ns(plan) == 2 * 2 * 3 * (11 * NS_PER_S + iperf.TEST_OVERHEAD_NS)


def test_forwarding_sweeps_windows_then_flows_then_latency() -> None:
    plan = ForwardPlan(windows_bytes=(64 * K, 128 * K), repeats=2, flows=(1, 16), modes=(Mode.DIRECT, Mode.SPLICE))
    assert [step.label for step in forward.steps(plan)] == [
        "direct 64K 1/2",
        "splice 64K 1/2",
        "direct 128K 1/2",
        "splice 128K 1/2",
        "direct 64K 2/2",
        "splice 64K 2/2",
        "direct 128K 2/2",
        "splice 128K 2/2",
        "direct 64K 16 flows",
        "splice 64K 16 flows",
        "direct rr",
        "splice rr",
        "direct crr",
        "splice crr",
    ]


def test_one_flow_is_measured_separately_when_its_window_is_not_in_the_sweep() -> None:
    plan = ForwardPlan(windows_bytes=(128 * K,), repeats=1, flows=(1,), modes=(Mode.COPY,))
    labels = [step.label for step in forward.steps(plan)]
    assert labels == ["copy 128K 1/1", "copy 64K 1 flow", "copy rr", "copy crr"]
    assert forward.proxy_windows_bytes(plan) == (128 * K, 64 * K)


def test_a_forwarding_step_sends_with_its_window_and_flows() -> None:
    steps = {step.label: step for step in forward.steps(ForwardPlan())}
    sweep, flows, rr, crr = (steps[name] for name in ("copy 16K 3/3", "splice 64K 256 flows", "direct rr", "copy crr"))
    assert (sweep.test.window_bytes, sweep.test.parallel, sweep.test.kind) == (16 * K, 1, Kind.STREAM)
    assert (flows.test.window_bytes, flows.test.parallel, flows.flows) == (64 * K, 256, 256)
    assert (rr.test.kind, rr.test.parallel, rr.test.duration_ns) == (Kind.RR, 1, 2 * NS_PER_S)
    assert (crr.test.kind, crr.test.parallel) == (Kind.CRR, 16)
    assert {step.test.direction for step in steps.values()} == {Direction.SEND}


def test_the_proxy_host_offers_exactly_the_services_of_the_tests() -> None:
    plan = ForwardPlan()
    assert forward.proxy_modes(plan) == (Mode.SPLICE, Mode.COPY)
    assert forward.proxy_windows_bytes(plan) == plan.windows_bytes
    needed = {(step.mode, step.window_bytes) for step in forward.steps(plan)} - {
        (Mode.DIRECT, window) for window in plan.windows_bytes
    }
    assert needed == {(mode, window) for mode in forward.proxy_modes(plan) for window in plan.windows_bytes}


def test_two_links_take_twice_as_long() -> None:
    one, two = ForwardPlan(links=(Link.GIGE,)), ForwardPlan(links=(Link.GIGE, Link.NONE))
    assert forward.total_ns(two) == 2 * forward.total_ns(one) > 0
