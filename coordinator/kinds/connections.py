"""The connections of a tape run, as its record lists them, from its measurements.  Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coordinator.record.connections import CONNECTION_DTYPE
from coordinator.run.evidence import TapeEvidence, lost_connections
from loadgen.verdict.connection import judge_connections


def connection_rows(run: TapeEvidence) -> NDArray[np.void]:
    """Return the results of each connection in each window, of dtype CONNECTION_DTYPE."""
    measured, asked = run.measured, run.asked
    totals = measured.intake.ledger.totals()
    parts = [np.zeros(0, dtype=CONNECTION_DTYPE)]
    for window in sorted(measured.measured_ns):
        lost = lost_connections(run, window, totals)
        found = judge_connections(totals.window_tallies(window), asked.connections, asked.bound, lost=lost)
        rows = np.zeros(len(found), dtype=CONNECTION_DTYPE)
        for name in ("connection", "ok", "bad", "bytes", "busy_ns", "state"):
            rows[name] = found[name]
        rows["iteration"] = window
        rows["target"] = asked.target_of
        rows["kbit_per_s"] = found["bits_per_s"] / 1000
        lossy = totals.tcp.slots[totals.tcp.slots["window"] == window]
        for name in ("retransmits", "out_of_order"):
            rows[name][lossy["connection"]] = lossy[name]
        parts.append(rows)
    return np.concatenate(parts)
