"""Failed and cut operations of a spec run are lower bounds of its times, in the result and in each output."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from coordinator.kinds.catalog import judges
from coordinator.output.catalog import write
from coordinator.output.judged import read_judged
from coordinator.output.terminal.report import print_report
from coordinator.record.connections import CONNECTION_DTYPE
from coordinator.record.document import finished, unfinished
from coordinator.record.writer import RecordWriter
from loadgen.measure.fold import FoldContext, fold
from loadgen.measure.ledger import Totals
from loadgen.measure.snapshot import Snapshot
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_S
from loadgen.verdict.iteration import judge_iteration
from loadgen.verdict.result import IterationResult, RunResult
from loadgen.verdict.span import Span
from tests.support import results
from tests.support.evidence import asked, records
from tests.support.iterations import FLOOR, WINDOW_NS
from tests.support.judged import END, judged
from tests.support.snapshots import snapshot

OK, CUT, FAILED = Outcome.OK, Outcome.CUT, Outcome.TIMED_OUT
START_NS = 5 * NS_PER_S
CONNECTIONS = 4

Operation = tuple[int, float, float, Outcome]
"""(connection, due, done, outcome); times in s after the opening of the window."""


def played(*operations: Operation) -> Snapshot:
    """All of a window as one snapshot."""
    given = [
        {
            "connection": connection,
            "due_ns": START_NS + round(due_s * NS_PER_S),
            "sent_ns": START_NS + round(due_s * NS_PER_S) + 1,
            "done_ns": START_NS + round(done_s * NS_PER_S),
            "bytes": 1000,
            "outcome": outcome,
        }
        for connection, due_s, done_s, outcome in operations
    ]
    ctx = FoldContext(
        kind=np.zeros(1, np.uint8),
        group=np.zeros(1, np.uint8),
        kinds=4,
        groups=1,
        target_of=np.repeat(np.arange(2, dtype=np.int32), CONNECTIONS // 2),
        line_bps=400_000,
        bound=FLOOR,
    )
    end_ns = START_NS + WINDOW_NS
    cells, tallies = fold(records(*given), ctx, window=0, window_start_ns=START_NS, window_end_ns=end_ns)
    return dataclasses.replace(snapshot("local/0", 25), cells=cells, tallies=tallies)


def of(*operations: Operation) -> IterationResult:
    totals = Totals.of(played(*operations))
    return judge_iteration(0, totals, asked(2, CONNECTIONS // 2, FLOOR), measured_ns=WINDOW_NS)


def answered(number: int, connection: int = 0) -> Sequence[Operation]:
    """Operations that take 100 ms."""
    return [(connection, at / 10, at / 10 + 0.1, OK) for at in range(number)]


def test_a_failed_operation_leaves_the_slowest_times_without_an_upper_bound() -> None:
    found = of(*answered(100), (1, 1.0, 11.0, FAILED))
    assert found.response_ms.max == Span(10_000, None)
    assert found.response_ms.p50 is not None
    assert found.response_ms.p50.low == found.response_ms.p50.high == pytest.approx(100, rel=0.001)
    assert found.targets[0].response_ms.max == Span(10_000, None)
    assert found.targets[1].response_ms.max is None


def test_silence_at_the_end_is_in_the_percentiles() -> None:
    found = of(*answered(90), *[(connection, 15.0, 22.0, CUT) for connection in range(4)])
    assert (found.requests_ok, found.cut, [one.cut for one in found.targets]) == (90, 4, [2, 2])
    assert found.response_ms.p99 == Span(7000, None)
    assert found.targets[1].response_ms.p50 == Span(7000, None)


def test_an_operation_that_lasts_for_all_of_the_window_counts_in_it() -> None:
    """Nothing of the connection was due in the window."""
    found = of(*answered(90), (2, -1.0, 22.0, CUT), (3, -1.0, -0.5, CUT))
    assert [one.cut for one in found.targets] == [0, 1]
    assert found.targets[1].response_ms.p50 == Span(20_000, None)
    assert found.service_ms.max == Span(20_000, None)


def test_what_is_under_way_at_the_end_of_a_good_window_leaves_its_times_as_they_are() -> None:
    found = of(*answered(190), *[(connection, 19.95, 20.0, CUT) for connection in range(4)])
    assert found.cut == 4
    assert found.response_ms.p99 is not None
    assert found.response_ms.p99.low == found.response_ms.p99.high == pytest.approx(100, rel=0.001)


TROUBLE = [
    *answered(90),
    (1, 1.0, 11.0, FAILED),
    (2, -1.0, 22.0, CUT),
    *[(connection, 15.0, 22.0, CUT) for connection in (0, 1, 3)],
]


def result() -> RunResult:
    whole = results.run_result(2, shorts=(0,))
    one = dataclasses.replace(of(*TROUBLE), checks=whole.iterations[0].checks)
    targets = tuple(dataclasses.replace(row, host="2001:db8::1:2:3", port=20001) for row in one.targets)
    return dataclasses.replace(whole, iterations=(one,), targets=targets, median=0)


def test_the_report_shows_lower_bounds_and_cut_operations() -> None:
    file = io.StringIO()
    console = Console(file=file, width=80)
    print_report(console, judged(results.header(2), result()))
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    (row,) = (line.split() for line in lines if line.startswith("1 median"))
    assert row[-5:-1] == ["100", "≥20,000", "1", "4"], file.getvalue()
    assert any("≥20,000       0    2" in line for line in lines), file.getvalue()


def test_every_output_has_the_same_lower_bounds(tmp_path: Path) -> None:
    header = results.header(2)
    with RecordWriter(tmp_path / "run", unfinished(header)) as writer:
        writer.append([played(*TROUBLE)])
        writer.finish(finished(header, result(), finished_at=END), np.zeros(0, CONNECTION_DTYPE))
    shown = read_judged(tmp_path / "run", judges())
    assert shown.result == result()
    (one,) = shown.document["iterations"]
    assert one["response_ms"]["max"] == {"low": 20_000.0, "high": None}
    assert (one["cut"], [row["cut"] for row in one["targets"]]) == (4, [2, 2])
    log = io.StringIO()
    write(shown, "hdr", log)
    (line,) = log.getvalue().splitlines()[3:]
    assert float(line.split(",")[2]) == pytest.approx(20_000, rel=0.001)  # the longest
