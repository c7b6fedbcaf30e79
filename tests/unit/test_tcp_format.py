"""`loadgen show --format tcp`: one row per target and second, and per target and window."""

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
from coordinator.record.writer import RecordWriter
from tests.support import https
from tests.support.tcp import tcp_view, with_tcp

SEEN = {"looks": 2, "ordered": 2, "timed": 2, "skipped": 9, "segments_sent": 30, "busy_us": 1500}


def rows(directory: Path) -> list[dict[str, str]]:
    stream = io.StringIO()
    write(read_judged(directory, judges()), "tcp", stream)
    return list(csv.DictReader(io.StringIO(stream.getvalue())))


def test_the_rows(tmp_path: Path) -> None:
    first, *others = https.snapshots()
    view = tcp_view({(-1, 0): {"looks": 1, "retransmits": 4}, (0, 0): SEEN}, {(0, 0): (0, 3)}, rtt_us=[120])
    with RecordWriter(tmp_path / "run", unfinished(https.header())) as writer:
        writer.append([with_tcp(first, view), *others])
    before, second, window = rows(tmp_path / "run")
    assert (before["iteration"], before["retransmits"], before["segments_sent"]) == ("", "4", "")
    assert (before["rtt_min_ms"], before["out_of_order"]) == ("0.120000", "")
    assert (second["iteration"], second["looks"], second["segments_sent"], second["busy_ms"]) == ("0", "2", "30", "1.5")
    assert (before["skipped"], second["skipped"], window["skipped"]) == ("0", "9", "9")
    assert (second["rtt_p50_ms"], second["connections"]) == ("", "")
    assert (window["interval_start_s"], window["iteration"], window["retransmits"]) == ("", "0", "0")
    assert (window["busy_ms"], window["lossy_connections"], window["non_conforming"]) == ("1.5", "1", "")


def test_a_record_without_views_says_so(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "run", unfinished(https.header())) as writer:
        writer.append(https.snapshots())
    with pytest.raises(OutputError, match="TCP"):
        rows(tmp_path / "run")
