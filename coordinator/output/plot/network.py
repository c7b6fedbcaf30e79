"""Table 3 of the paper, and its text on forwarding: rates by window, as LaTeX, as CSV, or as bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coordinator.output.plot.bars import Bar, Bars
from coordinator.output.plot.marks import is_invalid
from coordinator.output.plot.picture import Picture, Subject
from loadgen.model.units import counted, format_window
from loadgen.verdict.network_result import ForwardResult, IperfResult

_Cells = Iterator[tuple[str, str, Bar]]
"""The group, the series without the name of the run, and the bar, of each number."""


def throughput(subjects: Sequence[Subject]) -> Picture:
    """TCP or UDP rates by window, a column for each direction of each system."""
    return _bars(
        [(subject, list(_of_iperf(subject.judged.result))) for subject in subjects],
        group="window",
        caption="Throughput by window, Mbit/s: median of the runs",
    )


def forward(subjects: Sequence[Subject]) -> Picture:
    """Rates of each path between two NICs, by window and number of flows."""
    return _bars(
        [(subject, list(_of_forward(subject.judged.result))) for subject in subjects],
        group="window and flows",
        caption="Forwarding by window, Mbit/s: median of the runs",
    )


def _bars(found: Sequence[tuple[Subject, list[tuple[str, str, Bar]]]], *, group: str, caption: str) -> Picture:
    groups = tuple(dict.fromkeys(group for _, cells in found for group, _, _ in cells))
    series: dict[str, dict[str, Bar]] = {}
    for subject, cells in found:
        for at, own, bar in cells:
            name = f"{subject.name} {own}" if len(found) > 1 else own
            series.setdefault(name, {})[at] = Bar(note="INVALID") if is_invalid(subject.judged) else bar
    return Bars(
        groups=groups,
        series=tuple((name, tuple(bars.get(at) for at in groups)) for name, bars in series.items()),
        axis="Mbit/s",
        group=group,
        interval="lowest and highest run",
        caption=caption,
    ).picture()


def _of_iperf(result: IperfResult) -> _Cells:
    for row in result.rows:
        for rate in row.rates:
            both = f"{row.direction.value} " if len(row.rates) > 1 else ""
            low, high = (rate.min_mbit_per_s, rate.max_mbit_per_s) if row.repeats > 1 else (None, None)
            bar = Bar(value=rate.mbit_per_s, low=low, high=high)
            yield format_window(row.window_bytes), f"{both}{rate.direction.value}", bar


def _of_forward(result: ForwardResult) -> _Cells:
    for row in result.rows:
        flows = f"\n{counted(row.flows, 'flow')}" if row.flows > 1 else ""
        low, high = (row.min_mbit_per_s, row.max_mbit_per_s) if row.repeats > 1 else (None, None)
        bar = Bar(value=row.mbit_per_s, low=low, high=high)
        yield f"{format_window(row.window_bytes)}{flows}", f"{row.link.value} {row.mode.value}", bar
