"""The counters of VMs in the record, the report, JSON and CSV; old records and servers elsewhere have none."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from coordinator.kinds.catalog import judges
from coordinator.output.catalog import write
from coordinator.output.judged import Judged, read_judged
from coordinator.output.streams import OutputError
from coordinator.output.terminal.report import print_report
from coordinator.record.document import finished, unfinished
from coordinator.record.schema.generate import why_damaged
from coordinator.record.writer import VM_COUNTERS, RecordWriter
from loadgen.measure.vm_second import COLUMNS, VmWeights
from loadgen.verdict.result import RunResult
from loadgen.verdict.run import without_score
from loadgen.verdict.vm_counters import Held, VmCounters
from tests.support import results
from tests.support.judged import END, judged
from tests.support.recorded import RECORDS
from tests.support.snapshots import cell, snapshot, tally
from tests.support.vm_counters import vm_second

QUIET = dict.fromkeys(COLUMNS, 0) | {"periods": 10}
THROTTLED = VmCounters(
    read_s=20.0,
    cpu_ns=400_000_000,
    periods=200,
    throttled_periods=124,
    throttled_ns=9_000_000_000,
    oom_kills=1,
    memory_bytes=5 << 20,
    pids=3,
    pss_after_bytes=2 << 20,
    at_least=("cpu_ns",),
    held=(Held(what="OOM-killed", value=1.0), Held(what="throttled", value=62.0, spans=((5, 9), (12, 24)))),
)


def held_run(vms: int = 2, short: int = 1, counters: VmCounters | None = THROTTLED) -> RunResult:
    """A run in which the first `short` VMs do not conform; all have these counters."""
    result = results.run_result(vms)
    targets = tuple(
        dataclasses.replace(one, counters=counters, conforming=3 if at < short else one.conforming)
        for at, one in enumerate(result.targets)
    )
    rows = list(result.iterations)
    rows[result.median] = dataclasses.replace(rows[result.median], targets=targets)
    return dataclasses.replace(result, targets=targets, iterations=tuple(rows))


def report(result: RunResult, vms: int = 2) -> str:
    console = Console(file=io.StringIO(), width=80, record=True)
    print_report(console, judged(results.header(vms), result))
    return console.export_text()


def test_a_vm_that_does_not_conform_comes_with_what_held_it() -> None:
    text = report(held_run())
    assert "vm1: OOM-killed once; throttled in 62 % of the periods of its CPU quota" in " ".join(text.split())
    assert "vm2:" not in text
    assert "62%" in text
    assert "Not read here: waiting for a core, listen drops, retransmits" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_what_is_not_known_is_said() -> None:
    assert "vm1: its counters do not show why" in report(held_run(counters=dataclasses.replace(THROTTLED, held=())))
    result = held_run(short=2)
    first = dataclasses.replace(result.targets[0], counters=None)
    text = report(dataclasses.replace(result, targets=(first, *result.targets[1:])))
    assert "vm1: its counters were not read" in text
    assert "vm2: OOM-killed once" in text


def test_a_run_that_conforms_has_the_table_only() -> None:
    text = report(held_run(short=0))
    assert "Counters of the VMs" in text
    assert "What held" not in text
    assert "Counters of the VMs" not in report(results.run_result(2))


def test_many_vms_are_folded() -> None:
    """The means of the others are measured sizes, which no unit divides."""
    text = report(held_run(600, short=100, counters=dataclasses.replace(THROTTLED, memory_bytes=11_047_489)), 600)
    assert [line.split()[4:6] for line in text.splitlines() if "580 others" in line][-1] == ["10.5M", "2.0M"]
    assert "All 600 VMs together used 12.00 cores" in text  # 0.4 s of CPU time in 20 s each
    assert text.count("OOM-killed once; throttled") == 20
    assert "80 others: OOM-killed 80, throttled 80" in " ".join(text.split())
    assert "580 others" in text


def test_without_a_score_nothing_held_a_vm() -> None:
    result = without_score(held_run())
    assert result.targets[0].counters == dataclasses.replace(THROTTLED, held=())


def test_the_record_holds_the_counters(tmp_path: Path) -> None:
    result = held_run()
    document = finished(results.header(2), result, finished_at=END)
    assert why_damaged(document) == ""
    with RecordWriter(tmp_path / "run", unfinished(results.header(2))) as writer:
        writer.finish(document)
    assert read_judged(tmp_path / "run", judges()).result == result
    assert document["targets"][0]["counters"]["waited_ns"] is None
    assert document["targets"][0]["counters"]["held"][1] == {
        "what": "throttled",
        "value": 62.0,
        "at_least": False,
        "phrase": "throttled in 62 % of the periods of its CPU quota",
        "spans": [[5, 9], [12, 24]],
    }


def cut_run(directory: Path) -> Judged[Any, Any]:
    """The record of a run of two VMs that was killed in its first window."""
    with RecordWriter(directory, unfinished(results.header(2))) as writer:
        writer.observe(VmWeights(after=False, pss_bytes=(4096, -1)), VM_COUNTERS)
        for at_s in range(3):
            held = QUIET | {"throttled_periods": 8, "cpu_ns": 20_000_000}
            writer.observe(vm_second(at_s, held, QUIET | {"retransmits": -1}, cost_ns=3_000_000), VM_COUNTERS)
        cells = {(0, 0): cell(5, received=1000), (0, 1): cell(7, bad=1)}
        writer.append([snapshot("local/0", 1, cells=cells, rows=(tally(0, 0), tally(0, 20)))])
    return read_judged(directory, judges())


def test_a_run_that_was_killed_keeps_what_was_read(tmp_path: Path) -> None:
    first, second = cut_run(tmp_path / "run").result.targets
    assert (first.counters.throttled_periods, first.counters.periods, first.counters.read_s) == (24, 30, 3.0)
    assert (first.counters.pss_before_bytes, second.counters.pss_before_bytes) == (4096, None)
    assert second.counters.retransmits is None


def test_csv_joins_the_counters_and_what_was_served(tmp_path: Path) -> None:
    stream = io.StringIO()
    write(cut_run(tmp_path / "run"), "vms", stream)
    rows = list(csv.DictReader(io.StringIO(stream.getvalue())))
    assert [(row["vm"], row["begin_s"]) for row in rows[:3]] == [
        ("vm1", "0.000"),
        ("vm2", "0.000"),
        ("vm1", "1.000"),
    ]
    served = [(row["ok_operations"], row["failed_operations"]) for row in rows]
    assert served == [("0", "0")] * 2 + [("5", "0"), ("7", "1")] + [("0", "0")] * 2
    assert (rows[0]["cpu_ms"], rows[0]["throttled_periods"], rows[0]["reading_ms"]) == ("20", "8", "3")
    assert (rows[1]["retransmits"], rows[1]["host_stolen_ms"]) == ("", "")


def test_a_record_without_counters_says_so(tmp_path: Path) -> None:
    RECORDS["spec good"](tmp_path / "run")
    with pytest.raises(OutputError, match="has no counters of VMs"):
        write(read_judged(tmp_path / "run", judges()), "vms", io.StringIO())


def test_a_full_disk_ends_the_counters_only(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with RecordWriter(tmp_path / "run", unfinished(results.header(2))) as writer:
        (tmp_path / "run" / VM_COUNTERS).mkdir()  # in the way
        for at_s in range(2):
            writer.observe(vm_second(at_s, QUIET), VM_COUNTERS)
        assert writer.problems == (f"the record ends early: {VM_COUNTERS}: File exists",)
