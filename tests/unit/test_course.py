"""What a course of network tests tells about other processes on the cores of this end."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from coordinator.run import course as module
from coordinator.run.course import Course
from loadgen.host.neighbours import OtherUse
from loadgen.measure.throughput import ProbeResult
from loadgen.model.probe import Kind
from tests.support.networks import iperf_results

SECOND = 1_000_000_000


class Watch:
    """Stands for QuietWatch: each test has a use, or none when it was not watched."""

    uses: list[OtherUse]
    begun: list[tuple[Sequence[int], Iterable[int]]]

    def __init__(self, ours: object) -> None:
        self._watches = False

    def begin(self, pids: Sequence[int], also_ours: Iterable[int] = ()) -> None:
        self.begun.append((pids, also_ours))
        self._watches = True

    def end(self) -> OtherUse | None:
        return self.uses.pop(0) if self._watches else None


class Probe:
    pid = 7


def played(
    monkeypatch: pytest.MonkeyPatch, tests: Sequence[ProbeResult], used_ns: Sequence[int], servers: Any = ()
) -> Course[ProbeResult]:
    Watch.uses = [OtherUse(used, SECOND, 1, f"make (pid {used})") for used in used_ns]
    Watch.begun = []
    monkeypatch.setattr(module, "QuietWatch", Watch)
    made = Course[ProbeResult](
        title="t", steps=9, total_ns=0, on_progress=lambda _: None, keep=lambda _: None, servers=servers
    )

    async def scenario() -> None:
        for test in tests:

            async def once(_: object, test: ProbeResult = test) -> ProbeResult:
                return test

            await made.play("label", Kind.STREAM, Probe(), once)  # type: ignore[arg-type]

    asyncio.run(scenario())
    return made


def test_quiet_cells_do_not_hide_a_disturbed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    one = iperf_results()[0]
    other = dataclasses.replace(one, test=dataclasses.replace(one.test, window_bytes=12345))
    found = played(monkeypatch, [one, one, other, other], [0, 0, 4 * SECOND // 10, 8 * SECOND // 10])
    assert found.others[0] == pytest.approx(0.6)
    assert found.others[1] == "make (pid 800000000)"
    repeats = played(monkeypatch, [one] * 4, [0, 0, 4 * SECOND // 10, 8 * SECOND // 10])
    assert repeats.others[0] == pytest.approx(0.3)


def test_servers_of_this_machine_are_no_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    one = iperf_results()[0]
    played(monkeypatch, [one], [0], servers={41, 42})
    assert Watch.begun == [([Probe.pid], {41, 42})]
    assert played(monkeypatch, [one], [SECOND], servers=None).others == (0.0, "")
