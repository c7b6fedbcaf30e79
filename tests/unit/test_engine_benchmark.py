"""How benchmarks/engine.py evaluates its measurements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.engine import PACED_STEP, latency_summary, search
from benchmarks.engine_meter import Mark, Window, between
from benchmarks.engine_peers import LatencyError
from benchmarks.engine_report import ratios, targets
from benchmarks.engine_responder import percentile_ms
from benchmarks.engine_turns import Turns, ratio, summary


@pytest.mark.parametrize("most", [1, 7, 19])
def test_the_search_finds_the_last_step_that_holds(most: int) -> None:
    for last in range(most + 1):
        assert search(lambda n, last=last: n <= last * PACED_STEP, most) == last  # type: ignore[misc]


def test_the_search_never_exceeds_its_limit() -> None:
    asked: list[int] = []

    def holds(connections: int) -> bool:
        asked.append(connections)
        return True

    assert search(holds, 19) == 19
    assert max(asked) == 19 * PACED_STEP


def test_cpu_per_request_is_the_clients_time_over_the_requests() -> None:
    before = Mark(at_ns=0, client_ns=0, responder_ns=0, core_busy_s=5.0, requests=10)
    after = Mark(at_ns=2_000_000_000, client_ns=1_920_000_000, responder_ns=10, core_busy_s=7.0, requests=192_010)
    window = between(before, after)
    assert window.cpu_us == pytest.approx(10.0)
    assert window.others == pytest.approx(0.04)
    assert window.fault == ""


def _window(cpu_us: float, *, client: float = 1.0) -> Window:
    requests = round(client * 1e6 / cpu_us)
    return Window(requests=requests, seconds=1.0, client_share=client, responder_share=0.5, others=0.0)


def test_turns_in_which_a_client_did_not_saturate_its_core_do_not_count() -> None:
    idle = _window(40, client=0.5)
    found = summary([_window(10)] * 5 + [idle], retried=["others used the client's core"])
    assert found["cpu_us"] == pytest.approx(10)
    assert (found["turns"], len(found["discarded"]), found["fault"]) == (5, 2, "")
    pairs = tuple((_window(10), _window(cpu_us)) for cpu_us in (8, 9, 9, 9, 9))
    turns = Turns((*pairs, (_window(10), idle)), others=0.0)
    assert turns.good == list(pairs)
    assert ratio(turns)["x_wrk"] == pytest.approx(5 / (1 / 8 + 4 / 9) / 10, rel=1e-3)


def test_a_fault_is_reported_if_no_turn_was_good() -> None:
    idle = _window(30, client=0.5)
    found = summary([idle, idle])
    assert (found["turns"], found["fault"]) == (2, "the client was not the limit")
    assert summary([_window(10)] * 5, "others used the client's core")["fault"] == "others used the client's core"
    assert Turns(((idle, idle),) * 2, others=0.2).fault == "others used the client's core"
    assert Turns(((idle, _window(10)),) * 9, others=0.0).fault == "the client was not the limit"


def test_a_temporarily_slow_core_does_not_change_the_ratio() -> None:
    """The machine is half as fast in two thirds of the turns."""
    turns = Turns(tuple((_window(10 * slow), _window(8.4 * slow)) for slow in (1, 2, 2) * 4), others=0.0)
    found = ratio(turns)
    assert [found[key] for key in ("x_wrk", "x_wrk_low", "x_wrk_high")] == [pytest.approx(0.84, rel=1e-3)] * 3


def test_the_ratio_includes_work_that_a_client_does_once_a_second() -> None:
    """In one of twelve turns a request costs ten times as much, which the median of the turns would not show."""
    turns = Turns(tuple((_window(10), _window(80 if at % 12 == 5 else 8)) for at in range(30)), others=0.0)
    found = ratio(turns)
    assert found["x_wrk_high"] == pytest.approx(0.8, rel=1e-3)
    assert found["x_wrk"] == pytest.approx(12 / (11 / 0.8 + 1 / 8), rel=1e-3)  # the other turns have more requests
    assert len(found["turns_cpu_us"]) == 30


def test_targets_exist_only_for_measured_figures() -> None:
    wrk = {"fault": ""}
    closed: dict[str, dict[str, Any]] = {
        "1024": {"wrk": wrk, "compiled": {"fault": "", "x_wrk": 0.84}, "python": {"fault": "why", "x_wrk": 1.21}}
    }
    assert ratios(closed["1024"]) == {"compiled": 0.84, "python": 1.21}
    assert [(target.what, target.reached, target.doubt) for target in targets({"closed": closed})] == [
        ("python at 1024 B: at most 1.2 x wrk's CPU", False, "why"),
        ("compiled at 1024 B: at most 0.85 x wrk's CPU", True, ""),
    ]
    late = {"compiled": {"p50_ms": -0.06, "p99_ms": 0.1, "doubt": "why"}}
    assert [(target.reached, target.doubt) for target in targets({"latency": late})] == [(False, "why"), (True, "why")]
    paced = {"python": {"largest": 8_000, "disturbed": True}}
    assert [(target.reached, target.doubt) for target in targets({"paced": paced})] == [(True, "")]


def test_doubtful_latency_does_not_count() -> None:
    def error(p50_ms: float, *, client: float = 0.5, others: float = 0.0, true_p99_ms: float = 5.1) -> LatencyError:
        return LatencyError(
            requests_per_s=1e4,
            client_share=client,
            others=others,
            true_p50_ms=5.0,
            true_p99_ms=true_p99_ms,
            p50_ms=p50_ms,
            p99_ms=0.1,
        )

    full, disturbed, late = error(2.0, client=1.0), error(3.0, others=0.2), error(4.0, true_p99_ms=7.0)
    found = latency_summary([full, error(0.1), disturbed, late])
    assert (found["p50_ms"], found["doubt"], len(found["samples"])) == (0.1, "", 4)
    assert "slower" in latency_summary([full])["doubt"]
    assert "others" in latency_summary([disturbed])["doubt"]
    found = latency_summary([disturbed, late])
    assert (found["p50_ms"], found["doubt"]) == (3.5, "the server did not keep its time")


def test_percentiles_of_true_latency_are_by_nearest_rank() -> None:
    truth = np.zeros(100, np.int64)
    truth[[5, 50]] = 99, 1
    assert percentile_ms(truth, 99) == pytest.approx(0.0055)
    assert percentile_ms(truth, 100) == pytest.approx(0.0505)
