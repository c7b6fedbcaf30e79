"""The live view of `loadgen isolate`: the hog that runs, what is being done, and what was measured so far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.frame import fitted
from coordinator.output.terminal.keys import UNTOUCHED, Controls, Order, Window
from coordinator.output.terminal.listing import list_lines, list_window
from coordinator.output.terminal.live import View, choose_view
from coordinator.output.terminal.plain import Line
from loadgen.measure.isolation import Phase, Probed
from loadgen.model.units import NS_PER_MS

_BAR = 40
_ABOVE = 3
"""The lines above the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolateProgress:
    """A run in progress: the hog of the present phase, what is done with it, and the finished of `planned` phases."""

    hog: str
    doing: str
    phases: tuple[Phase, ...]
    planned: int


def open_isolate_view(console: Console) -> View[IsolateProgress]:
    """The live screen where the terminal can move its cursor, plain lines everywhere else."""
    return choose_view(console, IsolateScreen, isolate_news)


def isolate_news(view: IsolateProgress) -> Iterator[Line]:
    """One line for each phase that is over, and for each thing that is done."""
    for phase in view.phases:
        yield Line(("over", phase.hog.value), f"hog={phase.hog.value} {phase_words(phase)}")
    yield Line((view.hog, view.doing), f"phase={len(view.phases) + 1}/{view.planned} hog={view.hog} {view.doing}")


@dataclass(frozen=True, slots=True)
class IsolateScreen:
    """The live screen."""

    view: IsolateProgress
    controls: Controls = UNTOUCHED

    def lines(self, width: int, height: int, *, ascii_only: bool) -> list[Text]:
        """The screen: at most `height - 1` lines of at most `width` cells."""
        view = self.view
        done = len(view.phases)
        lines = [
            Text(f"loadgen isolate  phase {min(done + 1, view.planned)} of {view.planned}", "bold"),
            Text(fmt.bar(done / view.planned, min(_BAR, width), ascii_only=ascii_only), "green"),
            Text(f" hog {view.hog}: {view.doing}", "cyan"),
        ]
        shown = self.window(width, height)
        phases = sorted(view.phases, key=_badness, reverse=True) if shown.order is Order.WORST else view.phases
        rows = [Text(f" {phase.hog.value:<7} {phase_words(phase)}", "dim") for phase in phases]
        lines += list_lines(rows, shown, "phases")
        return fitted(lines, width, height, ascii_only)

    def window(self, width: int, height: int) -> Window:
        """The finished phases that are shown."""
        return list_window(len(self.view.phases), height - 1 - _ABOVE, self.controls)


def _badness(phase: Phase) -> tuple[bool, float]:
    """How bad a phase is: whether it was broken off, then the slowest of its answers."""
    found = [probed.answered.percentile_ns(99) or 0 for probed in (phase.game, phase.echo) if probed]
    return bool(phase.failed), max(found, default=0)


def phase_words(phase: Phase) -> str:
    """What was measured in a phase that is over."""
    if phase.failed:
        return f"broken off: {phase.failed}"
    return f"game_p99_ms={_p99(phase.game)} echo_p99_ms={_p99(phase.echo)}"


def _p99(probed: Probed | None) -> str:
    found = probed.answered.percentile_ns(99) if probed else None
    return fmt.NOTHING if found is None else fmt.millis(found / NS_PER_MS)
