"""Makes the pictures: one function for each type of live view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.http_view import HttpTargetRow, HttpView
from coordinator.output.terminal.intervals import live_millis
from coordinator.output.terminal.isolate_live import IsolateProgress, phase_words
from coordinator.output.terminal.network_live import per_s_of, rate_of
from coordinator.output.terminal.pack_live import PackProgress
from coordinator.output.terminal.plain import has_rates
from coordinator.output.terminal.progress import Progress
from coordinator.output.terminal.relative_live import RelativeProgress, say_trial
from coordinator.output.terminal.runview import EngineRow, MachineRow, Position, RunView, TargetRow
from coordinator.output.web.picture import Headline, Picture, Plot, Row, Table, Where
from loadgen.measure.throughput import UNKNOWN
from loadgen.model.probe import Kind
from loadgen.model.units import NS_PER_MS, counted
from loadgen.verdict.span import Span

_GIB = 1 << 30


def picture_of(view: Any) -> Picture:
    """The picture of a view; an empty one for a view of an unknown type."""
    draw = _DRAW.get(type(view))
    return draw(view) if draw is not None else Picture(title="", where=Where(phase=""))


def tables_of(view: Any) -> tuple[Table, ...]:
    """The tables of a view.  For many VMs, this takes milliseconds."""
    match view:
        case RunView():
            return (_vms(view), *_generators(view.engines, view.machines))
        case HttpView():
            return (_http_targets(view.targets), *_generators(view.engines, view.machines))
        case Progress():
            rows = tuple(
                Row(cells=(str(number), label, fmt.NOTHING if rate < 0 else fmt.rate(rate)))
                for number, (label, rate) in enumerate(view.finished, start=1)
            )
            return _unless_empty("Finished tests", ("number", "test", "Mbit/s"), rows)
        case IsolateProgress():
            rows = tuple(Row(cells=(one.hog.value, phase_words(one)), bad=bool(one.failed)) for one in view.phases)
            return _unless_empty("Finished phases", ("hog", "measured"), rows)
        case RelativeProgress():
            rows = tuple(Row(cells=(one.environment, say_trial(one))) for one in view.done)
            return _unless_empty("Trials of this round", ("environment", "measured"), rows)
    return ()


def points_of(view: Any) -> tuple[float, ...]:
    """The number of each row of the first table that its line shows (Table.lines)."""
    match view:
        case RunView():
            return tuple(row.ops_per_s for row in view.targets)
        case HttpView():
            return tuple(row.per_s for row in view.targets)
    return ()


def _unless_empty(title: str, columns: tuple[str, ...], rows: tuple[Row, ...]) -> tuple[Table, ...]:
    return (Table(title=title, columns=columns, rows=rows),) if rows else ()


def _spec(view: RunView) -> Picture:
    all_of = view.totals
    measured = has_rates(view.interval, view.phase)
    short = 0 if all_of.conforming is None else all_of.requested - all_of.conforming
    return Picture(
        title=view.title,
        stamp=f"{view.interval} {view.iteration} {view.phase}",
        where=_where(view),
        so_far=_conforming_so_far(all_of),
        headlines=(
            Headline(name="conforming", value=_of(all_of.conforming, all_of.requested), bad=short > 0),
            Headline(name="operations/s", value=fmt.rate(all_of.ops_per_s) if measured else fmt.NOTHING),
            Headline(name="Mbit/s", value=fmt.rate(all_of.mbit_per_s) if measured else fmt.NOTHING),
            Headline(name="p99 ms", value=live_millis(all_of.p99_ms) if measured else fmt.NOTHING),
            Headline(name="errors", value=fmt.count(all_of.errors), bad=all_of.errors > 0),
        ),
        plots=(
            Plot(title="Operations", unit="per second", value=all_of.ops_per_s if measured else None),
            Plot(title="Throughput", unit="Mbit/s", value=all_of.mbit_per_s if measured else None),
            Plot(title="99th percentile of response times", unit="ms", value=_low(all_of.p99_ms) if measured else None),
            Plot(title="Connections that do not conform", unit="connections", value=short if measured else None),
        ),
        notices=view.notices,
    )


def _conforming_so_far(row: TargetRow) -> str:
    if row.conforming is None:
        return ""
    return f"{fmt.count(row.conforming)} of {fmt.count(row.requested)} connections conform in this iteration so far."


def _vms(view: RunView) -> Table:
    return Table(
        title="VMs",
        columns=("VM", "address", "conforming", "operations/s", "Mbit/s", "p50 ms", "p99 ms", "errors"),
        rows=tuple(
            Row(
                cells=(
                    row.name,
                    row.address,
                    _of(row.conforming, row.requested),
                    fmt.rate(row.ops_per_s),
                    fmt.rate(row.mbit_per_s),
                    live_millis(row.p50_ms),
                    live_millis(row.p99_ms),
                    fmt.count(row.errors),
                ),
                bad=row.failing,
            )
            for row in view.targets
        ),
        lines="operations/s",
    )


def _http(view: HttpView) -> Picture:
    at, all_of = view.position, view.total
    measured = has_rates(view.interval, at.phase)
    failed = all_of.errors + all_of.shed
    return Picture(
        title=view.title,
        stamp=f"{view.interval} {at.phase}",
        where=_where(at),
        so_far=f"{counted(failed, 'request')} failed or were shed so far." if failed else "No request failed so far.",
        headlines=(
            Headline(name="requests/s", value=fmt.rate(all_of.per_s) if measured else fmt.NOTHING),
            Headline(name="Mbit/s", value=fmt.rate(all_of.mbit_per_s) if measured else fmt.NOTHING),
            Headline(name="p50 ms", value=live_millis(all_of.p50_ms) if measured else fmt.NOTHING),
            Headline(name="p99 ms", value=live_millis(all_of.p99_ms) if measured else fmt.NOTHING),
            Headline(name="errors", value=fmt.count(all_of.errors), bad=all_of.errors > 0),
            *([Headline(name="shed", value=fmt.count(all_of.shed), bad=True)] if all_of.shed else []),
            *(Headline(name=f"status {code}", value=fmt.count(n)) for code, n in view.statuses.items()),
        ),
        plots=(
            Plot(title="Requests", unit="per second", value=all_of.per_s if measured else None),
            Plot(title="Throughput", unit="Mbit/s", value=all_of.mbit_per_s if measured else None),
            Plot(title="Median of response times", unit="ms", value=_low(all_of.p50_ms) if measured else None),
            Plot(title="99th percentile of response times", unit="ms", value=_low(all_of.p99_ms) if measured else None),
        ),
        notices=view.notices,
    )


def _http_targets(rows: Sequence[HttpTargetRow]) -> Table:
    return Table(
        title="Targets",
        columns=("target", "connections", "requests/s", "Mbit/s", "p50 ms", "p99 ms", "max ms", "errors", "shed"),
        rows=tuple(
            Row(
                cells=(
                    row.name,
                    fmt.count(row.connections),
                    fmt.rate(row.per_s),
                    fmt.rate(row.mbit_per_s),
                    live_millis(row.p50_ms),
                    live_millis(row.p99_ms),
                    live_millis(row.max_ms),
                    fmt.count(row.errors),
                    fmt.count(row.shed),
                ),
                bad=bool(row.errors or row.shed),
            )
            for row in rows
        ),
        lines="requests/s",
    )


def _generators(engines: Sequence[EngineRow], machines: Sequence[MachineRow]) -> tuple[Table, ...]:
    if machines:
        return (_machines(machines),)
    return (_engines(engines),) if engines else ()


def _engines(rows: Sequence[EngineRow]) -> Table:
    return Table(
        title="Engines of the load generator",
        columns=("engine", "connections", "CPU %", "waiting for a core %", "lateness p99 ms"),
        rows=tuple(
            Row(
                cells=(
                    row.worker,
                    fmt.count(row.connections),
                    fmt.percent(row.cpu_share),
                    fmt.percent(row.runqueue_share),
                    fmt.millis(row.lateness_p99_ms),
                )
            )
            for row in rows
        ),
    )


def _machines(rows: Sequence[MachineRow]) -> Table:
    return Table(
        title="Load machines",
        columns=("machine", "state", "engines", "CPU %", "lateness p99 ms", "clock ± ms", "last report s ago"),
        rows=tuple(
            Row(
                cells=(
                    row.name,
                    row.state,
                    fmt.count(row.engines),
                    fmt.percent(row.cpu_share),
                    fmt.millis(row.lateness_p99_ms),
                    fmt.millis(row.offset_error_ms),
                    fmt.rate(row.seen_ago_s),
                ),
                bad=row.failing,
            )
            for row in rows
        ),
    )


def _network(view: Progress) -> Picture:
    tick = view.ticks[-1] if view.ticks else None
    streams = view.kind is Kind.STREAM
    unit = "Mbit/s" if streams else "transactions/s"
    pace = None if tick is None else rate_of(tick) if streams else per_s_of(tick)
    headlines = [Headline(name=unit, value=fmt.NOTHING if pace is None else fmt.rate(pace))]
    plots = [Plot(title="Pace of the running test", unit=unit, value=pace)]
    if tick is not None and tick.retransmits != UNKNOWN:
        headlines.append(Headline(name="retransmits", value=fmt.count(tick.retransmits)))
    if tick is not None and tick.rtt_ns != UNKNOWN:
        headlines.append(Headline(name="RTT ms", value=fmt.millis(tick.rtt_ns / NS_PER_MS)))
    if tick is not None and tick.lost != UNKNOWN:
        lost = _of(tick.lost, tick.packets)
        headlines.append(Headline(name="lost datagrams", value=lost, bad=tick.lost > 0))
    return Picture(
        title=view.title,
        stamp=f"{view.step} {len(view.finished)} {tick.end_ns if tick else 0}",
        where=Where(
            phase=f"test {view.step} of {view.steps}: {view.label}" if view.step else view.label,
            iteration="warm-up, not counted" if tick is not None and tick.omitted else "",
            elapsed_s=view.elapsed_s,
            total_s=view.total_s,
        ),
        so_far=f"{len(view.finished)} of {counted(view.steps, 'test')} are over.",
        headlines=headlines,
        plots=plots,
        notices=view.notices,
    )


def _pack(view: PackProgress) -> Picture:
    wanted = f" of {fmt.count(view.wanted)}" if view.wanted else ""
    free, pss = (None if size < 0 else size / _GIB for size in (view.free_bytes, view.pss_bytes))
    return Picture(
        title="loadgen pack",
        stamp=f"{view.vms} {view.doing} {view.free_bytes}",
        where=Where(phase=view.doing, share=view.vms / view.wanted if view.wanted else None),
        so_far=f"{fmt.count(view.vms)}{wanted} VMs run.",
        headlines=(
            Headline(name="VMs", value=fmt.count(view.vms)),
            Headline(name="GiB available", value=fmt.NOTHING if free is None else fmt.rate(free)),
            Headline(name="GiB kept free", value=fmt.rate(view.kept_bytes / _GIB)),
            Headline(name="GiB PSS of all VMs", value=fmt.NOTHING if pss is None else fmt.rate(pss)),
        ),
        plots=(
            Plot(title="VMs", unit="VMs", value=view.vms),
            Plot(title="Available memory", unit="GiB", value=free),
        ),
        notices=view.notices,
    )


def _isolate(view: IsolateProgress) -> Picture:
    return Picture(
        title="loadgen isolate",
        stamp=f"{len(view.phases)} {view.doing}",
        where=Where(
            phase=f"hog {view.hog}: {view.doing}",
            iteration=f"phase {min(len(view.phases) + 1, view.planned)} of {view.planned}",
            share=len(view.phases) / view.planned if view.planned else None,
        ),
        so_far=f"{len(view.phases)} of {counted(view.planned, 'phase')} are over.",
    )


def _relative(view: RelativeProgress) -> Picture:
    trials = max(1, view.rounds * len(view.environments))
    return Picture(
        title="loadgen relative",
        stamp=f"{view.round} {len(view.done)} {view.doing}",
        where=Where(
            phase=f"{view.environment}: {view.doing}",
            iteration=f"round {view.round} of {view.rounds}",
            share=((view.round - 1) * len(view.environments) + len(view.done)) / trials,
        ),
        so_far=f"{len(view.done)} of {counted(len(view.environments), 'trial')} of this round are over.",
    )


def _where(at: Position | RunView) -> Where:
    several = at.iterations > 1 and at.iteration >= 0
    return Where(
        phase=at.phase,
        iteration=f"iteration {at.iteration + 1} of {at.iterations}" if several else "",
        phase_elapsed_s=at.phase_elapsed_s,
        phase_length_s=at.phase_length_s,
        elapsed_s=at.elapsed_s,
        total_s=at.total_s,
    )


def _of(part: int | None, whole: int) -> str:
    return f"{fmt.NOTHING if part is None else fmt.count(part)} of {fmt.count(whole)}"


def _low(span: Span | None) -> float | None:
    return None if span is None else span.low


_DRAW: dict[type, Callable[[Any], Picture]] = {
    RunView: _spec,
    HttpView: _http,
    Progress: _network,
    PackProgress: _pack,
    IsolateProgress: _isolate,
    RelativeProgress: _relative,
}
