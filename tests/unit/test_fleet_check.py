from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from coordinator.fleet.check import check_fleet
from loadgen.model.errors import FleetError, TargetError
from loadgen.model.machine import Clock, Machine
from tests.support.fleets import FakeFleet
from tests.support.results import three_machines

FIRST, SECOND, _ = three_machines(8).machines


class Checkable(FakeFleet):
    """A fleet of two usable machines, of which one has no network path to the server, and a missing machine."""

    def __init__(self, machines: tuple[Machine, ...] = (FIRST, SECOND), *, error_ns: int = 100_000) -> None:
        super().__init__([])
        self._of_test = machines
        self._error_ns = error_ns

    @property
    def machines(self) -> tuple[Machine, ...]:
        return self._of_test

    @property
    def missing(self) -> Mapping[str, str]:
        return {"c09": "it does not answer"}

    def clocks(self) -> Mapping[str, Clock]:
        return {one.name: Clock(error_ns=self._error_ns) for one in self._of_test}

    async def open(self) -> None:
        if not self._of_test:
            raise FleetError("no load machine can be used: c09: it does not answer")

    async def bandwidth(self, machine: str, host: str, port: int) -> tuple[float, float]:
        if machine == "c08":
            raise TargetError("nobody listens there")
        return 941e6, 940e6


def test_every_requested_machine_has_a_row() -> None:
    rows = asyncio.run(check_fleet(Checkable(), ("192.0.2.1", 5201)))
    assert [(row.name, row.usable, row.problem) for row in rows] == [
        ("c07", True, ""),
        ("c08", True, "its bandwidth could not be measured: nobody listens there"),
        ("c09", False, "it does not answer"),
    ]
    assert (rows[0].send_bps, rows[0].receive_bps, rows[1].send_bps) == (941e6, 940e6, None)


def test_when_no_machine_is_usable_each_has_a_reason() -> None:
    (row,) = asyncio.run(check_fleet(Checkable(()), None))
    assert (row.name, row.usable) == ("c09", False)


@pytest.mark.parametrize(
    ("machine", "error_ns", "warning"),
    [
        (FIRST, 3_000_000, "its clock is known to ±3.0 ms only"),
        (replace(FIRST, open_files=256), 0, "an engine may open 256 files"),
        (replace(FIRST, spool_free_bytes=5_000_000), 0, "has 5 MB free"),
    ],
    ids=["clock", "files", "space"],
)
def test_conditions_that_may_disturb_a_run_are_warnings(machine: Machine, error_ns: int, warning: str) -> None:
    row, _ = asyncio.run(check_fleet(Checkable((machine,), error_ns=error_ns), None))
    assert row.usable
    assert warning in row.problem
