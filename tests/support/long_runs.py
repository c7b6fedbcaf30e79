"""A constructed `loadgen spec` run of any length and number of VMs, in which one VM is slow and fails for a while."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from coordinator.record.header import Header
from loadgen.measure.cells import CellTable
from loadgen.measure.histogram import bucket_of
from loadgen.measure.histograms import Histograms
from loadgen.measure.snapshot import Health, Snapshot
from loadgen.measure.tally import TALLY_DTYPE
from loadgen.model.outcome import OUTCOMES, Outcome
from loadgen.model.plan import SpecPlan
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.disturbance import Dependence, Disturbance, Disturbed, Observed
from loadgen.verdict.disturbance_rules import Cause
from loadgen.verdict.result import RunResult, TargetResult
from loadgen.verdict.time_shares import TimeShares
from tests.support.recorded import write_record
from tests.support.results import header, run_result, spans

BAD = 2
"""The index of the VM that is slow: vm3, in the second third of the run."""

_DIFFERENT = 3000  # rows of cells that are made; all others repeat them
_EACH = 24  # operations of a VM in a second
_BAD_TIME = TimeShares(
    service=0.31, pacing=0.42, lateness=0.004, rest=0.05, failed=0.216, unfinished=0, absent=0, idle=0
)


def write_long(directory: Path, vms: int = 12, length_s: int = 90, *, engines: int = 2) -> None:
    """Write the record of such a run: it does not conform, because of one VM."""
    write_record(directory, long_header(vms), long_result(vms, length_s), snapshots(vms, length_s, engines))


def long_header(vms: int) -> Header[SpecPlan]:
    return header(vms)


def bad_span(length_s: int) -> tuple[int, int]:
    """The first second in which the VM is bad, and the first in which it is well again."""
    return length_s // 3, 2 * length_s // 3


def snapshots(vms: int, length_s: int, engines: int) -> Iterator[Snapshot]:
    """A tenth of the run lies before the measured window."""
    generator = np.random.default_rng(7)
    begin, end = bad_span(length_s)
    made: dict[tuple[int, bool, int], CellTable] = {}  # a run of many VMs takes minutes to make without repetition
    for interval in range(length_s):
        for engine in range(engines):
            window = -1 if interval < length_s // 10 else 0
            bad, number = begin <= interval < end, (interval * engines + engine) % max(2, _DIFFERENT // vms)
            if (window, bad, number) not in made:
                made[window, bad, number] = _cells(generator, vms, window, bad=bad)
            cells = made[window, bad, number]
            health = Health(
                wall_ns=NS_PER_S,
                cpu_ns=int((0.2 + 0.05 * engine) * NS_PER_S),
                runqueue_ns=2 * NS_PER_MS,
                still_ns=0,
                open_fds=50,
                fd_limit=1024,
                sockets_time_wait=0,
                active_connections=20 * vms,
            )
            yield Snapshot(f"local/{engine}", interval, cells, np.zeros(0, TALLY_DTYPE), health)


def _cells(generator: np.random.Generator, vms: int, window: int, *, bad: bool) -> CellTable:
    ok = generator.integers(_EACH - 6, _EACH + 6, vms)
    failed = np.zeros(vms, np.int64)
    scale = np.full(vms, 4.0)
    if bad:
        ok[BAD], failed[BAD], scale[BAD] = 7, 5, 380.0
    times = [generator.gamma(2.0, one, many) for one, many in zip(scale, ok, strict=True)]
    outcomes = np.zeros((vms, OUTCOMES), np.int64)
    outcomes[:, Outcome.OK], outcomes[:, Outcome.TIMED_OUT] = ok, failed
    counts = np.zeros((vms, 1, 1, 3), np.int64)
    counts[:, 0, 0, 0], counts[:, 0, 0, 1] = ok, failed
    sums = np.zeros((vms, 8), np.int64)
    good = np.array([int((one < 600).sum()) for one in times])
    sums[:, 0], sums[:, 1], sums[:, 3] = good, ok, 15_000 * ok
    nothing = np.zeros(0)
    own = [one for mine in times for one in (mine + 0.2, mine, np.full(len(mine), 0.2))]
    bounds = [one for many in failed for one in (np.full(many, 2000.0), nothing, np.full(many, 2000.0), nothing)]
    return CellTable(
        np.full(vms, window + 1),
        np.arange(vms),
        outcomes,
        counts,
        sums,
        _histograms(own),
        _histograms(bounds),
        Histograms.nothing(vms),
    )


def _histograms(rows_ms: list[np.ndarray]) -> Histograms:
    """One histogram per row of milliseconds, without an object for each."""
    sizes, indexes, counts = [0], [], []
    for row in rows_ms:
        buckets, many = np.unique(bucket_of((row * NS_PER_MS).astype(np.int64)), return_counts=True)
        indexes.append(buckets)
        counts.append(many)
        sizes.append(sizes[-1] + len(buckets))
    return Histograms(
        np.array(sizes),
        np.concatenate(indexes).astype(np.int64),
        np.concatenate(counts).astype(np.int64),
        np.array([int(row.max() * NS_PER_MS) if len(row) else 0 for row in rows_ms]),
        np.array([int(row.min() * NS_PER_MS) if len(row) else 0 for row in rows_ms]),
    )


def long_result(vms: int, length_s: int) -> RunResult:
    found = run_result(vms, shorts=(14,) if vms > BAD else (0,))
    begin, end = bad_span(length_s)
    targets = tuple(_bad(row) if at == BAD else row for at, row in enumerate(found.targets))
    iteration = dataclasses.replace(found.iterations[0], targets=targets)
    cause = Cause(what="other processes", value=45.0, limit=10.0, unit="%", where="core 1", who="make (pid 77)")
    span = Disturbed(machine="local", first_s=end + 4, last_s=end + 7, cause=cause)
    disturbance = Disturbance(
        measured_s=length_s - length_s // 10,
        disturbed_s=4,
        left_out_s=5.0,
        machines=(Observed(machine="local", seconds=length_s, disturbed=4),),
        spans=(span,),
        dependence=Dependence.NOT_KNOWN,
    )
    assert begin < end
    return dataclasses.replace(found, iterations=(iteration,), targets=targets, disturbance=disturbance)


def _bad(row: TargetResult) -> TargetResult:
    return dataclasses.replace(
        row,
        errors={"TIMED_OUT": 150},
        time=_BAD_TIME,
        response_ms=spans(p50=11.0, p90=900.0, p99=2000.0, max=2000.0),
    )
