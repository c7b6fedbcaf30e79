"""The live view of a recorded run as it was at a moment, and what a terminal shows as SVG: for tools/pictures.py."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

from rich.console import Console
from rich.terminal_theme import MONOKAI

from coordinator.kinds.spec.kind import SpecKind
from coordinator.output.terminal.engines import engine_title
from coordinator.output.terminal.runview import Position, RunView
from coordinator.record.header import Header
from coordinator.run.tapes import empty_intake
from loadgen.measure.snapshot import Snapshot
from loadgen.model.plan import SpecPlan
from loadgen.model.units import NS_PER_S

WIDTH, HEIGHT = 80, 26
"""Columns and lines of the terminal in the picture: one line for each of 16 VMs, and the engines below them."""

SHARE = 0.6
"""How much of the last iteration has passed in the picture."""


def view_of(header: Header[SpecPlan], snapshots: list[Snapshot], share: float = SHARE) -> RunView:
    """The run as the live view showed it when `share` of its last measured window had passed.

    Raises ValueError when the run has no measured window.
    """
    plan = header.plan
    window_of = {one.interval: window for one in snapshots for window in one.tallies["window"].tolist() if window >= 0}
    if not window_of:
        raise ValueError("the record has no measured window, so there is nothing to draw; use a run that was not cut")
    iteration = max(window_of.values())
    first = min(interval for interval, window in window_of.items() if window == iteration)
    last = max(interval for interval, window in window_of.items() if window == iteration)
    shown = first + round(share * (last - first))

    kind, fleet = SpecKind(), header.own_fleet
    intake = empty_intake(kind.asked(plan, header.targets), fleet.placement)
    builder = kind.builder(plan, header.targets, str(header.environment.server.get("kind", "")), fleet.placement)
    phases = plan.phases
    before_s = (sum(map(phases.length_ns, range(iteration))) + phases.lead_ns(iteration)) / NS_PER_S
    view: RunView | None = None
    # In the order in which the live view saw them, because the sums of an iteration are added up interval by interval.
    for interval in range(shown + 1):
        for snapshot in snapshots:
            if snapshot.interval == interval:
                intake.receive(snapshot)
        elapsed_s = max(0, interval + 1 - first)
        position = Position(
            phase="measuring",
            iteration=window_of.get(interval, iteration),
            iterations=phases.iterations,
            phase_elapsed_s=elapsed_s,
            phase_length_s=phases.measure_ns / NS_PER_S,
            elapsed_s=before_s + elapsed_s,
            total_s=sum(map(phases.length_ns, range(phases.iterations))) / NS_PER_S,
        )
        view = builder.build(intake.ledger, position, (), (), engine_title(fleet.engines))
    assert view is not None
    return view


def svg_of(paint: Callable[[Console], object], title: str, name: str, height: int | None = None) -> str:
    """What `paint` prints on a terminal WIDTH columns wide, as an SVG document of a terminal with that title.

    `name` becomes part of its class names: a fixed one keeps unchanged lines of the document unchanged.  `height` is
    that of a view that fills the terminal.
    """
    console = Console(
        record=True, file=io.StringIO(), width=WIDTH, height=height, force_terminal=True, color_system="truecolor"
    )
    paint(console)
    svg = console.export_svg(title=title, theme=MONOKAI, unique_id=name)
    # A picture in a page may not load fonts from elsewhere; the reader's own monospaced font takes their place.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
