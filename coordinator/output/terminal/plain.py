"""The live view without a terminal: one line per interval, for logs and pipes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from rich.console import Console

from coordinator.output.terminal.intervals import live_number
from coordinator.output.terminal.runview import EngineRow, MachineRow, RunView

T = TypeVar("T")

_WITHOUT_TRAFFIC = ("preparing", "resetting", "comparing logs", "finished")  # coordinator/run/timeline.py


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is printed once: a later line with the same `key` is not printed."""

    key: Hashable
    text: str


def line(view: RunView) -> str:
    """The line of a spec run: words first, then `name=value` pairs for scripts."""
    where = f"{view.elapsed_s:.0f}/{view.total_s:.0f}s {view.phase}"
    if view.iteration >= 0:
        where += f" {view.iteration + 1}/{view.iterations}"
    if view.phase_length_s:
        where += f" {view.phase_elapsed_s:.0f}/{view.phase_length_s:.0f}s"
    total = view.totals
    conforming = "-" if total.conforming is None else total.conforming
    newest = [
        f"ops/s={total.ops_per_s:.1f}",
        f"Mbit/s={total.mbit_per_s:.1f}",
        f"p99_ms={live_number(total.p99_ms)}",
    ]
    measured = has_rates(view.interval, view.phase)
    parts = [
        where,
        f"conforming={conforming}/{total.requested}",
        *(newest if measured else []),
        f"errors={total.errors}",
        *(engine_words(view.engines) if measured else []),
        *machine_words(view.machines),
    ]
    return " ".join(parts)


def has_rates(interval: int, phase: str) -> bool:
    """Whether the newest second, number `interval`, was one of traffic.

    There is none before the first one, and the last one of an iteration ends after the traffic.
    """
    return interval >= 0 and phase not in _WITHOUT_TRAFFIC


def engine_words(engines: tuple[EngineRow, ...]) -> list[str]:
    """The numbers of the worst engine, because one bad engine is enough to spoil a run."""
    if not engines:
        return []
    late = [row.lateness_p99_ms for row in engines if row.lateness_p99_ms is not None]
    return [f"late_p99_ms={say_number(max(late, default=None))}", f"cpu={max(row.cpu_share for row in engines):.0%}"]


def machine_words(machines: tuple[MachineRow, ...]) -> list[str]:
    """The number of machines without a problem, as text; "" when the run has one machine."""
    if not machines:
        return []
    return [f"machines={sum(not row.failing for row in machines)}/{len(machines)}"]


def say_number(value_ms: float | None) -> str:
    """Milliseconds with one decimal; a dash for None."""
    return "-" if value_ms is None else f"{value_ms:.1f}"


def news(view: RunView) -> list[Line]:
    """One line for each complete interval and for each phase, and each notice once."""
    return [*notice_lines(view.notices), Line((view.interval, view.phase, view.iteration), line(view))]


def notice_lines(notices: Iterable[str]) -> list[Line]:
    """One line for each notice, marked by `!`."""
    return [Line(f"! {notice}", f"! {notice}") for notice in notices]


class PlainView(Generic[T]):
    """Prints the lines that `tell` makes of each view, each key once."""

    def __init__(self, console: Console, tell: Callable[[T], Iterable[Line]]) -> None:
        self._console = console
        self._tell = tell
        self._said: set[Hashable] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def update(self, view: T) -> None:
        """Print the lines of `view` that are new."""
        for one in self._tell(view):
            if one.key not in self._said:
                self._said.add(one.key)
                self._console.print(one.text, markup=False, highlight=False, soft_wrap=True)
