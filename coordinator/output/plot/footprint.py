"""The footprint of a VM by the number of VMs, as `loadgen pack` measured it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from coordinator.output.plot import style
from coordinator.output.plot.axes import legend_above
from coordinator.output.plot.marks import unscored
from coordinator.output.plot.picture import Picture, Subject, Table
from loadgen.verdict.pack_result import PackResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MIB = 1 << 20
_KINDS = {
    "available_bytes": "memory of the machine",
    "group_bytes": "memory of the group",
    "pss_bytes": "PSS of its processes",
    "kernel_bytes": "kernel memory",
}


def footprint(subjects: Sequence[Subject]) -> Picture:
    """Mean memory per VM against the number of VMs that run; the number that fits is marked."""
    (subject,) = subjects
    result: PackResult = subject.judged.result
    curves = {
        words: [(row.vms, getattr(row, name) / _MIB) for row in result.curve if row.vms and getattr(row, name) >= 0]
        for name, words in _KINDS.items()
    }
    packed = -1 if unscored(result.verdict) else result.packed

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import NullFormatter

        axes = figure.add_subplot()
        for at, (words, points) in enumerate(curves.items()):
            if points:
                axes.plot(
                    [vms for vms, _ in points],
                    [size for _, size in points],
                    label=words,
                    color=style.INKS[at],
                    linestyle=style.LINES[at],
                    marker=style.MARKERS[at],
                )
        places = sorted({vms for points in curves.values() for vms, _ in points})
        if places and places[-1] > 10 * places[0]:
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(bottom=0)
        axes.set_xlabel("VMs that run")
        axes.set_ylabel("MiB per VM")
        if packed >= 0:
            axes.axvline(packed, color=style.EDGE, linewidth=0.7, linestyle=":")
            axes.annotate(
                f"{packed:,} VMs answered at once",
                (packed, 0),
                (-2, 3),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="right",
                va="bottom",
                fontsize=6,
                bbox={"facecolor": "#ffffff", "edgecolor": "none", "pad": 1.0},
            )
        legend_above(axes)

    rows = tuple((vms, words, round(size, 6)) for words, points in curves.items() for vms, size in points)
    table = Table(columns=("vms", "kind", "mib_per_vm"), rows=rows)
    return Picture(draw=draw, table=table)
