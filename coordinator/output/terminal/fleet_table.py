"""The output of `loadgen fleet check`: one row per machine, and one sentence per machine with a problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from rich.console import Group, RenderableType
from rich.text import Text

from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.machines import say_offset
from coordinator.output.terminal.parts import add_row, bullets, plain_table
from loadgen.model.units import NS_PER_MS

_TITLES = ("ver", "cores", "files", "ports", "GB", "clock ms", "±")


class _Clock(Protocol):
    @property
    def offset_ns(self) -> int: ...

    @property
    def error_ns(self) -> int: ...


class _Machine(Protocol):
    @property
    def loadgen(self) -> str: ...

    @property
    def workers(self) -> Sequence[str]: ...

    @property
    def cores(self) -> int: ...

    @property
    def open_files(self) -> int: ...

    @property
    def sysctls(self) -> Mapping[str, str]: ...

    @property
    def spool(self) -> str: ...

    @property
    def spool_free_bytes(self) -> int: ...


class Row(Protocol):
    """One machine that was checked."""

    @property
    def name(self) -> str:
        """The name of the machine."""

    @property
    def machine(self) -> _Machine | None:
        """The machine's report about itself; None when the machine cannot be reached."""

    @property
    def clock(self) -> _Clock:
        """The difference of the machine's clock to the coordinator's."""

    @property
    def send_bps(self) -> float | None:
        """The rate from the coordinator to the machine; None when it was not measured."""

    @property
    def receive_bps(self) -> float | None:
        """The rate from the machine to the coordinator; None when it was not measured."""

    @property
    def problem(self) -> str:
        """The problem of the machine; "" when there is none."""

    @property
    def usable(self) -> bool:
        """Whether the machine can take part in a run."""


def fleet_table(rows: Sequence[Row]) -> RenderableType:
    """The table and the sentences, at most 80 columns wide."""
    measured = any(row.send_bps is not None for row in rows)
    table = plain_table("")
    table.add_column("", min_width=4)
    table.add_column("machine", no_wrap=True, max_width=14 if measured else 20)
    titles = [*_TITLES, *(("Mb/s", "back") if measured else ())]
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        cells = _cells(row) if row.usable else [fmt.NOTHING] * len(_TITLES)
        if measured:
            cells += [_mbit(row.send_bps), _mbit(row.receive_bps)]
        add_row(table, _mark(row), row.name, *cells)
    parts: list[RenderableType] = [table]
    problems = [f"{row.name}: {row.problem}" for row in rows if row.problem]
    if problems:
        parts += [Text(), bullets("-", problems)]
    usable = sum(row.usable for row in rows)
    engines = sum(len(row.machine.workers) for row in rows if row.machine)
    parts += [Text(), Text(f"{usable} of {len(rows)} machines can be used, with {engines} engines")]
    return Group(*parts)


def _mark(row: Row) -> Text:
    if not row.usable:
        return Text("FAIL", "bold red")
    return Text("warn", "yellow") if row.problem else Text("ok", "green")


def _cells(row: Row) -> list[str]:
    assert row.machine is not None
    machine = row.machine
    words = machine.sysctls.get("net.ipv4.ip_local_port_range", "").split()
    return [
        machine.loadgen,
        fmt.count(machine.cores),
        _short(machine.open_files),
        _short(int(words[1]) - int(words[0]) + 1) if len(words) == 2 else fmt.NOTHING,
        f"{machine.spool_free_bytes / 1e9:,.1f}" if machine.spool else fmt.NOTHING,
        say_offset(row.clock.offset_ns / NS_PER_MS),
        f"{row.clock.error_ns / NS_PER_MS:.2f}",
    ]


def _short(number: int) -> str:
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if number >= 10 * size:
            return f"{number // size}{unit}"
    return str(number)


def _mbit(rate_bps: float | None) -> str:
    return fmt.NOTHING if rate_bps is None else f"{rate_bps / 1e6:.0f}"
