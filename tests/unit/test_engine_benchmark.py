"""What benchmarks/engine.py makes of what it measured."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.engine import PACED_STEP, search, summary
from benchmarks.engine_meter import Mark, Window, between
from benchmarks.engine_report import ratios, targets
from benchmarks.engine_responder import percentile_ms


@pytest.mark.parametrize("most", [1, 7, 19])
def test_the_search_finds_the_last_step_that_holds(most: int) -> None:
    for last in range(most + 1):
        assert search(lambda n, last=last: n <= last * PACED_STEP, most) == last  # type: ignore[misc]


def test_the_search_never_asks_for_more_than_there_can_be() -> None:
    asked: list[int] = []

    def holds(connections: int) -> bool:
        asked.append(connections)
        return True

    assert search(holds, 19) == 19
    assert max(asked) == 19 * PACED_STEP


def test_cpu_of_a_request_is_the_client_s_time_over_the_requests() -> None:
    before = Mark(at_ns=0, client_ns=0, responder_ns=0, core_busy_s=5.0, requests=10)
    after = Mark(at_ns=2_000_000_000, client_ns=1_920_000_000, responder_ns=10, core_busy_s=7.0, requests=192_010)
    window = between(before, after)
    assert window.cpu_us == pytest.approx(10.0)
    assert window.others == pytest.approx(0.04)
    assert window.fault == ""


def _window(cpu_us: float, *, client: float = 1.0, others: float = 0.0) -> Window:
    requests = round(client * 1e6 / cpu_us)
    return Window(requests=requests, seconds=1.0, client_share=client, responder_share=0.5, others=others)


def test_windows_in_which_something_was_wrong_do_not_count() -> None:
    good, idle, disturbed = _window(10), _window(30, client=0.5), _window(40, client=0.5, others=0.5)
    found = summary([good, idle, disturbed], ["others used the client's core"])
    assert found["cpu_us"] == pytest.approx(10)
    assert (found["windows"], len(found["discarded"]), found["fault"]) == (1, 3, "")


def test_it_is_said_when_no_window_was_good() -> None:
    found = summary([_window(30, client=0.5), _window(40, others=0.5)], [])
    assert found["windows"] == 2
    assert found["fault"] == "others used the client's core"


def test_targets_are_bounds_on_what_was_looked_at() -> None:
    def row(*rounds: float, fault: str = "") -> dict[str, object]:
        return {"fault": fault, "samples": [{"cpu_us": cpu_us, "fault": fault} for cpu_us in rounds]}

    # The second round was twice as slow for everybody, and the third for one of them.
    closed = {
        "1024": {"wrk": row(10, 20, 10), "compiled": row(8.4, 16.8, 20), "python": row(12.1, 24, 30, fault="why")}
    }
    assert ratios(closed["1024"]) == {"compiled": pytest.approx(0.84), "python": pytest.approx(1.21)}
    assert [(target.what, target.reached, target.doubt) for target in targets({"closed": closed})] == [
        ("python at 1024 B: at most 1.2 x wrk's CPU", False, "why"),
        ("compiled at 1024 B: at most 0.85 x wrk's CPU", True, ""),
    ]
    late = {"compiled": {"p50_ms": -0.06, "p99_ms": 0.1, "others": 0.0, "true_p99_ms": 5.1}}
    assert [(target.reached, target.doubt) for target in targets({"latency": late})] == [(False, ""), (True, "")]
    late["compiled"]["true_p99_ms"] = 7.0
    assert all("keep its time" in target.doubt for target in targets({"latency": late}))
    paced = {"python": {"largest": 8_000, "disturbed": True}}
    assert [(target.reached, target.doubt) for target in targets({"paced": paced})] == [(True, "")]


def test_percentiles_of_the_truth_are_by_nearest_rank() -> None:
    truth = np.zeros(100, np.int64)
    truth[[5, 50]] = 99, 1
    assert percentile_ms(truth, 99) == pytest.approx(0.0055)
    assert percentile_ms(truth, 100) == pytest.approx(0.0505)
