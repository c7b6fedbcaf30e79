"""What the load machines' kernels saw of TCP connections as CSV: one row for each target and second, and
for each target and measured window.

docs/output.md describes the columns.  An empty cell says that the number is not known.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

import numpy as np

from coordinator.output.csv_cells import millis, name_of
from coordinator.output.judged import Judged
from coordinator.output.measured import INTERVAL_S, Part, parts_of
from coordinator.output.streams import OutputError
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.tcp_view import COUNTERS, TcpView, is_known
from loadgen.verdict.http_result import HttpResult
from loadgen.verdict.result import RunResult
from loadgen.verdict.tcp_result import TcpRow

_TIMES = {name: name.replace("_us", "_ms") for name in COUNTERS if name.endswith("_us")}

TCP_COLUMNS = (
    "run",
    "interval_start_s",
    "iteration",
    "target",
    "looks",
    "skipped",
    *(_TIMES.get(name, name) for name in COUNTERS),
    "rtt_min_ms",
    "rtt_p50_ms",
    "rtt_p99_ms",
    "connections",
    "lossy_connections",
    "non_conforming",
    "non_conforming_retransmits",
    "non_conforming_out_of_order",
    "non_conforming_waited",
    "non_conforming_failed",
)


def write_tcp(judged: Judged[Any, Any], stream: TextIO) -> None:
    """Write the header line and the rows.

    Raises OutputError when no TCP connection was seen, RecordError when the record of a sweep's point cannot be read.
    """
    parts = [part for part in parts_of(judged) if part.record.has_snapshots]
    rows = [row for part in parts for row in _rows(part, _result(part) if part.name else judged.result)]
    if not rows:
        raise OutputError(
            f"the record {judged.path} does not say what the kernel saw of TCP connections",
            hint="loadgen spec and loadgen http record it; --format csv shows what else was measured",
        )
    writer = csv.DictWriter(stream, TCP_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _rows(part: Part, result: Any) -> Iterator[Mapping[str, object]]:
    """The rows of each second, then those of the whole windows in `result`, whose start is empty."""
    names = [target.name for target in part.record.header.targets]
    newest: dict[tuple[int, str], Snapshot] = {}
    for snapshot in part.record.measured:  # a later snapshot of an interval holds all of an earlier one
        newest[snapshot.interval, snapshot.worker] = snapshot
    by_interval: defaultdict[int, list[TcpView]] = defaultdict(list)
    for (interval, _), snapshot in newest.items():
        by_interval[interval].append(snapshot.tcp)
    for interval in sorted(by_interval):
        view = TcpView.merge_all(by_interval[interval])
        for row, rtt in zip(view.paths, view.rtt, strict=True):
            window, target = int(row["window"]), int(row["target"])
            yield {
                "run": part.name,
                "interval_start_s": f"{part.start_s + interval * INTERVAL_S:g}",
                "iteration": "" if window < 0 else window,
                "target": name_of(names, target),
                "looks": int(row["looks"]),
                "skipped": int(row["skipped"]),
                **_counted(row),
                "rtt_min_ms": millis(rtt.min_ns if rtt.total else None),
                "rtt_p50_ms": millis(rtt.percentile_ns(50)),
                "rtt_p99_ms": millis(rtt.percentile_ns(99)),
            }
    for window, targets in _windows(result):
        for one in targets:
            if one.tcp is not None:
                yield {"run": part.name, "iteration": window, "target": one.name, **_of_window(one.tcp)}


def _result(part: Part) -> Any:
    return part.record.result() if part.record.finished else None


def _windows(result: Any) -> Iterator[tuple[int, Sequence[Any]]]:
    """The targets of each window of a result."""
    if isinstance(result, RunResult):
        yield from ((one.index, one.targets) for one in result.iterations)
    elif isinstance(result, HttpResult):
        yield 0, result.targets


def _of_window(row: TcpRow) -> dict[str, object]:
    blame = row.not_conforming
    return {
        "looks": row.looks,
        "skipped": row.skipped,
        "retransmits": row.retransmits,
        "out_of_order": _known(row.out_of_order),
        "segments_sent": _known(row.segments_sent),
        "segments_received": _known(row.segments_received),
        "busy_ms": _known(None if row.busy_s is None else f"{1000 * row.busy_s:g}"),
        "rwnd_limited_ms": _part(row.busy_s, row.rwnd_limited),
        "sndbuf_limited_ms": _part(row.busy_s, row.sndbuf_limited),
        "rtt_min_ms": _known(None if row.rtt_min_ms is None else f"{row.rtt_min_ms:.6f}"),
        "rtt_p50_ms": _known(None if row.rtt_p50_ms is None else f"{row.rtt_p50_ms:.6f}"),
        "rtt_p99_ms": _known(None if row.rtt_p99_ms is None else f"{row.rtt_p99_ms:.6f}"),
        "connections": row.connections,
        "lossy_connections": row.lossy,
        "non_conforming": "" if blame is None else blame.connections,
        "non_conforming_retransmits": "" if blame is None else blame.retransmits,
        "non_conforming_out_of_order": "" if blame is None else _known(blame.out_of_order),
        "non_conforming_waited": "" if blame is None else blame.waited,
        "non_conforming_failed": "" if blame is None else blame.failed,
    }


def _part(busy_s: float | None, share: float | None) -> object:
    return "" if busy_s is None else f"{1000 * busy_s * (share or 0.0):g}"


def _counted(row: np.void) -> dict[str, object]:
    made: dict[str, object] = {}
    for name in COUNTERS:
        value = int(row[name])
        told = f"{value / 1000:g}" if name in _TIMES else value
        made[_TIMES.get(name, name)] = told if is_known(name, row) else ""
    return made


def _known(value: object) -> object:
    return "" if value is None else value
