"""Iterations of known counts: served connections, cells of operations by class, and the judged result."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from loadgen.measure.cells import Cell
from loadgen.measure.histogram import Histogram
from loadgen.measure.ledger import Totals
from loadgen.model.bound import Bound
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.iteration import judge_iteration
from loadgen.verdict.result import Check, IterationResult
from tests.support.evidence import asked, rows

FLOOR = Bound.rate(320_000)
TIMES = Bound.time(2 * NS_PER_S, 4 * NS_PER_S)
WINDOW_NS = 20 * NS_PER_S


def served(connection: int, kbit_per_s: float, *, ok: int = 66, bad: int = 0, cut: int = 0) -> dict[str, int]:
    """A connection that was busy for 20 s at that rate."""
    size = round(kbit_per_s * 1000 * 20 / 8)
    counts = {"connection": connection, "ok": ok, "bad": bad, "cut": cut, "good": ok, "tolerable": ok}
    return {**counts, "bytes": size, "busy_ns": WINDOW_NS, "service_ns": WINDOW_NS}


def cell(
    by_class: tuple[int, int, int, int], *, bad: tuple[int, int, int, int] = (0, 0, 0, 0), cut: int = 0, **more: int
) -> Cell:
    """Return operations by class; cut operations are of class 3."""
    made = Cell.empty(4, 1)
    made.counts[:, 0, 0], made.counts[:, 0, 1], made.counts[3, 0, 2] = by_class, bad, cut
    made.outcomes[Outcome.OK], made.outcomes[Outcome.CUT] = sum(by_class), cut
    made.outcomes[Outcome.BAD_LENGTH] = sum(bad)
    times = Histogram.of(np.arange(1, sum(by_class) + 1) * NS_PER_MS)
    given: dict[str, Any] = {"good": sum(by_class), "tolerable": sum(by_class), "bytes": 1000, "connects": 1, **more}
    return dataclasses.replace(made, **given, response=times, service=times, lateness=times)


def iteration(
    cells: dict[int, Cell], found: list[dict[str, int]], *, vms: int = 1, each: int = 20, bound: Bound = FLOOR
) -> IterationResult:
    totals = Totals({(0, target): one for target, one in cells.items()}, rows(*found), {})
    return judge_iteration(0, totals, asked(vms, each, bound), measured_ns=WINDOW_NS)


def check(result: IterationResult, name: str) -> Check:
    return next(c for c in result.checks if c.name == name)


MIX = (3500, 5000, 1400, 100)
FINE = [served(i, 390) for i in range(20)]
