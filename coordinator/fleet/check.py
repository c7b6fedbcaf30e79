"""Checks a fleet before a run: reaches each machine, and describes it or says why it cannot be used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from coordinator.fleet.api import Fleet
from loadgen.model.errors import FleetError, LoadgenError
from loadgen.model.machine import Clock, Machine

MAX_CLOCK_ERROR_NS = 1_000_000
"""A clock that is known less exactly than this gets a warning."""

MIN_OPEN_FILES = 1024
MIN_SPOOL_BYTES = 64 << 20


class Measuring(Fleet, Protocol):
    """A fleet whose machines can measure their bandwidth."""

    async def bandwidth(self, machine: str, host: str, port: int) -> tuple[float, float]:
        """Return the bit/s that a machine sends to an address and receives from it.  Raises LoadgenError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The result of checking one machine.

    If `machine` is None it cannot be used, and `problem` says why; otherwise `problem` is a warning, or empty.
    `send_bps` and `receive_bps` are None if they were not measured.
    """

    name: str
    machine: Machine | None = None
    clock: Clock = field(default_factory=Clock)
    send_bps: float | None = None
    receive_bps: float | None = None
    problem: str = ""

    @property
    def usable(self) -> bool:
        """Whether it can take part in a run."""
        return self.machine is not None


async def check_fleet(fleet: Measuring, bandwidth_to: tuple[str, int] | None) -> list[Checked]:
    """Check every machine that was asked for; usable ones come first.  The fleet is open afterwards if any is usable.

    Bandwidth is measured on one machine after the other, because they may share a link.
    """
    try:
        await fleet.open()
    except FleetError:
        if not fleet.missing:
            raise
    rows = []
    for machine in fleet.machines:
        clock = fleet.clocks()[machine.name]
        send_bps = receive_bps = None
        problem = _warning(machine, clock)
        if bandwidth_to is not None:
            try:
                send_bps, receive_bps = await fleet.bandwidth(machine.name, *bandwidth_to)
            except LoadgenError as error:
                problem = f"its bandwidth could not be measured: {error.message}"
        rows.append(
            Checked(
                name=machine.name,
                machine=machine,
                clock=clock,
                send_bps=send_bps,
                receive_bps=receive_bps,
                problem=problem,
            )
        )
    return [*rows, *(Checked(name=name, problem=why) for name, why in fleet.missing.items())]


def _warning(machine: Machine, clock: Clock) -> str:
    """Return the first condition of a usable machine that may disturb a run; "" if there is none."""
    if clock.error_ns > MAX_CLOCK_ERROR_NS:
        return f"its clock is known to ±{clock.error_ns / 1e6:.1f} ms only; the link to it may be busy"
    if machine.open_files < MIN_OPEN_FILES:
        return f"an engine may open {machine.open_files} files, which limits it to few connections (ulimit -n)"
    if machine.spool and machine.spool_free_bytes < MIN_SPOOL_BYTES:
        return f"{machine.spool} has {machine.spool_free_bytes / 1e6:.0f} MB free, which is enough for short runs only"
    return ""
