"""The metrics of a run in progress: their names, units and meaning, and how each is read off a live view.

`--metrics` (Prometheus) and `--otlp` (OpenTelemetry) export what :func:`samples_of` gives for the newest live view, so
both say the same as the terminal.  docs/exports.md and docs/metrics.md are generated from METRICS.  A view holds the
rates of the newest complete second, not sums since the start, which coordinator.output.live_counters adds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import singledispatch

from coordinator.output.terminal.http_view import HttpTargetRow, HttpView
from coordinator.output.terminal.isolate_live import IsolateProgress
from coordinator.output.terminal.pack_live import PackProgress
from coordinator.output.terminal.progress import Progress
from coordinator.output.terminal.relative_live import RelativeProgress
from coordinator.output.terminal.runview import EngineRow, MachineRow, Position, RunView, TargetRow
from loadgen.measure.throughput import Tick
from loadgen.model.probe import Kind
from loadgen.model.units import NS_PER_S
from loadgen.verdict.span import Span

_MS_PER_S = 1000
_BYTES_PER_MBIT = 125_000

_SUFFIXES = {"s": "_seconds", "By": "_bytes", "By/s": "_bytes_per_second", "1": "_ratio"}
"""What Prometheus adds to a name, by unit.  Units in braces count things, which the name has already."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One exported metric.

    `name` is its name for OpenTelemetry, without the prefix `loadgen.`; `unit` is a unit of UCUM; `labels` are the
    labels (attributes) of its samples.
    """

    name: str
    unit: str
    meaning: str
    labels: tuple[str, ...] = ()

    @property
    def otlp(self) -> str:
        """The name for OpenTelemetry, such as `loadgen.target.operations`."""
        return f"loadgen.{self.name}"

    @property
    def prometheus(self) -> str:
        """The name for Prometheus, as OpenTelemetry translates it: `loadgen_target_operations_per_second`."""
        suffix = _SUFFIXES.get(self.unit, "_per_second" if self.unit.endswith("/s") else "")
        return f"loadgen_{self.name.replace('.', '_')}{suffix}"


@dataclass(frozen=True, slots=True)
class Sample:
    """The value of a metric at one moment; `labels` has a value for each of the metric's labels."""

    metric: Metric
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


_BOUNDED = ("quantile", "bound")
_TIMES = "`bound` is `low` or `high`: failed and cut operations are lower bounds; without an upper bound, `high` is inf"

PHASE = Metric("run.phase", "", "1 for the phase that the run is in", ("phase",))
ITERATION = Metric("run.iteration", "{iteration}", "Iteration that is played, counted from 0; -1 before the first")
ELAPSED = Metric("run.elapsed", "s", "Time since the start of the run")
LENGTH = Metric("run.length", "s", "Length of the run by its plan")
INTERVAL = Metric("run.interval", "{second}", "Newest second of the run that all engines have reported; -1 before it")
RUN_CONNECTIONS = Metric("run.connections", "{connection}", "Connections to all targets")
RUN_CONFORMING = Metric("run.conforming", "{connection}", "Connections that conform so far in this iteration")
RUN_OPERATIONS = Metric("run.operations", "{operation}/s", "Operations that ended well, over all targets")
RUN_RECEIVED = Metric("run.received", "By/s", "Bytes received from all targets")
RUN_RESPONSE = Metric("run.response", "s", f"Response time, due to done, over all targets; {_TIMES}", _BOUNDED)
RUN_ERRORS = Metric("run.errors", "{operation}", "Failed operations of this iteration, over all targets")
RUN_SHED = Metric("run.shed", "{operation}", "Requests that were due but had no free connection, over all targets")
RUN_REPLIES = Metric("run.replies", "{reply}", "Replies of the measured window by status code", ("status",))
TARGET_CONNECTIONS = Metric("target.connections", "{connection}", "Connections to this VM or server", ("target",))
TARGET_CONFORMING = Metric("target.conforming", "{connection}", "Of them, those that conform so far", ("target",))
TARGET_OPERATIONS = Metric("target.operations", "{operation}/s", "Operations that ended well", ("target",))
TARGET_RECEIVED = Metric("target.received", "By/s", "Bytes received", ("target",))
TARGET_RESPONSE = Metric("target.response", "s", f"Response time, due to done; {_TIMES}", ("target", *_BOUNDED))
TARGET_ERRORS = Metric("target.errors", "{operation}", "Failed operations of this iteration", ("target",))
TARGET_SHED = Metric("target.shed", "{operation}", "Requests that were due but had no free connection", ("target",))
ENGINE_CONNECTIONS = Metric("engine.connections", "{connection}", "Connections that the engine plays", ("engine",))
ENGINE_CPU = Metric("engine.cpu", "1", "Share of one core that the engine used", ("engine",))
ENGINE_RUNQUEUE = Metric("engine.runqueue", "1", "Share of the time that the engine waited for a core", ("engine",))
ENGINE_LATENESS = Metric("engine.lateness", "s", "How late the engine sent, 99th percentile", ("engine",))
MACHINE_ENGINES = Metric("machine.engines", "{engine}", "Engines of the load machine that are not lost", ("machine",))
MACHINE_FAILING = Metric("machine.failing", "", "1 when something is wrong with the load machine, else 0", ("machine",))
MACHINE_CPU = Metric("machine.cpu", "1", "Share of all cores of the load machine that is used", ("machine",))
MACHINE_LATENESS = Metric("machine.lateness", "s", "Lateness of its worst engine, 99th percentile", ("machine",))
MACHINE_OFFSET = Metric("machine.clock.offset", "s", "Its clock less that of the coordinator", ("machine",))
MACHINE_OFFSET_ERROR = Metric("machine.clock.error", "s", "How wrong this offset can be", ("machine",))
MACHINE_SEEN = Metric("machine.seen", "s", "Time since its last report", ("machine",))
TEST_STEP = Metric("test.step", "{test}", "Number of the test that runs, from 1; 0 before the first")
TEST_STEPS = Metric("test.steps", "{test}", "Tests of the run")
TEST_SENT = Metric("test.sent", "By/s", "Bytes that this end sent in the newest interval of the test", ("test",))
TEST_RECEIVED = Metric("test.received", "By/s", "Bytes that arrived at this end in the same interval", ("test",))
TEST_TRANSACTIONS = Metric("test.transactions", "{transaction}/s", "Request/response pairs that ended", ("test",))
TEST_RETRANSMITS = Metric("test.retransmits", "{segment}", "TCP segments sent again in this interval", ("test",))
TEST_RTT = Metric("test.rtt", "s", "Mean round-trip time of the streams that this end sends", ("test",))
TEST_PACKETS = Metric("test.packets", "{packet}", "Datagrams sent to the receiver in this interval", ("test",))
TEST_LOST = Metric("test.lost", "{packet}", "Of these, datagrams that did not arrive", ("test",))
PACK_VMS = Metric("pack.vms", "{vm}", "VMs that run")
PACK_WANTED = Metric("pack.wanted", "{vm}", "VMs that are wanted; 0 for as many as fit")
PACK_PSS = Metric("pack.pss", "By", "PSS of the processes of all VMs")
PACK_FREE = Metric("pack.free", "By", "Available memory of this machine")
PACK_KEPT = Metric("pack.kept", "By", "Memory that is kept free")
ISOLATE_DONE = Metric("isolate.done", "{phase}", "Phases that are over, one for each hog")
ISOLATE_PLANNED = Metric("isolate.planned", "{phase}", "Phases of the run")
ISOLATE_LATENCY = Metric(
    "isolate.latency", "s", "99th percentile of answered probes in a phase that is over", ("hog", "service")
)
RELATIVE_ROUND = Metric("relative.round", "{round}", "Round that runs, from 1")
RELATIVE_ROUNDS = Metric("relative.rounds", "{round}", "Rounds of the comparison")
RELATIVE_WALL = Metric(
    "relative.wall", "s", "Wall time of the command in a trial of this round that is over", ("environment", "vm")
)

METRICS: tuple[Metric, ...] = tuple(one for one in list(globals().values()) if isinstance(one, Metric))
"""All metrics, in the order of their definition."""


@singledispatch
def samples_of(view: object) -> Iterator[Sample]:
    """The samples of a live view (what :class:`coordinator.output.terminal.live.View` is updated with).

    A number that is not known has no sample.  Raises TypeError for a value that is no live view.
    """
    raise TypeError(f"{type(view).__name__} is no live view")


@samples_of.register
def _of_spec(view: RunView) -> Iterator[Sample]:
    yield from _position(view)
    yield Sample(INTERVAL, view.interval)
    if view.interval >= 0:
        yield from _known(RUN_CONFORMING, view.totals.conforming)
        yield from _totals(view.totals, view.totals.ops_per_s)
        for row in view.targets:
            yield from _known(TARGET_CONFORMING, row.conforming, target=row.name)
            yield from _target(row, row.ops_per_s)
    yield Sample(RUN_CONNECTIONS, view.totals.requested)
    for row in view.targets:
        yield Sample(TARGET_CONNECTIONS, row.requested, {"target": row.name})
    yield from _generator(view.engines, view.machines)


@samples_of.register
def _of_http(view: HttpView) -> Iterator[Sample]:
    yield from _position(view.position)
    yield Sample(INTERVAL, view.interval)
    if view.interval >= 0:
        yield from _totals(view.total, view.total.per_s)
        yield from _response(RUN_RESPONSE, "1", view.total.max_ms, {})
        yield Sample(RUN_SHED, view.total.shed)
        for code, number in view.statuses.items():
            yield Sample(RUN_REPLIES, number, {"status": str(code)})
        for row in view.targets:
            yield from _target(row, row.per_s)
            yield from _response(TARGET_RESPONSE, "1", row.max_ms, {"target": row.name})
            yield Sample(TARGET_SHED, row.shed, {"target": row.name})
    yield Sample(RUN_CONNECTIONS, view.total.connections)
    for row in view.targets:
        yield Sample(TARGET_CONNECTIONS, row.connections, {"target": row.name})
    yield from _generator(view.engines, view.machines)


@samples_of.register
def _of_network(view: Progress) -> Iterator[Sample]:
    yield Sample(ELAPSED, view.elapsed_s)
    yield Sample(LENGTH, view.total_s)
    yield Sample(TEST_STEP, view.step)
    yield Sample(TEST_STEPS, view.steps)
    if view.ticks:
        yield from _tick(view.ticks[-1], view.kind, view.label)


@samples_of.register
def _of_pack(view: PackProgress) -> Iterator[Sample]:
    yield Sample(PHASE, 1, {"phase": view.doing})
    yield Sample(PACK_VMS, view.vms)
    yield Sample(PACK_WANTED, view.wanted)
    for metric, size_bytes in ((PACK_PSS, view.pss_bytes), (PACK_FREE, view.free_bytes), (PACK_KEPT, view.kept_bytes)):
        yield from _known(metric, None if size_bytes < 0 else size_bytes)


@samples_of.register
def _of_isolate(view: IsolateProgress) -> Iterator[Sample]:
    yield Sample(PHASE, 1, {"phase": f"{view.hog}: {view.doing}"})
    yield Sample(ISOLATE_DONE, len(view.phases))
    yield Sample(ISOLATE_PLANNED, view.planned)
    for phase in view.phases:
        for service, probed in (("game", phase.game), ("echo", phase.echo)):
            p99_ns = probed.answered.percentile_ns(99) if probed and not phase.failed else None
            if p99_ns is not None:
                yield Sample(ISOLATE_LATENCY, p99_ns / NS_PER_S, {"hog": phase.hog.value, "service": service})


@samples_of.register
def _of_relative(view: RelativeProgress) -> Iterator[Sample]:
    yield Sample(PHASE, 1, {"phase": f"{view.environment}: {view.doing}"})
    yield Sample(RELATIVE_ROUND, view.round)
    yield Sample(RELATIVE_ROUNDS, view.rounds)
    for trial in view.done:
        for copy in trial.copies:
            yield Sample(RELATIVE_WALL, copy.wall_ns / NS_PER_S, {"environment": trial.environment, "vm": copy.vm})


def _position(at: RunView | Position) -> Iterator[Sample]:
    yield Sample(PHASE, 1, {"phase": at.phase})
    yield Sample(ITERATION, at.iteration)
    yield Sample(ELAPSED, at.elapsed_s)
    yield Sample(LENGTH, at.total_s)


def _totals(row: TargetRow | HttpTargetRow, per_s: float) -> Iterator[Sample]:
    yield Sample(RUN_OPERATIONS, per_s)
    yield Sample(RUN_RECEIVED, row.mbit_per_s * _BYTES_PER_MBIT)
    yield Sample(RUN_ERRORS, row.errors)
    yield from _response(RUN_RESPONSE, "0.5", row.p50_ms, {})
    yield from _response(RUN_RESPONSE, "0.99", row.p99_ms, {})


def _target(row: TargetRow | HttpTargetRow, per_s: float) -> Iterator[Sample]:
    own = {"target": row.name}
    yield Sample(TARGET_OPERATIONS, per_s, own)
    yield Sample(TARGET_RECEIVED, row.mbit_per_s * _BYTES_PER_MBIT, own)
    yield Sample(TARGET_ERRORS, row.errors, own)
    yield from _response(TARGET_RESPONSE, "0.5", row.p50_ms, own)
    yield from _response(TARGET_RESPONSE, "0.99", row.p99_ms, own)


def _response(metric: Metric, quantile: str, span: Span | None, own: Mapping[str, str]) -> Iterator[Sample]:
    if span is None:
        return
    high_ms = float("inf") if span.high is None else span.high
    yield Sample(metric, span.low / _MS_PER_S, {**own, "quantile": quantile, "bound": "low"})
    yield Sample(metric, high_ms / _MS_PER_S, {**own, "quantile": quantile, "bound": "high"})


def _generator(engines: tuple[EngineRow, ...], machines: tuple[MachineRow, ...]) -> Iterator[Sample]:
    for engine in engines:
        yield Sample(ENGINE_CONNECTIONS, engine.connections, {"engine": engine.worker})
        yield Sample(ENGINE_CPU, engine.cpu_share, {"engine": engine.worker})
        yield from _known(ENGINE_RUNQUEUE, engine.runqueue_share, engine=engine.worker)
        yield from _known(ENGINE_LATENESS, _seconds(engine.lateness_p99_ms), engine=engine.worker)
    for machine in machines:
        yield Sample(MACHINE_ENGINES, machine.engines, {"machine": machine.name})
        yield Sample(MACHINE_FAILING, int(machine.failing), {"machine": machine.name})
        yield from _known(MACHINE_CPU, machine.cpu_share, machine=machine.name)
        yield from _known(MACHINE_LATENESS, _seconds(machine.lateness_p99_ms), machine=machine.name)
        yield Sample(MACHINE_OFFSET, machine.offset_ms / _MS_PER_S, {"machine": machine.name})
        yield Sample(MACHINE_OFFSET_ERROR, machine.offset_error_ms / _MS_PER_S, {"machine": machine.name})
        yield Sample(MACHINE_SEEN, machine.seen_ago_s, {"machine": machine.name})


def _tick(tick: Tick, kind: Kind, label: str) -> Iterator[Sample]:
    length_s = (tick.end_ns - tick.start_ns) / NS_PER_S
    if length_s <= 0:
        return
    own = {"test": label}
    if kind is not Kind.STREAM:  # a tick of request/response counts transactions, one byte there and one back
        yield Sample(TEST_TRANSACTIONS, tick.received_bytes / length_s, own)
        return
    yield Sample(TEST_SENT, tick.sent_bytes / length_s, own)
    yield Sample(TEST_RECEIVED, tick.received_bytes / length_s, own)
    for metric, value in ((TEST_RETRANSMITS, tick.retransmits), (TEST_PACKETS, tick.packets), (TEST_LOST, tick.lost)):
        yield from _known(metric, None if value < 0 else value, test=label)
    yield from _known(TEST_RTT, None if tick.rtt_ns < 0 else tick.rtt_ns / NS_PER_S, test=label)


def _known(metric: Metric, value: float | None, **labels: str) -> Iterator[Sample]:
    if value is not None:
        yield Sample(metric, value, labels)


def _seconds(value_ms: float | None) -> float | None:
    return None if value_ms is None else value_ms / _MS_PER_S
