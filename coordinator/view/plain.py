"""The live view without a terminal: one line an interval, for logs and pipes."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console

from coordinator.view.runview import EngineRow, RunView


def line(view: RunView) -> str:
    """One line: words first, then `name=value` pairs that a script can cut out."""
    where = f"{view.elapsed_s:.0f}/{view.total_s:.0f}s {view.phase}"
    if view.iteration >= 0:
        where += f" {view.iteration + 1}/{view.iterations}"
    if view.phase_length_s:
        where += f" {view.phase_elapsed_s:.0f}/{view.phase_length_s:.0f}s"
    total = view.totals
    conforming = "-" if total.conforming is None else total.conforming
    parts = [
        where,
        f"conforming={conforming}/{total.requested}",
        f"ops/s={total.ops_per_s:.1f}",
        f"Mbit/s={total.mbit_per_s:.1f}",
        f"p99_ms={_number(total.p99_ms)}",
        f"errors={total.errors}",
        *_engines(view.engines),
    ]
    return " ".join(parts)


def _engines(engines: tuple[EngineRow, ...]) -> list[str]:
    """The worst engine's numbers: one bad engine is enough to spoil a run."""
    if not engines:
        return []
    late = [row.lateness_p99_ms for row in engines if row.lateness_p99_ms is not None]
    return [f"late_p99_ms={_number(max(late, default=None))}", f"cpu={max(row.cpu_share for row in engines):.0%}"]


def _number(value_ms: float | None) -> str:
    return "-" if value_ms is None else f"{value_ms:.1f}"


class PlainView:
    """Prints a line whenever a new interval is complete or another phase begins, and each notice once."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: tuple[int, str, int] | None = None
        self._noticed: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def update(self, view: RunView) -> None:
        """Show `view`, if it says something new."""
        for notice in view.notices:
            if notice not in self._noticed:
                self._noticed.add(notice)
                self._say(f"! {notice}")
        now = (view.interval, view.phase, view.iteration)
        if now != self._shown:
            self._shown = now
            self._say(line(view))

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
