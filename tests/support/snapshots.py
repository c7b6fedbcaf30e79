"""Constructed snapshots of engines, with known counts and histograms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cells import Cell
from loadgen.measure.histogram import Histogram
from loadgen.measure.snapshot import Health, Snapshot
from loadgen.measure.tally import TALLY_DTYPE
from loadgen.model.outcome import OUTCOMES, Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S

KINDS, GROUPS = 4, 5


def cell(ok: int, bad: int = 0, *, received: int = 1_000_000, response_ms: int = 20, late_ms: int = 1) -> Cell:
    outcomes = np.zeros(OUTCOMES, np.int64)
    outcomes[Outcome.OK], outcomes[Outcome.BAD_STATUS] = ok, bad
    counts = np.zeros((KINDS, GROUPS, 3), np.int64)
    counts[0, 0, :2] = ok, bad
    return Cell(
        outcomes=outcomes,
        counts=counts,
        good=ok,
        tolerable=ok,
        overdue=0,
        bytes=received,
        connects=1,
        response=Histogram.of(np.full(ok, response_ms * NS_PER_MS)),
        service=Histogram.of(np.full(ok, response_ms * NS_PER_MS)),
        lateness=Histogram.of(np.full(ok + bad, late_ms * NS_PER_MS)),
    )


def tallies(*rows: dict[str, int]) -> NDArray[np.void]:
    """Return rows of TALLY_DTYPE from columns by field; missing fields are 0."""
    table = np.zeros(len(rows), TALLY_DTYPE)
    for at, row in enumerate(rows):
        for name, value in row.items():
            table[name][at] = value
    return table


def tally(window: int, connection: int, *, ok: int = 5, bad: int = 0, kbit_per_s: int = 390) -> dict[str, int]:
    """Return the tally of one second of operations at this rate."""
    return {
        "window": window,
        "connection": connection,
        "ok": ok,
        "bad": bad,
        "good": ok,
        "tolerable": ok,
        "bytes": kbit_per_s * 125 if ok else 0,
        "busy_ns": NS_PER_S if ok else 0,
        "service_ns": NS_PER_S if ok else 0,
        "failed_ns": 0 if ok else NS_PER_S,
    }


def snapshot(
    worker: str,
    interval: int,
    cells: dict[tuple[int, int], Cell] | None = None,
    rows: tuple[dict[str, int], ...] = (tally(0, 0),),
    *,
    runqueue_ns: int = 2 * NS_PER_MS,
) -> Snapshot:
    return Snapshot(
        worker=worker,
        interval=interval,
        cells={(0, 0): cell(5)} if cells is None else cells,
        tallies=tallies(*rows),
        health=Health(
            wall_ns=NS_PER_S,
            cpu_ns=NS_PER_S // 4,
            runqueue_ns=runqueue_ns,
            still_ns=0,
            open_fds=50,
            fd_limit=1024,
            sockets_time_wait=3,
            active_connections=20,
        ),
    )
