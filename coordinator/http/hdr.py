"""Response times as files for HdrHistogram's tools, from a run's record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from coordinator.record.reader import frames
from loadgen.measure.hdr_log import hgrm, hlog
from loadgen.measure.histogram import Histogram
from loadgen.model.errors import PlanError

SUFFIXES = (".hgrm", ".hlog")


def check_files(files: Sequence[Path]) -> None:
    """Raises PlanError when a file has neither of the two endings, or its directory is missing."""
    for file in files:
        if file.suffix not in SUFFIXES:
            raise PlanError(f"{file} is neither a percentile listing nor a log", hint="name it .hgrm or .hlog")
        if not file.parent.is_dir():
            raise PlanError(f"{file} cannot be written: there is no directory {file.parent}")


def write_files(files: Sequence[Path], record: Path, *, started_at: str) -> list[str]:
    """Write the response times of the measured window of a record; what could not be written, in words."""
    by_interval: defaultdict[int, list[Histogram]] = defaultdict(list)
    newest: dict[tuple[str, int], list[Histogram]] = {}
    for snapshot in frames(record):  # a later snapshot of an interval holds all of an earlier one
        newest[snapshot.worker, snapshot.interval] = [
            cell.response for (window, _), cell in snapshot.cells.items() if window == 0
        ]
    for (_, interval), histograms in newest.items():
        by_interval[interval] += histograms
    intervals = [(float(n), 1.0, Histogram.merge_all(by_interval[n])) for n in sorted(by_interval)]
    problems = []
    for file in files:
        if file.suffix == ".hgrm":
            text = hgrm(Histogram.merge_all(part for _, _, part in intervals))
        else:
            text = "".join(hlog((one for one in intervals if one[2].total), start_s=_epoch_s(started_at)))
        try:
            file.write_text(text, encoding="ascii")
        except OSError as error:
            problems.append(f"{file} cannot be written: {error.strerror}")
    return problems


def _epoch_s(started_at: str) -> float:
    return datetime.fromisoformat(started_at).timestamp()
