"""The live view of an HTTP run agrees with its result."""

from __future__ import annotations

from coordinator.output.terminal.http_live import http_news
from coordinator.output.terminal.http_view import HttpView, HttpViewBuilder
from coordinator.output.terminal.runview import Position
from loadgen.measure.ledger import Ledger
from loadgen.measure.snapshot import Snapshot
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_S
from tests.support.https import ended, result

PLAN = HttpPlan(
    requests=(HttpRequest(url="http://192.0.2.1:8080/"),),
    connections=2,
    warmup_ns=NS_PER_S,
    duration_ns=2 * NS_PER_S,
    seed=7,
)
OPERATIONS = [
    (0.1, 0.2, Outcome.BAD_STATUS),
    (0.3, 0.4, Outcome.BAD_STATUS),
    (0.5, 0.6, Outcome.SHED),
    (1.1, 1.2, Outcome.BAD_STATUS),
    (1.3, 2.5, Outcome.SHED),
    (0.8, 2.6, Outcome.RESET),
    (2.7, 2.8, Outcome.OK),
    (2.9, 3.0, Outcome.CUT),
]


def views(given: list[Snapshot]) -> list[HttpView]:
    """One view for each second."""
    position = Position(
        phase="measuring",
        iteration=0,
        iterations=1,
        phase_elapsed_s=1.0,
        phase_length_s=2.0,
        elapsed_s=1.0,
        total_s=3.0,
    )
    ledger, builder, found = Ledger(["local/0"], 1, 1), HttpViewBuilder(PLAN, title="title"), []
    for snapshot in given:
        ledger.receive(snapshot)
        found.append(builder.build(ledger, position))
    return found


def test_errors_are_those_of_the_window_once_it_has_begun() -> None:
    given = ended(PLAN, OPERATIONS, start_s=1.0)
    found = [(view.total.errors, view.total.shed) for view in views(given)]
    assert found == [(2, 1), (1, 0), (2, 1), (2, 1)]
    of_window = result(PLAN, given=given).total.errors
    assert of_window == {"BAD_STATUS": 1, "SHED": 1, "RESET": 1}


def test_the_last_interval_has_the_rate_of_its_length_and_the_waits_of_what_was_cut() -> None:
    """The engine is stopped 10 ms after the window."""
    given = ended(PLAN, [*OPERATIONS, (2.9, 3.005, Outcome.OK)], start_s=1.0)
    last = views(given)[-1].total
    assert last.per_s == 100.0
    cut_only = views(ended(PLAN, OPERATIONS, start_s=1.0))[-1]
    assert "p99_ms=>100.0 " in next(line.text for line in http_news(cut_only))
