"""Draw the picture of the live view that the README shows: `python tools/live_picture.py docs/live.svg`.

The picture is a recorded run of `loadgen spec`, drawn by the classes that draw it in a terminal.  Without `--run`, the
tool plays such a run first, which takes 80 s.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from coordinator.kinds.spec.kind import SpecKind
from coordinator.output.terminal.engines import engine_title
from coordinator.output.terminal.frame import Frame
from coordinator.output.terminal.runview import Position, RunView
from coordinator.output.terminal.screen import Screen
from coordinator.record.header import KIND_SPEC, Header
from coordinator.record.reader import load
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


def draw(view: RunView) -> str:
    """The view as an SVG document, WIDTH columns wide."""
    console = Console(
        record=True, file=io.StringIO(), width=WIDTH, height=HEIGHT, force_terminal=True, color_system="truecolor"
    )
    console.print(Frame(Screen(view)))
    # The id becomes part of the class names.  A fixed one keeps unchanged lines of the document unchanged.
    svg = console.export_svg(title="loadgen spec --vms 16", theme=MONOKAI, unique_id="live")
    # A picture in a page may not load fonts from elsewhere; the reader's own monospaced font takes their place.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


@contextlib.contextmanager
def a_run(path: Path | None) -> Iterator[Path]:
    """The record to draw: `path`, or that of a run which is played now and forgotten afterwards."""
    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory() as directory:
        record = Path(directory) / "run"
        command = Path(sys.executable).with_name("loadgen")
        subprocess.run([command, "spec", "--vms", "16", "--out", record], check=True, stdout=subprocess.DEVNULL)
        yield record


def main() -> None:
    """Read the arguments, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("svg", type=Path, help="the file to write")
    parser.add_argument("--run", type=Path, help="the record of a loadgen spec run (default: play one)")
    asked = parser.parse_args()
    with a_run(asked.run) as path:
        record = load(path, KIND_SPEC)
        asked.svg.write_text(draw(view_of(record.header, list(record.measured))), encoding="utf-8")


if __name__ == "__main__":
    main()
