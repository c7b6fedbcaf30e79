"""Compares the outputs of a run of tapes with each other, with its record, and with what the servers wrote down."""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from coordinator.record.reader import load
from loadgen.measure.cells import Cell
from loadgen.measure.censored import Times
from loadgen.measure.histogram import TOP_NS, Histogram
from loadgen.measure.snapshot import Snapshot
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.support.cli import Done, loadgen

UNSENT = (Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.LOCAL_LIMIT, Outcome.SHED)
"""Outcomes of operations for which there was no TCP connection."""


_BELOW = ("Retries (", "Dead ", "Connection time:")
"""The beginnings of sentences below a table."""


@dataclass(frozen=True)
class Run:
    """A finished run and all of its outputs; `seen` are the requests that each server wrote down, by target name."""

    done: Done
    document: Mapping[str, Any]
    text: str
    log: str
    rows: Sequence[Mapping[str, str]]
    snapshots: Sequence[Snapshot]
    names: Sequence[str]
    seen: Mapping[str, int]

    @classmethod
    def read(cls, directory: Path, done: Done, seen: Mapping[str, int]) -> Run:
        """Every output of the record `run` in the directory."""

        def shown(form: str) -> Done:
            return loadgen("show", "run", "--format", form, cache=directory, cwd=directory)

        record = load(directory / "run")
        newest = {(one.interval, one.worker): one for one in record.measured}
        return cls(
            done=done,
            document=shown("json").document,
            text=shown("text").out,
            log=shown("hdr").out,
            rows=list(csv.DictReader(io.StringIO(shown("csv").out))),
            snapshots=list(newest.values()),
            names=[target.name for target in record.header.targets],
            seen=seen,
        )

    def cells(self, interval: int | None = None) -> dict[tuple[int, str], Cell]:
        """The operations by window and target name; of one interval, or of all."""
        found: defaultdict[tuple[int, str], list[Cell]] = defaultdict(list)
        for snapshot in self.snapshots:
            if interval in (None, snapshot.interval):
                for (window, target), cell in snapshot.cells.items():
                    found[window, self.names[target]].append(cell)
        return {key: Cell.merge_all(cells) for key, cells in found.items()}


def check_fates(run: Run) -> None:
    """In each target and window and outside of windows: due = answered + failed + cut = sent + never sent."""
    sent: Counter[str] = Counter()
    for (_, name), cell in run.cells().items():
        assert cell.issued == cell.ok + cell.bad + cell.cut
        assert cell.response.total == cell.service.total == cell.ok
        assert (cell.response_failed.total, cell.response_cut.total) == (cell.bad, cell.cut)
        failed, cut = cell.service_failed.total, cell.service_cut.total
        assert cell.lateness.total == cell.ok + failed + cut, "sent = answered + failed + cut"
        assert cell.bad - failed == sum(int(cell.outcomes[outcome]) for outcome in UNSENT)
        assert cell.cut - cut >= 0
        sent[name] += cell.lateness.total + cell.retries
    assert {name: sent[name] for name in run.seen} == run.seen


def check_rows(run: Run, row: Mapping[str, Any], name: str, window: int, *, ok: str) -> None:
    """A target's row of run.json agrees with the record and with CSV; `ok` is the name of its answered operations."""
    cell = run.cells().get((window, name))
    counts = (cell.ok, cell.bad, cell.errors) if cell else (0, 0, {})
    assert (row[ok], row["errors"], row["errors_by_outcome"]) == counts
    throughout = row["cut"] - (cell.cut if cell else 0)  # under way during all of the window
    outside = run.cells().get((-1, name))
    assert 0 <= throughout <= (outside.cut if outside else 0)
    own = [one for one in run.rows if one["target"] == name and one["iteration"] == str(window)]
    summed = [
        sum(int(one[column]) for one in own)
        for column in ("ok_operations", "failed_operations", "cut_operations", "sent_operations", "retries")
    ]
    expected = [cell.ok, cell.bad, cell.cut, cell.lateness.total, cell.retries] if cell else [0] * 5
    assert summed == expected


def check_percentiles(times: Mapping[str, Any], cells: Sequence[Cell], throughout: int, window_ns: int) -> None:
    """Response times of run.json agree with the cells; `throughout` operations lasted longer than the window."""
    known = [Times.response_of(cell) for cell in cells]
    whole = Times(
        Histogram.merge_all(one.known for one in known),
        Histogram.merge_all(one.failed for one in known),
        Histogram.merge_all([*(one.cut for one in known), Histogram.of(np.full(throughout, window_ns))]),
    )
    for name, q in (("p50", 50), ("p90", 90), ("p99", 99)):
        span, shown = whole.percentile(q), times[name]
        if span is None:
            assert shown is None
        elif span.low < 0.99 * window_ns:  # the waits of the others are not in these cells
            assert shown["low"] == pytest.approx(span.low / NS_PER_MS)
            if not throughout:
                assert (shown["high"] is None) == math.isinf(span.high)


def check_text(cells: Sequence[str], times: Mapping[str, Any]) -> None:
    """The text of p50 and p99 says what run.json says."""
    for text, name in zip(cells, ("p50", "p99"), strict=True):
        value = times[name]
        if value is None:
            assert text == "-"
            continue
        numbers = [float(number.replace(",", "")) for number in re.findall(r"[\d,.]+", text)]
        low, high = value["low"], value["high"]
        if "≥" in text:
            assert high is None or high > 1.05 * low
            expected = [low]
        else:
            assert high is not None
            expected = [high] if high <= 1.05 * low else [low, high]
        for number, one in zip(numbers, expected, strict=True):
            assert number == pytest.approx(one, abs=0.51 if one >= 100 else 0.051 if one >= 10 else 0.0051), text


def table(text: str, title: str) -> list[list[str]]:
    """The rows of a table of the report as cells of text, without its marks."""
    return _rows(text, title)[1:]


def named_cells(text: str, title: str) -> list[dict[str, str]]:
    """The rows of a table of the report, each by the heading of its column."""
    headings, *rows = _rows(text, title)
    return [dict(zip(headings, row, strict=True)) for row in rows]


def _rows(text: str, title: str) -> list[list[str]]:
    text = "\n".join(line.rstrip() for line in text.splitlines())
    headings, _, *lines = text.split(f"\n{title}\n")[1].split("\n\n")[0].splitlines()
    rows = itertools.takewhile(lambda line: not line.startswith(_BELOW), lines)
    return [re.split(r"\s{2,}", line.lstrip(" !")) for line in (headings, *rows)]


def check_log(run: Run, total: int, times: Sequence[Mapping[str, Any]], directory: Path) -> None:
    """The HdrHistogram log has `total` operations and, of a single window, the low ends of the percentiles."""
    (directory / "log.hlog").write_text(run.log, "ascii")
    whole = HdrHistogram(1, TOP_NS, 3)
    reader = HistogramLogReader(str(directory / "log.hlog"), whole)
    while (part := reader.get_next_interval_histogram()) is not None:
        whole.add(part)
    reader.close()
    assert whole.get_total_count() == total
    if len(times) == 1:
        for name, q in (("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)):
            assert _at_rank(whole, max(1, math.ceil(q / 100 * total - 1e-6))) / 1e6 == pytest.approx(
                times[0][name]["low"], rel=0.002
            ), name


def _at_rank(histogram: HdrHistogram, rank: int) -> int:
    """The value of nearest rank, in ns.  HdrHistogram itself rounds ranks to the nearest whole number."""
    seen = 0
    for item in histogram.get_recorded_iterator():
        seen += item.count_added_in_this_iter_step
        if seen >= rank:
            return int(item.value_iterated_to)
    raise AssertionError(f"the histogram has fewer than {rank} values")


def check_live(run: Run, *, rate: str, errors: int, percentiles: Sequence[str]) -> None:
    """The lines of the live view show one of the last three intervals, and at the end the errors of the result.

    An interval in which the traffic ends may be too short to be shown, or be shown before its last report.
    """
    lines = [line for line in run.done.err.splitlines() if " errors=" in line]
    said = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]
    assert int(said[-1]["errors"]) == errors
    last = max(snapshot.interval for snapshot in run.snapshots)
    shown = [_shown(run, interval, percentiles) for interval in (last, last - 1, last - 2)]
    assert any(
        float(words[rate]) == pytest.approx(per_s, abs=0.051, rel=1e-6)
        and all(words[f"{name}_ms"] == text for name, text in times.items())
        for words in said
        if rate in words
        for per_s, times in shown
    ), (lines[-4:], shown)


def _shown(run: Run, interval: int, percentiles: Sequence[str]) -> tuple[float, dict[str, str]]:
    """The operations per second of an interval, and its response times as the live view writes them."""
    cells = list(run.cells(interval).values())
    length_ns = max(one.health.wall_ns for one in run.snapshots if one.interval == interval)
    times = [Times.response_of(cell) for cell in cells]
    whole = Times(*(Histogram.merge_all(getattr(one, name) for one in times) for name in ("known", "failed", "cut")))
    written = {}
    for name in percentiles:
        span = whole.percentile(float(name[1:]))
        mark = ">" if span and math.isinf(span.high) else ""
        written[name] = f"{mark}{span.low / NS_PER_MS:.1f}" if span else "-"
    return sum(cell.ok for cell in cells) / min(1.0, length_ns / NS_PER_S), written
