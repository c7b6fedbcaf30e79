"""Response times for the tools of HdrHistogram, from the intervals of a run's record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from coordinator.output.curves import Curve, curves_of
from coordinator.output.judged import Judged
from coordinator.output.measured import INTERVAL_S, Part, Second, epoch_s, parts_of, seconds_of
from coordinator.output.streams import OutputError
from coordinator.record.find_result import Find
from coordinator.record.headroom_result import HeadroomResult
from coordinator.record.interleaved_result import Interleaved
from coordinator.record.kinds import KIND_HTTP
from coordinator.record.sweep_result import Sweep
from loadgen.host.paths import is_directory
from loadgen.measure.censored import Times
from loadgen.measure.hdr_log import Interval, hgrm, hlog
from loadgen.measure.histogram import Histogram
from loadgen.model.errors import PlanError
from loadgen.model.units import NS_PER_S
from loadgen.verdict.http_result import HttpResult
from loadgen.verdict.repeats import Repeats

SUFFIXES = (".hgrm", ".hlog")


def write_hdr(judged: Judged[Any, Any], stream: TextIO) -> None:
    """Write the response times of the judged windows as an interval log, one interval per second.

    Failed and cut operations count with the time until then, which is a lower bound of their response time: so do the
    low ends of the intervals in the report.  The times of all intervals together are those of the report.
    Of several runs, the intervals carry the name of their run as a tag, and runs that do not count are left out
    (coordinator.output.curves).  Raises OutputError when the record holds no response times.
    """
    intervals = _intervals(judged)
    if not intervals:
        raise _no_times(judged)
    stream.writelines(hlog(intervals, start_s=epoch_s(judged.header.started_at)))


def check_files(files: Sequence[Path]) -> None:
    """Raises PlanError when a file has neither of SUFFIXES, or when its directory does not exist."""
    for file in files:
        if file.suffix not in SUFFIXES:
            raise PlanError(
                f"{file} is the name of neither a percentile listing nor an interval log",
                hint="name it .hgrm or .hlog",
            )
        if not is_directory(file.parent):
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


def times_of(judged: Judged[Any, Any]) -> list[tuple[Curve, Times]]:
    """The response times of the judged windows, as the report has them, of each curve.

    Raises OutputError when the record holds none.
    """
    parts = [part for part in parts_of(judged) if part.record.has_snapshots]
    curves = [
        (curve, _added_up(judged.result, [part for part in parts if part.name in curve.records]))
        for curve in curves_of(judged.result)
    ]
    found = [(curve, times) for curve, times in curves if times.total]
    if not found:
        raise _no_times(judged)
    return found


def _added_up(result: Any, parts: Iterable[Part]) -> Times:
    known, failed, cut = [], [], []
    for part in parts:
        windows_ns, is_http = _windows_ns(result, part), part.record.header.kind == KIND_HTTP
        for second in seconds_of(part.record.measured):
            for (window, _), cell in second.cells.items():
                if window >= 0:
                    times = Times.response_of(cell)
                    known.append(times.known)
                    failed.append(times.failed)
                    cut.append(times.cut)
            cut += _throughout_one(second, windows_ns) if is_http else _throughout(second, windows_ns)
    return Times(Histogram.merge_all(known), Histogram.merge_all(failed), Histogram.merge_all(cut))


def _no_times(judged: Judged[Any, Any]) -> OutputError:
    return OutputError(
        f"the record {judged.path} holds no response times",
        hint="loadgen spec and loadgen http record them; --format csv shows what else was measured",
    )


def _intervals(judged: Judged[Any, Any]) -> list[Interval]:
    records = {name for curve in curves_of(judged.result) for name in curve.records}
    found: list[Interval] = []
    for part in parts_of(judged):
        if part.record.has_snapshots and part.name in records:
            found += _of_part(part, _windows_ns(judged.result, part))
    return found


def _windows_ns(result: Any, part: Part) -> Mapping[int, int]:
    """The length of each window that counts operations which were under way during all of it."""
    if isinstance(result, Find | HeadroomResult | Interleaved | Repeats):
        result = part.record.result()
    if isinstance(result, Sweep):
        result = next(point.result for point in result.points if point.record == part.name)
    if isinstance(result, HttpResult):
        lengths = {0: result.measured_s if result.total.due is not None else 0.0}
    else:
        lengths = {one.index: one.measured_s for one in result.iterations if one.cut is not None}
    return {window: round(length_s * NS_PER_S) for window, length_s in lengths.items() if length_s}


def _of_part(part: Part, windows_ns: Mapping[int, int]) -> Iterator[Interval]:
    is_http = part.record.header.kind == KIND_HTTP
    for second in seconds_of(part.record.measured):
        judged = [cell for (window, _), cell in second.cells.items() if window >= 0]
        times = [one for cell in judged for one in (cell.response, cell.response_failed, cell.response_cut)]
        times += _throughout_one(second, windows_ns) if is_http else _throughout(second, windows_ns)
        whole = Histogram.merge_all(times)
        if whole.total:
            yield Interval(part.start_s + second.interval * INTERVAL_S, INTERVAL_S, whole, part.name)


def _throughout_one(second: Second, windows_ns: Mapping[int, int]) -> Iterator[Histogram]:
    """The waits of the operations that were under way during all of the only window without being in its cells."""
    for (window, _), cell in second.cells.items():
        if window < 0 and 0 in windows_ns:
            yield cell.response_cut.since(windows_ns[0])


def _throughout(second: Second, windows_ns: Mapping[int, int]) -> Iterator[Histogram]:
    """The same of one of several windows: see :func:`loadgen.verdict.fates.with_those_throughout`."""
    for window, length_ns in windows_ns.items():
        own = sum(cell.cut for (at, _), cell in second.cells.items() if at == window)
        yield Histogram.of(np.full(max(0, second.cut.get(window, 0) - own), length_ns))
