"""The numbers of each experiment that stand beside the paper's.  A result that may not be trusted gives none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from coordinator.record.find_result import Find
from coordinator.record.sweep_result import Sweep
from loadgen.model.paper import Experiment
from loadgen.model.probe import Direction
from loadgen.model.units import counted, format_window
from loadgen.verdict.capacity import Found
from loadgen.verdict.isolate_result import IsolateResult
from loadgen.verdict.network_result import ForwardResult, ForwardRow, IperfResult
from loadgen.verdict.pack_result import PackResult
from loadgen.verdict.paper import Ours
from loadgen.verdict.relative_result import RelativeResult, RelativeRow
from loadgen.verdict.result import Verdict

_MIB = 1 << 20
_MICRO = ("fork and exit", "fork and exec", "mmap of 8 MB", "page fault", "switch 2p/0K", "switch 16p/64K")
"""The rows of the micro-benchmarks in which the paper's systems differ."""


def ours_of(experiment: Experiment, result: Any) -> tuple[Ours, ...]:
    """The numbers of a result; () for one that is INVALID, or that the user stopped."""
    if result.verdict is Verdict.INTERRUPTED:
        return ()
    if not isinstance(result, Sweep) and result.verdict is Verdict.INVALID:  # a sweep has a verdict for each point
        return ()
    return tuple(_READERS[experiment](result))


def _spec(result: Sweep) -> Iterator[Ours]:
    """Conforming connections by number of VMs; a point that is INVALID has none."""
    for point in result.points:
        run, vms = point.result, counted(point.vms, "VM")
        what = f"{vms}: conforming connections"
        if not run.has_score or run.conforming_connections is None:
            yield Ours(key=vms, what=what)
            continue
        yield Ours(key=vms, what=what, value=run.conforming_connections, of=run.requested_connections)
        ratio = run.fairness.slowest_over_fastest if run.fairness else None
        if ratio is not None:
            yield Ours(key=f"fair {point.vms}", what=f"{vms}: rate, slowest / fastest VM", value=ratio)


def _capacity(result: Find) -> Iterator[Ours]:
    capacity = result.capacity
    if capacity.value:
        yield Ours(
            key="capacity",
            what="1 VM: conforming connections",
            value=capacity.value,
            low=capacity.low or None,
            high=capacity.high or None,
            at_least=capacity.found in (Found.AT_LEAST, Found.OPEN) and not capacity.disagree,
        )


def _tcp(result: ForwardResult | IperfResult) -> Iterator[Ours]:
    """Rates by window: of the direct path through a lab, or of both directions with a peer."""
    if isinstance(result, ForwardResult):
        for row in _single(result):
            window = format_window(row.window_bytes)
            yield Ours(
                key=window,
                what=f"window {window}",
                value=row.mbit_per_s,
                low=row.min_mbit_per_s,
                high=row.max_mbit_per_s,
                at_least=row.limited_by_end,
            )
        return
    for one in result.rows:
        for rate in one.rates:
            cell = f"{rate.direction.value} {format_window(one.window_bytes)}"
            yield Ours(
                key=cell,
                what=cell if one.direction is not Direction.BIDIR else f"bidir {cell}",
                value=rate.mbit_per_s,
                low=rate.min_mbit_per_s,
                high=rate.max_mbit_per_s,
                at_least=one.limited_here,
            )


def _forward(result: ForwardResult) -> Iterator[Ours]:
    for row in _single(result):
        cell = f"{row.mode.value} {format_window(row.window_bytes)}"
        yield Ours(
            key=cell,
            what=cell,
            value=row.mbit_per_s,
            low=row.min_mbit_per_s,
            high=row.max_mbit_per_s,
            at_least=row.limited_by_end,
        )


def _single(result: ForwardResult) -> Iterator[ForwardRow]:
    """The rows with one flow, as the paper has them."""
    return (row for row in result.rows if row.flows == 1)


def _pack(result: PackResult) -> Iterator[Ours]:
    if result.packed < 0:
        return
    yield Ours(key="packed", what="VMs that answered at once", value=result.packed)
    if result.curve:
        last = result.curve[-1]
        for key, what, size_bytes in (
            ("memory", "memory per VM (PSS), MiB", last.pss_bytes),
            ("available", "available memory per VM, MiB", last.available_bytes),
            ("disk", "disk per VM, MiB", last.disk_bytes),
        ):
            if size_bytes >= 0:
                yield Ours(key=key, what=what, value=size_bytes / _MIB)
    if result.starts_per_s >= 0:
        yield Ours(key="start", what="VMs started per second", value=result.starts_per_s)


def _isolate(result: IsolateResult) -> Iterator[Ours]:
    for row in result.rows:
        latency = row.game
        if latency is None or latency.p50 is None or row.failed:
            continue
        name = "idle" if row.hog.value == "none" else row.hog.value
        yield Ours(
            key=f"{name} p50",
            what=f"{name}: p50, ms",
            value=latency.p50.low,
            at_least=latency.p50.high is None,
        )
        if latency.below_1ms is not None:
            yield Ours(key=f"{name} below", what=f"{name}: below 1 ms, %", value=100 * latency.below_1ms)


def _relative(result: RelativeResult) -> Iterator[Ours]:
    for row in _others(result):
        if row.relative is not None:
            yield Ours(
                key=f"relative {row.environment}",
                what=f"{row.environment}, {row.metric}: times as good",
                value=row.relative,
                low=row.relative_low,
                high=row.relative_high,
            )


def _micro(result: RelativeResult) -> Iterator[Ours]:
    for row in _others(result):
        if row.metric in _MICRO and row.relative:
            low, high = row.relative_high, row.relative_low  # as slow is the inverse of as good
            yield Ours(
                key=row.metric,
                what=f"{row.environment}, {row.metric}",
                value=1 / row.relative,
                low=1 / low if low else None,
                high=1 / high if high else None,
            )


def _postgresql(result: RelativeResult) -> Iterator[Ours]:
    for row in result.rows:
        yield Ours(
            key=f"transactions {row.environment}",
            what=f"{row.environment}: {row.metric}, {row.unit} in each VM",
            value=row.mean,
            low=row.vm_low,
            high=row.vm_high,
        )
    yield from _relative(result)


def _others(result: RelativeResult) -> Iterator[RelativeRow]:
    """The rows of all environments but the first, with which they are compared."""
    first = result.rows[0].environment if result.rows else ""
    return (row for row in result.rows if row.environment != first)


_READERS: Mapping[Experiment, Callable[[Any], Iterator[Ours]]] = {
    Experiment.SPEC: _spec,
    Experiment.SPEC_OCI: _spec,
    Experiment.CAPACITY: _capacity,
    Experiment.TCP: _tcp,
    Experiment.FORWARD: _forward,
    Experiment.PACK: _pack,
    Experiment.ISOLATE: _isolate,
    Experiment.DBENCH: _relative,
    Experiment.COMPILE: _relative,
    Experiment.MICRO: _micro,
    Experiment.POSTGRESQL: _postgresql,
}
