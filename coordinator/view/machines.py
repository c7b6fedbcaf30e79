"""Load machines as lines of the live screen: engines, CPU, lateness, clock, when last seen, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from coordinator.view import format as fmt
from coordinator.view.runview import MachineRow

_NAME = 12
_STATE = 7
_MS_PER_S = 1000


def machine_lines(machines: Sequence[MachineRow], lines: int, *, ascii_only: bool) -> list[Text]:
    """A line for each machine, or one for all of them that names what is wrong; none for no lines."""
    if lines == len(machines):
        return [machine_line(row, ascii_only=ascii_only) for row in machines]
    return [_summary(machines)] if lines else []


def machine_line(row: MachineRow, *, ascii_only: bool) -> Text:
    """One machine, in 80 columns or less."""
    cpu = "-" if row.cpu_share is None else f"{row.cpu_share:.0%}"
    sign = "+-" if ascii_only else "±"
    clock = f"clock {say_offset(row.offset_ms)}{sign}{row.offset_error_ms:.2f} ms"
    parts = [
        f"{'!' if row.failing else ' '}{fmt.pad(row.name, _NAME, ascii_only=ascii_only)}",
        f"{row.state:<{_STATE}} {row.engines:>2} eng CPU {cpu:>4} late {fmt.millis(row.lateness_p99_ms):>4}",
        clock,
        f"seen {row.seen_ago_s:.1f}s",
    ]
    return Text(" ".join(parts), "yellow" if row.failing else "dim")


def say_offset(offset_ms: float) -> str:
    """A difference of clocks in ms; those of machines that booted on different days differ by days."""
    if abs(offset_ms) < _MS_PER_S:
        return f"{offset_ms:+.2f}"
    return f"{offset_ms / _MS_PER_S:+.0f}s"


def _summary(machines: Sequence[MachineRow]) -> Text:
    failing = [row for row in machines if row.failing]
    late = [row.lateness_p99_ms for row in machines if row.lateness_p99_ms is not None]
    text = f"{len(machines) - len(failing)} of {len(machines)} machines well"
    text += f"  {sum(row.engines for row in machines)} engines  late p99 {fmt.millis(max(late, default=None))} ms"
    if failing:  # first, or it may be cut off
        text = f"{', '.join(f'{row.name} {row.state}' for row in failing)}  {text}"
    return Text(f"{'!' if failing else ' '}{text}", "yellow" if failing else "dim")
