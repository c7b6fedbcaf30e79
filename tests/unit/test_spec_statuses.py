"""Replies of `loadgen spec` are counted by status code: for each VM, in the result and in its record."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from coordinator.record.document import finished
from coordinator.record.reader import load
from coordinator.record.writer import RecordWriter
from loadgen.measure.fold import FoldContext, fold
from loadgen.measure.ledger import Totals
from loadgen.measure.record import STATUS_SHIFT
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_S
from loadgen.verdict.iteration import judge_iteration
from loadgen.verdict.result import TargetResult
from tests.support import results
from tests.support.evidence import asked, records
from tests.support.iterations import FLOOR, WINDOW_NS
from tests.support.snapshots import snapshot


def judged(*replies: tuple[int, int, Outcome]) -> tuple[TargetResult, ...]:
    """The targets of a window in which two VMs sent `replies`: (VM, status, outcome)."""
    given = [
        {
            "connection": vm,
            "due_ns": (1 + at) * NS_PER_S,
            "sent_ns": (1 + at) * NS_PER_S + 1,
            "done_ns": (1 + at) * NS_PER_S + 1_000_000,
            "bytes": 1000,
            "outcome": outcome,
            "flags": status << STATUS_SHIFT,
        }
        for at, (vm, status, outcome) in enumerate(replies)
    ]
    context = FoldContext(
        kind=np.zeros(1, np.uint8),
        group=np.zeros(1, np.uint8),
        kinds=4,
        groups=1,
        target_of=np.arange(2, dtype=np.int32),
        line_bps=400_000,
        bound=FLOOR,
    )
    cells, tallies = fold(records(*given), context, window=0, window_start_ns=0, window_end_ns=WINDOW_NS)
    totals = Totals.of(dataclasses.replace(snapshot("local/0", 25), cells=cells, tallies=tallies))
    return judge_iteration(0, totals, asked(2, 1, FLOOR), measured_ns=WINDOW_NS).targets


def test_each_vm_has_its_own_status_codes() -> None:
    first, second = judged(
        (0, 200, Outcome.OK),
        (0, 200, Outcome.OK),
        (0, 404, Outcome.BAD_STATUS),
        (1, 503, Outcome.BAD_STATUS),
        (1, 0, Outcome.TIMED_OUT),
    )
    assert first.statuses == {200: 2, 404: 1}
    assert second.statuses == {503: 1}


def test_a_vm_without_a_reply_has_no_codes() -> None:
    assert [one.statuses for one in judged((0, 0, Outcome.TIMED_OUT))] == [{}, {}]


def test_the_record_holds_the_codes(tmp_path: Path) -> None:
    plain = results.run_result()
    codes = {200: 7, 404: 1}
    rows = tuple(dataclasses.replace(one, statuses=codes) for one in plain.targets)
    iterations = tuple(
        dataclasses.replace(one, targets=tuple(dataclasses.replace(row, statuses=codes) for row in one.targets))
        for one in plain.iterations
    )
    result = dataclasses.replace(plain, targets=rows, iterations=iterations)
    document = finished(results.header(), result, finished_at="2026-11-30T00:00:00+00:00")
    with RecordWriter(tmp_path / "run", document):
        pass
    document = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert document["targets"][0]["statuses"] == {"200": 7, "404": 1}
    assert document["iterations"][0]["targets"][0]["statuses"] == {"200": 7, "404": 1}
    again = load(tmp_path / "run").result()
    assert [one.statuses for one in again.targets] == [codes] * len(rows)
    assert [row.statuses for one in again.iterations for row in one.targets] == [codes] * sum(
        len(one.targets) for one in iterations
    )


def test_a_record_without_the_codes_says_nothing_of_them(tmp_path: Path) -> None:
    result = results.run_result()
    document = finished(results.header(), result, finished_at="2026-11-30T00:00:00+00:00")
    assert "statuses" not in document["targets"][0]
    with RecordWriter(tmp_path / "run", document):
        pass
    assert load(tmp_path / "run").result().targets[0].statuses is None
