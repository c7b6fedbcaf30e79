"""The live view of `loadgen relative`: the round, its environments, and what is being done."""

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
from loadgen.measure.trials import Trial
from loadgen.model.units import NS_PER_S

_BAR = 40
_OTHERS = 3
"""The lines above and below the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeProgress:
    """A round in progress: `environment` is the one whose trial runs, and `doing` says what happens in it.

    `done` are the trials of this round that are over.
    """

    round: int
    rounds: int
    environments: tuple[str, ...]
    environment: str
    vms: int
    doing: str
    done: tuple[Trial, ...] = ()


def open_relative_view(console: Console) -> View[RelativeProgress]:
    """The live screen where the terminal can move its cursor, plain lines everywhere else."""
    return choose_view(console, RelativeScreen, relative_news)


def relative_news(view: RelativeProgress) -> Iterator[Line]:
    """One line for each trial that is over."""
    for trial in view.done:
        yield Line(
            (trial.round, trial.environment),
            f"round={trial.round}/{view.rounds} {trial.environment} {say_trial(trial)}",
        )


def say_trial(trial: Trial) -> str:
    """The wall time of a trial, the longest of its VMs, and the mean of its first number."""
    words = [f"wall={_wall_ns(trial) / NS_PER_S:.2f}s"]
    first = trial.copies[0].numbers
    if first and len(first) == 1:
        values = [number.value for copy in trial.copies for number in copy.numbers if number.name == first[0].name]
        words.append(f"{first[0].name}={sum(values) / len(values):.4g} {first[0].unit}".rstrip())
    return " ".join(words)


@dataclass(frozen=True, slots=True)
class RelativeScreen:
    """The live screen."""

    view: RelativeProgress
    controls: Controls = UNTOUCHED

    def lines(self, width: int, height: int, *, ascii_only: bool) -> list[Text]:
        """The screen: at most `height - 1` lines of at most `width` cells."""
        view = self.view
        trials = len(view.environments)
        share = ((view.round - 1) * trials + len(view.done)) / (view.rounds * trials)
        vms = f" in {fmt.count(view.vms)} VMs at once" if view.vms > 1 else ""
        shown = self.window(width, height)
        done = sorted(view.done, key=_wall_ns, reverse=True) if shown.order is Order.WORST else view.done
        rows = [Text(f" {trial.environment}: {say_trial(trial)}", "dim") for trial in done]
        lines = [
            Text(f"loadgen relative  round {view.round} of {view.rounds}{vms}", "bold"),
            Text(fmt.bar(share, min(_BAR, width), ascii_only=ascii_only), "green"),
            *list_lines(rows, shown, "trials"),
            Text(f" {view.environment}: {view.doing}", "cyan"),
        ]
        return fitted(lines, width, height, ascii_only)

    def window(self, width: int, height: int) -> Window:
        """The trials of this round that are shown."""
        return list_window(len(self.view.done), height - 1 - _OTHERS, self.controls)


def _wall_ns(trial: Trial) -> int:
    return max(copy.wall_ns for copy in trial.copies)
