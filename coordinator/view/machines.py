"""Load machines as lines of the live screen: engines, CPU, lateness, clock, when last seen, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from coordinator.view import format as fmt
from coordinator.view.runview import MachineRow

_NAME_MAX = 16
_MS_PER_S = 1000


def machine_lines(machines: Sequence[MachineRow], lines: int, *, ascii_only: bool) -> list[Text]:
    """A line for each machine, or one for all of them that names what is wrong; none for no lines."""
    if lines == len(machines):
        return [machine_line(row, ascii_only=ascii_only) for row in machines]
    return [_summary(machines)] if lines else []


def machine_line(row: MachineRow, *, ascii_only: bool) -> Text:
    """One machine, in at most 80 columns."""
    cpu = "-" if row.cpu_share is None else f"{row.cpu_share:.0%}"
    sign = "+-" if ascii_only else "±"
    parts = [
        f"{'!' if row.failing else ' '}{fmt.pad(row.name, _NAME_MAX, ascii_only=ascii_only).rstrip()}",
        row.state,
        f"{row.engines} eng",
        f"CPU {cpu}",
        f"late p99 {fmt.millis(row.lateness_p99_ms)} ms",
        f"clock {say_offset(row.offset_ms)} {sign}{row.offset_error_ms:.2f} ms",
        f"seen {row.seen_ago_s:.1f} s",
    ]
    return Text("  ".join(parts), "yellow" if row.failing else "dim")


def say_offset(offset_ms: float) -> str:
    """A difference of clocks; those that were set at different boots differ by days."""
    if abs(offset_ms) < _MS_PER_S:
        return f"{offset_ms:+.2f}"
    return f"{offset_ms / _MS_PER_S:+.0f} s"


def _summary(machines: Sequence[MachineRow]) -> Text:
    failing = [row for row in machines if row.failing]
    late = [row.lateness_p99_ms for row in machines if row.lateness_p99_ms is not None]
    text = f" {len(machines) - len(failing)} of {len(machines)} machines well"
    text += f"  {sum(row.engines for row in machines)} engines  late p99 {fmt.millis(max(late, default=None))} ms"
    if failing:
        text += "  ! " + ", ".join(f"{row.name} {row.state}" for row in failing)
    return Text(text, "yellow" if failing else "dim")
