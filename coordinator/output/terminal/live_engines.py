"""The engines of this machine as lines of a live screen."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.runview import EngineRow


def engine_lines(engines: Sequence[EngineRow], lines: int) -> list[Text]:
    """One line per engine where there is room, otherwise one line with the worst numbers of all."""
    if not lines:
        return []
    if lines == len(engines):
        return [_engine_line(row.worker, row) for row in engines]
    late = [row.lateness_p99_ms for row in engines if row.lateness_p99_ms is not None]
    waits = [row.runqueue_share for row in engines if row.runqueue_share is not None]
    worst = EngineRow(
        worker="",
        connections=sum(row.connections for row in engines),
        cpu_share=max(row.cpu_share for row in engines),
        runqueue_share=max(waits, default=None),
        lateness_p99_ms=max(late, default=None),
    )
    return [_engine_line(f"{len(engines)} engines, worst:", worst)]


def _engine_line(name: str, row: EngineRow) -> Text:
    waits = "" if row.runqueue_share is None else f"  run queue {fmt.percent(row.runqueue_share)}%"
    return Text(
        f" {name}  {fmt.count(row.connections)} active  CPU {row.cpu_share:.0%}{waits}"
        f"  late p99 {fmt.millis(row.lateness_p99_ms)} ms",
        "dim",
    )
