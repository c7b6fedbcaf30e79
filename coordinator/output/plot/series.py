"""A run over time: rate and 99th percentile in each second, with measured windows and disturbed seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coordinator.output.measured import Part, Second, parts_of, seconds_of
from coordinator.output.plot import style
from coordinator.output.plot.axes import in_legend, legend_above, plain_ticks
from coordinator.output.plot.picture import Cell, Picture, Subject, Table
from coordinator.output.streams import OutputError
from loadgen.measure.cells import Cell as Counted
from loadgen.measure.censored import Times
from loadgen.model.units import NS_PER_MS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FEW = 4  # VMs that have lines of their own; of more, the middle and the spread are shown
_ALIKE = 1.001


@dataclass(frozen=True, slots=True)
class _Course:
    """By VM (row) and second (column): operations that ended well, failed ones, and p99 in ms (NaN: none ended),
    which is only a lower bound where `vm_at_least` says so.

    `windows` and `disturbed` are spans of seconds.  `p99_ms` is that over all VMs.
    """

    names: tuple[str, ...]
    ok: NDArray[np.int64]
    failed: NDArray[np.int64]
    vm_p99_ms: NDArray[np.float64]
    vm_at_least: NDArray[np.bool_]
    p99_ms: NDArray[np.float64]
    windows: tuple[tuple[int, int], ...]
    disturbed: tuple[tuple[int, int], ...]


def series(subjects: Sequence[Subject]) -> Picture:
    """Rates and times of the seconds of one run.  Raises OutputError for a record of several runs, or of no second."""
    (subject,) = subjects
    parts = list(parts_of(subject.judged))
    if len(parts) != 1 or parts[0].name:
        raise OutputError(
            f"{subject.judged.path} is a record of several runs",
            hint=f"name one of the directories in it, such as {subject.judged.path / parts[0].name}" if parts else "",
        )
    course = _course(parts[0], subject.judged.result)

    def draw(figure: Figure) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True)
        seconds = np.arange(course.ok.shape[1])
        _rates(upper, seconds, course)
        _times(lower, seconds, course)
        plain_ticks(lower)
        for axes in (upper, lower):
            for at, (first, last) in enumerate(course.windows):
                axes.axvspan(
                    first,
                    last + 1,
                    facecolor="#eeeeee",
                    linewidth=0,
                    zorder=0,
                    label=_once(axes is upper and at == 0, "measured"),
                )
            for at, (first, last) in enumerate(course.disturbed):
                axes.axvspan(
                    first,
                    last + 1,
                    facecolor="none",
                    edgecolor="#888888",
                    hatch="////",
                    linewidth=0,
                    zorder=0.5,
                    label=_once(axes is upper and at == 0, "disturbed"),
                )
        upper.set_xlim(0, len(seconds))
        lower.set_xlabel("time since the start of the run, s")
        legend_above(upper)

    return Picture(draw=draw, table=_table(course), height=0.95)


def _once(first: bool, label: str) -> str | None:
    return label if first else None


def _course(part: Part, result: Any) -> _Course:
    names = tuple(target.name for target in part.record.header.targets)
    seconds = list(seconds_of(part.record.measured))
    if not seconds:
        raise OutputError(f"the record {part.record.path} has no seconds", hint="the run was cut before the first one")
    length = seconds[-1].interval + 1
    ok, failed = (np.zeros((len(names), length), np.int64) for _ in range(2))
    vm_p99_ms, p99_ms = np.full((len(names), length), np.nan), np.full(length, np.nan)
    vm_at_least, in_window = np.zeros((len(names), length), bool), np.zeros(length, bool)
    for second in seconds:
        at = second.interval
        by_vm: dict[int, list[Counted]] = {}
        in_window[at] = _is_measured(second)
        for (_, vm), cell in second.cells.items():
            by_vm.setdefault(vm, []).append(cell)
        for vm, cells in by_vm.items():
            if vm < len(names):
                ok[vm, at], failed[vm, at] = sum(cell.ok for cell in cells), sum(cell.bad for cell in cells)
                vm_p99_ms[vm, at], vm_at_least[vm, at] = _p99_ms(cells)
        p99_ms[at], _ = _p99_ms([cell for cells in by_vm.values() for cell in cells])
    disturbance = getattr(result, "disturbance", None)
    disturbed = np.zeros(length, bool)
    for span in disturbance.spans if disturbance else ():
        disturbed[max(0, span.first_s) : span.last_s + 1] = True
    return _Course(names, ok, failed, vm_p99_ms, vm_at_least, p99_ms, _spans(in_window), _spans(disturbed))


def _is_measured(second: Second) -> bool:
    """Whether most operations of the second belong to a measured window; a window has operations of its edges, too."""
    found: Counter[int] = Counter()
    for (window, _), cell in second.cells.items():
        found[window] += cell.ok + cell.bad + cell.cut
    return max(found, key=lambda window: (found[window], window), default=-1) >= 0


def _p99_ms(cells: Sequence[Counted]) -> tuple[float, bool]:
    """The 99th percentile, NaN without operations; and whether failed or cut operations make it a lower bound."""
    span = Times.response_of(Counted.merge_all(cells)).percentile(99) if cells else None
    return (span.low / NS_PER_MS, span.high > _ALIKE * span.low) if span else (np.nan, False)


def _spans(flags: NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    """The first and the last place of each row of true flags."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return tuple(zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True))


def _line(axes: Axes, x: NDArray[Any], y: NDArray[Any], at: int, name: str = "") -> None:
    """A line with gaps where nothing is known; a point between two gaps has a marker, because no line reaches it."""
    axes.plot(x, y, color=style.INKS[at], linestyle=style.LINES[at], label=in_legend(name) or None)
    alone = _alone(y)
    axes.plot(x[alone], y[alone], color=style.INKS[at], linestyle="", marker=style.MARKERS[at], markersize=2)


def _band(
    axes: Axes, x: NDArray[Any], low: NDArray[Any], high: NDArray[Any], name: str | None, *, alpha: float = 1.0
) -> None:
    """The area between two lines; a second between two gaps is a stroke."""
    axes.fill_between(x, low, high, color=style.BAND, alpha=alpha, linewidth=0, label=name)
    alone = _alone(low)
    axes.vlines(x[alone], low[alone], high[alone], color=style.BAND, alpha=alpha, linewidth=1.5)


def _alone(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values are known while their neighbours are not."""
    known: NDArray[np.bool_] = np.concatenate([[False], np.isfinite(values), [False]])
    return known[1:-1] & ~known[:-2] & ~known[2:]


def _rates(axes: Axes, seconds: NDArray[np.int64], course: _Course) -> None:
    middle = seconds + 0.5
    axes.set_ylabel("operations/s per VM" if len(course.names) > 1 else "operations/s")
    if len(course.names) <= _FEW:
        for at, name in enumerate(course.names):
            _line(axes, middle, course.ok[at], at, name)
    else:
        low, fifth, half, rest, high = np.percentile(course.ok, [0, 5, 50, 95, 100], axis=0)
        _band(axes, middle, low, high, "all VMs", alpha=0.35)
        _band(axes, middle, fifth, rest, "90 % of the VMs")
        _line(axes, middle, half, 0, "median VM")
    failed = course.failed.sum(axis=0)
    if failed.any():
        bad = np.flatnonzero(failed)
        axes.plot(
            bad + 0.5,
            np.full(len(bad), 0.04),
            linestyle="",
            marker="x",
            color=style.EDGE,
            markersize=3,
            label="errors",
            transform=axes.get_xaxis_transform(),
        )
    axes.set_ylim(bottom=0)


def _times(axes: Axes, seconds: NDArray[np.int64], course: _Course) -> None:
    middle = seconds + 0.5
    axes.set_ylabel("p99, ms")
    known = course.p99_ms[np.isfinite(course.p99_ms)]
    if known.size and known.min() > 0:
        axes.set_yscale("log")
    if len(course.names) > _FEW:
        some = np.isfinite(course.vm_p99_ms).any(axis=0)
        low, high = (np.full(len(seconds), np.nan) for _ in range(2))
        low[some], high[some] = (
            np.nanmin(course.vm_p99_ms[:, some], axis=0),
            np.nanmax(course.vm_p99_ms[:, some], axis=0),
        )
        _band(axes, middle, low, high, None, alpha=0.35)
    elif len(course.names) > 1:
        for at in range(len(course.names)):
            _line(axes, middle, course.vm_p99_ms[at], at)
        return
    _line(axes, middle, course.p99_ms, 0)


def _table(course: _Course) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for at in range(course.ok.shape[1]):
        for vm, name in enumerate(course.names):
            p99_ms, at_least = course.vm_p99_ms[vm, at].item(), int(course.vm_at_least[vm, at])
            counts = course.ok[vm, at].item(), course.failed[vm, at].item()
            rows.append((at, name, *counts, *((p99_ms, at_least) if p99_ms == p99_ms else (None, None))))
    columns = ("second", "vm", "ok_operations", "failed_operations", "response_p99_ms", "at_least")
    return Table(columns=columns, rows=tuple(rows))
