from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from coordinator.kinds.http.kind import title
from coordinator.output.terminal.http_live import HttpScreen, http_news
from coordinator.output.terminal.http_report import print_http
from coordinator.output.terminal.http_view import HttpView, HttpViewBuilder
from coordinator.output.terminal.runview import Position
from loadgen.measure.ledger import Ledger
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.outcome import Outcome
from loadgen.model.stages import parse_stages
from loadgen.verdict.http_result import HttpResult, TimeSpans
from loadgen.verdict.result import Verdict
from loadgen.verdict.span import Span
from tests.support.https import OPEN, PLAN, header, queued, result, snapshots, staged
from tests.support.judged import judged

Golden = Callable[[str, str], None]

RECORD = Path("runs/2026-02-03T04-05-06-http")
MISSED = dataclasses.replace(OPEN, poisson=True, slos=("p99<2ms", "errors<1%", "rate>30/s"))
STAGED = dataclasses.replace(
    OPEN, stages=parse_stages("1s:40/s,500ms@40/s,500ms:0/s"), slos=("p50<50ms", "errors<30%", "rate>1/s")
)
ONE = HttpPlan(requests=(HttpRequest(url="http://[2001:db8::7]:8080/"),), connections=4, duration_ns=2_000_000_000)
FULL = dataclasses.replace(OPEN, rate_per_s=200.0, duration_ns=10_000_000_000)
TROUBLE = {3: Outcome.TIMED_OUT, 9: Outcome.BAD_STATUS, 10: Outcome.SHED, 11: Outcome.SHED}


def printed(found: HttpResult, plan: HttpPlan, *, cut: str = "", encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    print_http(Console(file=file, width=80), judged(header(plan), found, path=RECORD, cut=cut))
    file.flush()
    lines = [line.rstrip() for line in raw.getvalue().decode(encoding).splitlines()]
    assert all(cell_len(line) <= 80 for line in lines)
    return "".join(f"{line}\n" for line in lines)


RUNS: dict[str, tuple[HttpPlan, Callable[[], HttpResult]]] = {
    "report_valid.txt": (PLAN, result),
    "report_one_target.txt": (ONE, lambda: result(ONE)),
    "report_conforming.txt": (OPEN, lambda: result(OPEN, given=snapshots(OPEN, service_ms=5))),
    "report_not_conforming.txt": (
        MISSED,
        lambda: result(MISSED, given=snapshots(MISSED, service_ms=5, outcomes=TROUBLE), notes=("a note",)),
    ),
    "report_invalid.txt": (PLAN, lambda: result(given=snapshots(cpu=0.96))),
    "report_stages.txt": (
        STAGED,
        lambda: result(STAGED, given=staged(STAGED, outcomes=TROUBLE, service_s=dict.fromkeys(range(20, 40), 0.2))),
    ),
    "report_overload.txt": (FULL, lambda: result(FULL, given=queued(FULL, 0.1))),
    "report_overloaded_client.txt": (FULL, lambda: result(FULL, given=queued(FULL, 0.1, cpu=0.96))),
    "report_nothing.txt": (PLAN, lambda: result(given=[], measured_ns={}, complete=frozenset(), interrupted=True)),
}


@pytest.mark.parametrize("name", RUNS)
def test_the_report(golden: Golden, name: str) -> None:
    plan, make = RUNS[name]
    golden(f"http/{name}", printed(make(), plan))


def test_a_degraded_run_is_not_headed_by_a_result() -> None:
    found = dataclasses.replace(result(), verdict=Verdict.DEGRADED, reasons=("Machine m1 was lost.",))
    assert "\nLoad was lost, so this is no result: " in printed(found, PLAN)


def test_a_thousand_stages_do_not_flood_the_report() -> None:
    found = result(STAGED, given=staged(STAGED, outcomes=TROUBLE, service_s=dict.fromkeys(range(20, 40), 0.2)))
    row = dataclasses.replace(found.stages[1], stage="100h@1,000,000/s", due=1_234_567, ok=1_234_567, per_s=999_999.0)
    text = printed(dataclasses.replace(found, stages=(row,) * 1000), STAGED)
    assert text.count("100h@1,000,000/s ") <= 40 + 6
    assert "\nand 960 more stages: run.json has all of them\n" in text
    assert "…" not in text
    assert "994 more" in text


def test_stages_that_were_not_reached_are_told() -> None:
    given = staged(STAGED)[:1]
    found = result(STAGED, given=given, interrupted=True, complete=frozenset(), measured_ns={0: 500_000_000})
    assert re.search(r"^ +500ms@40/s +not played +- +-", printed(found, STAGED), re.MULTILINE)


def test_names_of_targets_are_whole_beside_lower_bounds_and_retries() -> None:
    found = result(MISSED, given=snapshots(MISSED, service_ms=5, outcomes=TROUBLE))
    endless = TimeSpans(**dict.fromkeys(("mean", "p50", "p90", "p99", "p99_9", "max"), Span(4005, None)))
    rows = tuple(
        dataclasses.replace(
            row, name=f"127.0.0.1:4676{at}", errors={"BAD_STATUS": 36_828}, response_ms=endless, retries=at
        )
        for at, row in enumerate(found.targets)
    )
    total = dataclasses.replace(found.total, retries=1)
    text = printed(dataclasses.replace(found, targets=rows, total=total), MISSED)
    assert "\n!  127.0.0.1:46760 " in text
    assert "≥ 4,005  ≥ 4,005" in text
    assert "\nRetries (the server had closed the kept connection): 127.0.0.1:46761 1\n" in text
    assert "…" not in text


def test_columns_give_way_to_the_names_of_targets() -> None:
    found = result(MISSED, given=snapshots(MISSED, service_ms=5, outcomes=TROUBLE))
    endless = TimeSpans(**dict.fromkeys(("mean", "p50", "p90", "p99", "p99_9", "max"), Span(4005, None)))
    rows = tuple(
        dataclasses.replace(row, name=f"127.0.0.1:4266{at}", ok=1_234_567, per_s=9_999.0, response_ms=endless)
        for at, row in enumerate(found.targets)
    )
    text = printed(dataclasses.replace(found, targets=rows), MISSED)
    assert "127.0.0.1:42661 " in text
    assert "conns" not in text
    assert "1,234,567" in text


def test_the_report_of_a_cut_run_in_ascii(golden: Golden) -> None:
    found = result(complete=frozenset(), interrupted=True)
    cut = "the run was cut: it did not write its end"
    found = result(complete=frozenset(), interrupted=True)
    cut = "the run was cut off before it wrote its result"
    golden("http/report_cut_ascii.txt", printed(found, PLAN, cut=cut, encoding="ascii"))


MANY = HttpPlan(
    requests=tuple(HttpRequest(url=f"http://192.0.2.{n}/") for n in range(1, 31)), connections=30, duration_ns=2 * 10**9
)


def view(plan: HttpPlan, *, notices: tuple[str, ...] = (), outcomes: dict[int, Outcome] | None = None) -> HttpView:
    ledger = Ledger(["local/0"], len(plan.requests), 1)
    for snapshot in snapshots(plan, service_ms=5, outcomes=outcomes)[:1]:
        ledger.receive(snapshot)
    position = Position(
        phase="measuring",
        iteration=0,
        iterations=1,
        phase_elapsed_s=1.0,
        phase_length_s=2.0,
        elapsed_s=1.0,
        total_s=2.0,
    )
    return HttpViewBuilder(plan, title=title(plan)).build(ledger, position, notices)


def drawn(shown: HttpView, width: int, height: int, *, ascii_only: bool = False) -> str:
    lines = [line.plain for line in HttpScreen(shown).lines(width, height, ascii_only=ascii_only)]
    assert len(lines) < height
    assert all(cell_len(line) <= width for line in lines)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def test_the_live_screen(golden: Golden) -> None:
    golden("http/live_80x24.txt", drawn(view(PLAN), 80, 24))


def test_the_live_screen_of_one_target_in_ascii(golden: Golden) -> None:
    golden("http/live_80x24_one_ascii.txt", drawn(view(ONE), 80, 24, ascii_only=True))


def test_the_live_screen_before_the_first_interval() -> None:
    begun = dataclasses.replace(view(PLAN), interval=-1, engines=())
    assert "local/0" not in drawn(begun, 80, 24)


def test_the_live_screen_with_problems(golden: Golden) -> None:
    golden("http/live_80x24_trouble.txt", drawn(view(MISSED, notices=("a: refused",), outcomes=TROUBLE), 80, 24))


def test_other_statuses_than_200_are_on_the_screen_and_in_the_lines() -> None:
    found = dataclasses.replace(view(PLAN), statuses={200: 1234, 404: 5})
    assert "Statuses: 200 1,234, 404 5\n" in drawn(found, 80, 24)
    assert " statuses=200:1234,404:5 " in f"{next(http_news(found)).text} "
    usual = dataclasses.replace(found, statuses={200: 1234})
    assert "Statuses" not in drawn(usual, 80, 24)
    assert "statuses" not in next(http_news(usual)).text


def test_the_report_counts_replies_by_status() -> None:
    given = result()
    rows = tuple(
        dataclasses.replace(row, statuses={200: 90, 302: 5, 404: number}) for number, row in enumerate(given.targets, 5)
    )
    text = printed(dataclasses.replace(given, targets=rows), PLAN)
    assert "Statuses" in text
    assert re.search(r"^302 +(5|10) ", text, re.MULTILINE)
    assert re.search(rf"^404 .*{re.escape(rows[0].name)} 5", text, re.MULTILINE)


def test_a_small_terminal_shows_targets_with_errors_first(golden: Golden) -> None:
    text = drawn(view(MANY, outcomes={25: Outcome.RESET}), 50, 12)
    assert "192.0.2.26" in text
    golden("http/live_50x12_many.txt", text)


def test_the_plain_lines(golden: Golden) -> None:
    text = "".join(f"{line.text}\n" for line in http_news(view(MISSED, notices=("a: refused",), outcomes=TROUBLE)))
    golden("http/plain_lines.txt", text)
