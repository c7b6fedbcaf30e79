"""Table 3 of the paper, and its text on forwarding: rates by window, as LaTeX, as CSV, or as bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coordinator.output.plot.bars import Bar, Bars
from coordinator.output.plot.marks import unscored
from coordinator.output.plot.picture import Picture, Subject
from loadgen.model.errors import PlanError
from loadgen.model.probe import Kind
from loadgen.model.units import NS_PER_MS, counted, format_window
from loadgen.verdict.network_result import ForwardResult, IperfResult

_Cells = Iterator[tuple[str, str, Bar]]
"""The group, the series without the name of the run, and the bar, of each number."""

_TIMES = ("p50", "p90", "p99")


def throughput(subjects: Sequence[Subject]) -> Picture:
    """TCP or UDP rates by window, a column for each direction of each system; times of request/response tests.

    Raises PlanError when there are tests of both kinds.
    """
    kinds = {subject.judged.header.plan.kind is Kind.STREAM for subject in subjects}
    if len(kinds) > 1:
        raise PlanError(
            "some of these runs measured rates, and others the times of transactions",
            hint="draw the runs of each kind in a figure of their own",
        )
    rates = kinds == {True}
    of = _rates if rates else _times
    return _bars(
        [(subject, list(of(subject.judged.result))) for subject in subjects],
        axis="Mbit/s" if rates else "time of a transaction, ms",
        group="window",
        caption="Throughput by window, Mbit/s: median of the runs" if rates else "Times of transactions, ms",
    )


def forward(subjects: Sequence[Subject]) -> Picture:
    """Rates of each path between two NICs, by window and number of flows."""
    return _bars(
        [(subject, list(_of_forward(subject.judged.result))) for subject in subjects],
        axis="Mbit/s",
        group="window and flows",
        caption="Forwarding by window, Mbit/s: median of the runs",
    )


def _bars(
    found: Sequence[tuple[Subject, list[tuple[str, str, Bar]]]], *, axis: str, group: str, caption: str
) -> Picture:
    groups = tuple(dict.fromkeys(group for _, cells in found for group, _, _ in cells))
    series: dict[tuple[str, str], dict[str, Bar]] = {}
    for subject, cells in found:
        word = unscored(subject.judged.result.verdict)
        for at, own, bar in cells:
            series.setdefault((subject.name, own), {})[at] = Bar(note=word) if word else bar
    return Bars(
        groups=groups,
        series=tuple(
            (f"{name} {own}" if len(found) > 1 else own, tuple(bars.get(at) for at in groups))
            for (name, own), bars in series.items()
        ),
        axis=axis,
        group=group,
        interval="lowest and highest run",
        caption=caption,
    ).picture()


def _rates(result: IperfResult) -> _Cells:
    for row in result.rows:
        for rate in row.rates:
            both = f"{row.direction.value} " if len(row.rates) > 1 else ""
            low, high = (rate.min_mbit_per_s, rate.max_mbit_per_s) if row.repeats > 1 else (None, None)
            bar = Bar(value=rate.mbit_per_s, low=low, high=high, at_least=row.limited_here)
            yield format_window(row.window_bytes), f"{both}{rate.direction.value}", bar


def _times(result: IperfResult) -> _Cells:
    several = len({row.direction for row in result.rows}) > 1
    for row in result.rows:
        for name in _TIMES:
            time_ns = getattr(row.latency, f"{name}_ns")
            at_least = f"{name}_ns" in row.latency.lower_bounds
            bar = Bar(note="not known") if time_ns < 0 else Bar(value=time_ns / NS_PER_MS, at_least=at_least)
            own = f"{row.direction.value} {name}" if several else name
            yield format_window(row.window_bytes), own, bar


def _of_forward(result: ForwardResult) -> _Cells:
    for row in result.rows:
        flows = f"\n{counted(row.flows, 'flow')}" if row.flows > 1 else ""
        low, high = (row.min_mbit_per_s, row.max_mbit_per_s) if row.repeats > 1 else (None, None)
        bar = Bar(value=row.mbit_per_s, low=low, high=high, at_least=row.limited_by_end)
        yield f"{format_window(row.window_bytes)}{flows}", f"{row.link.value} {row.mode.value}", bar
