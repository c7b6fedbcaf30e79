"""A run that is still going on: its record has no verdict yet, and its lines show rates only of seconds of traffic."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest

from coordinator.kinds.catalog import judges
from coordinator.output.catalog import write
from coordinator.output.judged import RUNNING, read_judged
from coordinator.output.terminal.plain import line
from coordinator.record.document import unfinished
from coordinator.record.header import Header, RecordError
from coordinator.record.writer import RecordWriter
from coordinator.run.state import State
from coordinator.run.timeline import _BETWEEN
from tests.support import https, networks, results, views

HEADERS = {
    "spec": results.header(),
    "http": https.header(),
    "iperf": networks.iperf_header(),
    "forward": networks.forward_header(),
}


def shown(path: Path) -> str:
    text = io.StringIO()
    write(read_judged(path, judges()), "text", text)
    return text.getvalue()


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_running_run_has_no_verdict_yet(header: Header[Any], tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "run", unfinished(header)):
        running = shown(tmp_path / "run")
    assert "Verdict: none yet; interrupted now, it would be " in running
    assert "RUNNING" in running
    cut = shown(tmp_path / "run")
    assert "none yet" not in cut
    assert "Verdict: " in cut


def test_a_running_sweep_is_not_called_cut(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "run", unfinished(results.sweep_header(), results.sweep(2))):
        assert read_judged(tmp_path / "run", judges()).cut == RUNNING
        running = shown(tmp_path / "run")
    assert "RUNNING: " in running
    assert "CUT" not in running
    assert "CUT: " in shown(tmp_path / "run")


def test_a_running_sweep_without_a_point_is_not_called_cut(tmp_path: Path) -> None:
    with (
        RecordWriter(tmp_path / "run", unfinished(results.sweep_header(), results.sweep(0))),
        pytest.raises(RecordError, match="still going on, and has no point that is done"),
    ):
        shown(tmp_path / "run")


@pytest.mark.parametrize(
    ("phase", "interval", "has_rates"),
    [
        ("starting the servers", -1, False),
        ("measure", 1, True),
        (_BETWEEN[State.STOPPING], 1, True),
        (_BETWEEN[State.PREPARING], -1, False),
        (_BETWEEN[State.RESETTING], 9, False),  # between two iterations
        (_BETWEEN[State.AUDITING], 9, False),
        (_BETWEEN[State.FINISHED], 9, False),
    ],
)
def test_a_line_of_spec_shows_rates_only_of_a_second_of_traffic(phase: str, interval: int, has_rates: bool) -> None:
    text = line(dataclasses.replace(views.run_view(), phase=phase, interval=interval))
    for word in ("ops/s=", "Mbit/s=", "p99_ms=", "late_p99_ms="):
        assert (word in text) is has_rates
    assert "conforming=" in text
    assert "errors=" in text
