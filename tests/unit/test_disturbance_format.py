"""`loadgen show --format disturbance`: one row per machine, engine and second; unknown numbers are empty."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from coordinator.kinds.catalog import judges
from coordinator.output.catalog import write
from coordinator.output.judged import read_judged
from coordinator.output.streams import OutputError
from coordinator.record.document import unfinished
from coordinator.record.writer import DISTURBANCE, RecordWriter
from loadgen.measure.disturbance import EngineSecond, MachineSecond
from tests.support import https
from tests.support.disturbance import engine_second, second


def record(directory: Path, *given: MachineSecond) -> RecordWriter:
    with RecordWriter(directory, unfinished(https.header())) as writer:
        for one in given:
            writer.observe(one)
        writer.append(https.snapshots())
    return writer


def rows(directory: Path) -> list[dict[str, str]]:
    stream = io.StringIO()
    write(read_judged(directory, judges()), "disturbance", stream)
    return list(csv.DictReader(io.StringIO(stream.getvalue())))


def test_the_rows(tmp_path: Path) -> None:
    both = (engine_second("m/0", 0.25, mhz=2400), EngineSecond(worker="m/1"))
    nothing = MachineSecond(machine="n", interval=1, engines=(EngineSecond(worker="n/0"),))
    record(tmp_path / "run", second(0, machine="m", engines=both, softnet_dropped=7), nothing)
    first, same, last = rows(tmp_path / "run")
    assert (
        first.items()
        >= {
            "second": "0",
            "iteration": "0",
            "engine": "m/0",
            "cores": "1",
            "others_ms": "250",
            "others_most": "hog (pid 7)",
            "mhz": "2400",
            "softnet_dropped": "7",
            "pressure_ms": "500",
        }.items()
    )
    assert (same["engine"], same["others_ms"], same["core_ms"], same["mhz"]) == ("m/1", "", "", "")
    unknown = {name for name, value in last.items() if not value}
    assert {"others_ms", "stolen_ms", "throttled_ms", "pressure_ms", "softnet_dropped", "listen_overflows"} <= unknown
    assert last["iteration"] == ""


def test_a_record_without_seconds_says_so(tmp_path: Path) -> None:
    record(tmp_path / "run")
    assert not (tmp_path / "run" / DISTURBANCE).exists()
    with pytest.raises(OutputError, match="does not say what disturbed"):
        rows(tmp_path / "run")


def test_a_record_that_cannot_be_continued_says_so(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with RecordWriter(tmp_path / "run", unfinished(https.header())) as writer:
        (tmp_path / "run" / DISTURBANCE).mkdir()  # in the way
        writer.observe(second(0))
        writer.observe(second(1))
        assert writer.problems == (f"the record ends early: {DISTURBANCE}: File exists",)
