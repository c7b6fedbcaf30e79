"""The search for a capacity (`--find`): what each run did, and the number at which runs conform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from coordinator.output.plot import style
from coordinator.output.plot.axes import legend_above, plain_ticks
from coordinator.output.plot.marks import unscored
from coordinator.output.plot.picture import Picture, Subject, Table
from coordinator.record.find_result import Find, FindStep, Wanted
from loadgen.verdict.capacity import Found, Seen

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOOKS = {
    Seen.HELD: ("conforms", "o", "#08306b", "full"),
    Seen.FAILED: ("does not conform", "X", "#2b7bba", "full"),
    Seen.UNKNOWN: ("not valid", "o", "#5a5a5a", "none"),
}

_AXES = {
    Wanted.CONNECTIONS: ("connections per VM", "conforming, %"),
    Wanted.VMS: ("VMs", "conforming, %"),
    Wanted.RATE: ("requests/s asked for", "completed, %"),
}


def capacity(subjects: Sequence[Subject]) -> Picture:
    """Every run of the search at its number: the share that was reached, and the 99th percentile of response times."""
    (subject,) = subjects
    find: Find = subject.judged.result

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import NullFormatter

        upper, lower = figure.subplots(2, 1, sharex=True)
        for seen, (words, marker, color, fill) in _LOOKS.items():
            steps = [step for step in find.steps if step.trial.seen is seen]
            known = [step for step in steps if _share(step) is not None]
            unknown = [step for step in steps if _share(step) is None]
            upper.plot(
                [step.value for step in known],
                [_share(step) for step in known],
                linestyle="",
                marker=marker,
                color=color,
                fillstyle=fill,
                markersize=4,
                label=words if known else None,
            )
            if unknown:  # of these runs, only the number is known: they stand on the axis
                upper.plot(
                    [step.value for step in unknown],
                    [4] * len(unknown),
                    linestyle="",
                    marker=marker,
                    color=color,
                    fillstyle=fill,
                    markersize=4,
                    label=None if known else words,
                )
            timed = [step for step in steps if step.p99_ms is not None and seen is not Seen.UNKNOWN]
            lower.plot(
                [step.value for step in timed],
                [step.p99_ms for step in timed],
                linestyle="",
                marker=marker,
                color=color,
                fillstyle=fill,
                markersize=4,
            )
        if any(step.p99_ms for step in find.steps if step.trial.seen is not Seen.UNKNOWN):
            lower.set_yscale("log")
        else:
            lower.set_yticks([])
        along, what = _AXES[find.wanted]
        lower.set_xlabel(along)
        upper.set_ylabel(what)
        lower.set_ylabel("p99, ms")
        upper.set_ylim(0, 108)
        values = [step.value for step in find.steps]
        if values and max(values) > 20 * min(values):
            lower.set_xscale("log")
            lower.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            lower.xaxis.set_minor_formatter(NullFormatter())
        else:
            lower.locator_params(axis="x", integer=True)
        plain_ticks(lower)
        _answer(upper, lower, find, invalid=bool(unscored(find.verdict)))
        legend_above(upper)

    rows = tuple(
        (step.value, step.verdict.value, step.asked, step.reached if _share(step) is not None else None, step.p99_ms)
        for step in find.steps
    )
    table = Table(columns=(find.wanted.value, "verdict", "asked", "reached", "p99_ms"), rows=rows)
    return Picture(draw=draw, table=table, height=0.85)


def _share(step: FindStep) -> float | None:
    """What was reached of what was asked for, in percent; None in a run that says nothing about the servers."""
    if step.reached is None or not step.asked or step.trial.seen is Seen.UNKNOWN:
        return None
    return 100 * step.reached / step.asked


def _answer(upper: Axes, lower: Axes, find: Find, *, invalid: bool) -> None:
    found = find.capacity
    if invalid or not found.value:
        return
    has_interval = found.found in (Found.EXACT, Found.VARYING) and found.high > found.low
    for axes in (upper, lower):
        if has_interval:
            axes.axvspan(found.low, found.high, color=style.SHADE, alpha=0.45, linewidth=0)
        axes.axvline(found.value, color=style.EDGE, linewidth=0.8, linestyle="--")
    low, high = upper.get_xlim()
    is_right = found.value > (low * high) ** 0.5 if upper.get_xscale() == "log" else 2 * found.value > low + high
    upper.annotate(
        f"{found.qualifier}{find.wanted.words(found.value)}",
        (found.value, 0.04),
        (-3 if is_right else 3, 0),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        fontsize=6,
        ha="right" if is_right else "left",
    )
