"""Response times for the tools of HdrHistogram, from the intervals of a run's record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from coordinator.output.judged import Judged
from coordinator.output.measured import INTERVAL_S, Part, cells_by_interval, epoch_s, parts_of
from coordinator.output.streams import OutputError
from loadgen.measure.hdr_log import Interval, hgrm, hlog
from loadgen.measure.histogram import Histogram
from loadgen.model.errors import PlanError

SUFFIXES = (".hgrm", ".hlog")


def write_hdr(judged: Judged[Any, Any], stream: TextIO) -> None:
    """Write the response times of the judged windows as an interval log, one interval per second.

    Failed and cut operations count with the time until then, which is a lower bound of their response time: so do the
    low ends of the intervals in the report.
    The intervals of a sweep carry the name of their run as a tag.  Raises OutputError when the record holds no
    response times.
    """
    intervals = _intervals(judged)
    if not intervals:
        raise OutputError(
            f"the record {judged.path} holds no response times",
            hint="loadgen spec and loadgen http record them; --format csv shows what else was measured",
        )
    stream.writelines(hlog(intervals, start_s=epoch_s(judged.header.started_at)))


def check_files(files: Sequence[Path]) -> None:
    """Raises PlanError when a file has neither of SUFFIXES, or when its directory does not exist."""
    for file in files:
        if file.suffix not in SUFFIXES:
            raise PlanError(
                f"{file} is the name of neither a percentile listing nor an interval log",
                hint="name it .hgrm or .hlog",
            )
        if not file.parent.is_dir():
            raise PlanError(f"{file} cannot be written: there is no directory {file.parent}")


def write_files(files: Sequence[Path], judged: Judged[Any, Any]) -> list[str]:
    """Write the response times to files, each in the format that its suffix names.

    Returns a sentence for each file that could not be written.
    """
    intervals, problems = _intervals(judged), []
    for file in files:
        if file.suffix == ".hgrm":
            text = hgrm(Histogram.merge_all(one.times for one in intervals))
        else:
            text = "".join(hlog(intervals, start_s=epoch_s(judged.header.started_at)))
        try:
            file.write_text(text, encoding="ascii")
        except OSError as error:
            problems.append(f"{file} cannot be written: {error.strerror}")
    return problems


def _intervals(judged: Judged[Any, Any]) -> list[Interval]:
    found: list[Interval] = []
    for part in parts_of(judged):
        if part.record.has_snapshots:
            found += _of_part(part)
    return found


def _of_part(part: Part) -> Iterator[Interval]:
    for interval, cells in cells_by_interval(part.record.measured):
        judged = [cell for (window, _), cell in cells.items() if window >= 0]
        times = Histogram.merge_all(
            one for cell in judged for one in (cell.response, cell.response_failed, cell.response_cut)
        )
        if times.total:
            yield Interval(part.start_s + interval * INTERVAL_S, INTERVAL_S, times, part.name)
