"""How `loadgen isolate` judges: latencies with lost probes, what convicts the run, and what convicts the VMs."""

from __future__ import annotations

import dataclasses
import math

import pytest

from loadgen.host.others import others_between
from loadgen.host.processes import Core, Process, Sample
from loadgen.measure.isolation import Phase, times_of
from loadgen.model.isolate import Hog, IsolatePlan
from loadgen.model.units import NS_PER_S
from loadgen.verdict.isolate import judge_isolate, latency_of
from loadgen.verdict.isolate_result import EDGES_MS, IsolateResult
from loadgen.verdict.result import Verdict
from tests.support.isolations import PLAN, held, host, isolated, phase, probed, web

ONE = IsolatePlan(hogs=(Hog.CPU,))


def judge(*phases: Phase) -> IsolateResult:
    return judge_isolate(ONE, isolated(*phases))


def beside(**changes: object) -> IsolateResult:
    """The result of a run whose phase beside the CPU hogs has these changes."""
    return judge(phase(Hog.NONE), phase(Hog.CPU, **changes))


def test_latencies_have_known_answers() -> None:
    found = latency_of(probed([100] * 50 + [700] * 45 + [3_000] * 5))
    assert (found.sent, found.lost) == (100, 0)
    assert found.p50 is not None
    assert found.p95 is not None
    assert found.p99 is not None
    assert found.max is not None
    assert math.isclose(found.p50.low, 0.1, rel_tol=1e-3)
    assert math.isclose(found.p95.low, 0.7, rel_tol=1e-3)
    assert math.isclose(found.p99.low, 3.0, rel_tol=1e-3)
    assert (found.max.low, found.max.high) == (3.0, 3.0)
    assert found.below_1ms == pytest.approx(0.95)
    assert sum(found.bins) == pytest.approx(1)
    assert found.bins[EDGES_MS.index(5.0)] == pytest.approx(0.05)


def test_a_lost_probe_took_at_least_the_time_out() -> None:
    found = latency_of(probed([100] * 90, lost=10))
    assert (found.sent, found.lost) == (100, 10)
    assert found.p50 is not None
    assert found.p95 is not None
    assert found.p50.high is not None
    assert found.p95.low == pytest.approx(1000, rel=1e-3)
    assert found.p95.high is None
    assert found.below_1ms == pytest.approx(0.9)
    assert found.bins[-1] == pytest.approx(0.1)


def test_a_service_that_never_answers_has_no_latency_below_anything() -> None:
    found = latency_of(probed([], lost=5))
    assert found.below_1ms == 0
    assert found.p50 is not None
    assert found.p50.high is None


def test_without_a_probe_nothing_is_known() -> None:
    found = latency_of(probed([]))
    assert (found.sent, found.p50, found.below_1ms, found.bins) == (0, None, None, ())


def test_a_good_run_is_valid_and_has_the_loss_of_conforming_connections() -> None:
    result = judge_isolate(PLAN, isolated())
    assert result.verdict is Verdict.CONFORMING
    assert [row.hog for row in result.rows] == list(PLAN.phases)
    assert [row.conforming_loss for row in result.rows] == [None] + [pytest.approx(0.1)] * 5


def test_connections_that_conform_only_beside_a_hog_are_no_loss() -> None:
    result = judge(phase(Hog.NONE, web=web(8)), phase(Hog.CPU, web=web(9)))
    assert result.rows[1].conforming_loss == 0


@pytest.mark.parametrize("idle", [web(0), web(None, invalid="x"), None])
def test_without_an_idle_case_there_is_no_loss(idle: object) -> None:
    assert judge(phase(Hog.NONE, web=idle), phase(Hog.CPU)).rows[1].conforming_loss is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"held": held(Hog.CPU, running=7, ended="hog exited with status 3: no")},
            "hog cpu: 2 of 9 hogs ended too early: hog exited with status 3: no",
        ),
        ({"held": held(Hog.CPU, did=0)}, "hog cpu: the hogs did nothing"),
        (
            {"echo": probed([150] * 10, late_us=[30_000] * 10)},
            "hog cpu: the probes of the echo server were late themselves: 30 ms in the 99th percentile",
        ),
        (
            {"host": host(others=0.21), "web": web(None, invalid="others")},
            "other processes used up to 21% of all cores, but at most 20% are allowed (largest user: sshd (pid 7)); "
            "disturbed: hog cpu",
        ),
        ({"web": web(None, invalid="late")}, "hog cpu: the load on the web server cannot be trusted: late"),
    ],
)
def test_numbers_that_do_not_say_what_the_hog_did_are_invalid(changes: dict[str, object], said: str) -> None:
    result = beside(**changes)
    assert result.verdict is Verdict.INVALID
    assert len(result.reasons) == 1
    assert result.reasons[0].startswith(said)
    assert all(row.web is None or row.web.conforming is None for row in result.rows)
    assert all(row.conforming_loss is None for row in result.rows)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"deaths": ("game was killed by SIGKILL",)}, "hog cpu: the quiet VM lost a server: game was killed"),
        ({"game": probed([], lost=9)}, "hog cpu: the game server of the quiet VM answered none of 9 probes"),
        ({"echo": probed([], lost=9)}, "hog cpu: the UDP echo of the quiet VM answered none of 9 probes"),
        ({"game": None, "echo": None, "web": None, "failed": "no memory"}, "hog cpu: broken off: no memory"),
    ],
)
def test_a_quiet_vm_that_stops_serving_does_not_conform(changes: dict[str, object], said: str) -> None:
    result = beside(**changes)
    assert result.verdict is Verdict.NOT_CONFORMING
    assert result.reasons[0].startswith(said)


def test_a_dead_web_server_convicts_the_vm_and_not_the_load_generator() -> None:
    result = beside(deaths=("nginx was killed by SIGKILL",), web=web(None, invalid="no answer"))
    assert result.verdict is Verdict.NOT_CONFORMING


def test_invalid_outranks_not_conforming() -> None:
    result = beside(deaths=("game was killed by SIGKILL",), host=host(others=0.5))
    assert result.verdict is Verdict.INVALID
    assert len(result.reasons) == 2


@pytest.mark.parametrize("phases", [(), (phase(Hog.NONE),)])
def test_a_stopped_run_names_what_is_missing(phases: tuple[Phase, ...]) -> None:
    result = judge_isolate(ONE, dataclasses.replace(isolated(), phases=phases))
    assert result.verdict is Verdict.INTERRUPTED
    assert result.reasons[0].endswith("cpu")
    assert len(result.rows) == len(phases)


def test_a_phase_reads_back_from_a_record() -> None:
    for hog in Hog:
        one = phase(hog, deaths=("x",))
        assert Phase.from_wire(one.to_wire()) == one
    broken = Phase(hog=Hog.DISK, failed="no")
    assert Phase.from_wire(broken.to_wire()) == broken
    with pytest.raises(ValueError, match="damaged"):
        Phase.from_wire({**broken.to_wire(), "held": {"x": 1}})


def sample(at_ns: int, stolen_ns: int = 0, **cpu_ns: tuple[int, int, int]) -> Sample:
    """A sample of two cores; `cpu_ns` has (pid, parent, CPU time) by name."""
    processes = {pid: Process(name, parent, spent, 0) for name, (pid, parent, spent) in cpu_ns.items()}
    return Sample(at_ns, processes, {0: Core(0, stolen_ns), 1: Core(0, 0)})


def test_others_are_those_that_the_run_has_not_started() -> None:
    before = sample(0, own=(10, 1, 0), vm=(11, 10, 0), bomb=(12, 11, 0), other=(50, 1, 0), kworker=(60, 2, 0))
    after = sample(
        NS_PER_S,
        own=(10, 1, NS_PER_S),
        vm=(11, 10, NS_PER_S),
        other=(50, 1, NS_PER_S // 2),
        kworker=(60, 2, NS_PER_S),
        late=(51, 1, NS_PER_S),  # it may be a child of the run that lost its parent
    )
    share, most = others_between(before, after, (10,))
    assert (share, most) == (0.25, "other (pid 50)")


def test_time_of_the_hypervisor_is_that_of_others() -> None:
    assert others_between(sample(0), sample(NS_PER_S, NS_PER_S), (1,)) == (0.5, "the hypervisor")
    assert others_between(sample(0), sample(NS_PER_S), (1,)) == (0.0, "")
    assert others_between(sample(5), sample(5), (1,)) == (0.0, "")


def test_times_are_kept_exactly_at_their_ends() -> None:
    found = times_of([1, 2_000_000])
    assert (found.min_ns, found.max_ns, found.total) == (1, 2_000_000, 2)
