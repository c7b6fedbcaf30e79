"""The latencies of `loadgen isolate` as CSV: one row for each hog and service of the quiet VM."""

from __future__ import annotations

import csv
from typing import TextIO

from coordinator.output.judged import Judged
from loadgen.model.isolate import IsolatePlan
from loadgen.verdict.isolate_result import IsolateResult, Latency

PHASE_COLUMNS = ("hog", "service", "probes", "lost_probes", "p50_ms", "p95_ms", "p99_ms", "max_ms", "below_1ms_share")
"""The columns of an isolation run."""


def write_phases(judged: Judged[IsolatePlan, IsolateResult], stream: TextIO) -> None:
    """Write the header line and the rows; times are lower bounds where probes were lost."""
    writer = csv.DictWriter(stream, PHASE_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in judged.result.rows:
        for service, latency in (("game", row.game), ("echo", row.echo)):
            if latency is not None:
                writer.writerow({"hog": row.hog.value, "service": service, **_cells(latency)})


def _cells(latency: Latency) -> dict[str, object]:
    spans = {"p50_ms": latency.p50, "p95_ms": latency.p95, "p99_ms": latency.p99, "max_ms": latency.max}
    times = {name: f"{span.low:.6f}" if span else "" for name, span in spans.items()}
    share = "" if latency.below_1ms is None else f"{latency.below_1ms:.6f}"
    return {"probes": latency.sent, "lost_probes": latency.lost, **times, "below_1ms_share": share}
