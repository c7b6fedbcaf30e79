"""Load machines as lines of the live screen: engines, CPU, lateness, clock, and the time since the last report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from rich.text import Text

from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.runview import MachineRow
from loadgen.model.units import NS_PER_MS

LOCAL = "local"
"""The name of this machine when it makes the load itself."""

_SILENT = ("silent", "lost")
_NAME = 12
_STATE = 7
_MS_PER_S = 1000


class _State(Protocol):
    @property
    def value(self) -> str: ...


class _Clock(Protocol):
    @property
    def offset_ns(self) -> int: ...

    @property
    def error_ns(self) -> int: ...


class Status(Protocol):
    """A fleet's report about one of its machines at one moment."""

    @property
    def name(self) -> str:
        """The name of the machine."""

    @property
    def state(self) -> _State:
        """One word for the state, as its value."""

    @property
    def engines(self) -> int:
        """The number of engines that are not lost."""

    @property
    def clock(self) -> _Clock:
        """The difference of the machine's clock to the coordinator's."""

    @property
    def cpu_share(self) -> float | None:
        """The share of all its cores that is used; None while it is not known."""

    @property
    def seen_ago_s(self) -> float:
        """The time since the machine last reported."""

    @property
    def why(self) -> str:
        """The problem of the machine; "" when there is none."""


def machine_rows(machines: Iterable[Status], late_ms: Mapping[str, float]) -> tuple[MachineRow, ...]:
    """The rows of all machines but this one; `late_ms` is the lateness in the interval, by machine."""
    return tuple(_row(one, late_ms) for one in machines if one.name != LOCAL)


def _row(status: Status, late_ms: Mapping[str, float]) -> MachineRow:
    return MachineRow(
        name=status.name,
        state=status.state.value,
        engines=status.engines,
        cpu_share=status.cpu_share,
        lateness_p99_ms=late_ms.get(status.name),
        offset_ms=status.clock.offset_ns / NS_PER_MS,
        offset_error_ms=status.clock.error_ns / NS_PER_MS,
        seen_ago_s=status.seen_ago_s,
        failing=bool(status.why) or status.state.value in _SILENT,
    )


def machine_lines(machines: Sequence[MachineRow], lines: int, *, ascii_only: bool) -> list[Text]:
    """One line per machine when `lines` is their number; else one line for all, or none when `lines` is 0."""
    if lines == len(machines):
        return [machine_line(row, ascii_only=ascii_only) for row in machines]
    return [_summary(machines)] if lines else []


def machine_line(row: MachineRow, *, ascii_only: bool) -> Text:
    """The line of one machine, at most 80 columns wide."""
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
    """A difference of clocks in ms, or in s from one second on: after different boots it may be days."""
    if abs(offset_ms) < _MS_PER_S:
        return f"{offset_ms:+.2f}"
    return f"{offset_ms / _MS_PER_S:+.0f}s"


def _summary(machines: Sequence[MachineRow]) -> Text:
    failing = [row for row in machines if row.failing]
    late = [row.lateness_p99_ms for row in machines if row.lateness_p99_ms is not None]
    text = f"{len(machines) - len(failing)} of {len(machines)} machines are well"
    text += f"  {sum(row.engines for row in machines)} engines  late p99 {fmt.millis(max(late, default=None))} ms"
    if failing:  # first, because the end of the line may be cut off
        text = f"{', '.join(f'{row.name} {row.state}' for row in failing)}  {text}"
    return Text(f"{'!' if failing else ' '}{text}", "yellow" if failing else "dim")
