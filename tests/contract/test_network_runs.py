"""A network run from plan to judgement, with a child that follows the test's script."""

from __future__ import annotations

import asyncio
import errno
import json
from pathlib import Path
from typing import Any, Self

import msgpack
import pytest

from coordinator.ends import ProbeEnd
from coordinator.kinds.iperf.kind import IperfKind
from coordinator.output.terminal.progress import Progress
from coordinator.run.api import Around
from coordinator.run.frame import Run
from coordinator.run.network import NetworkMeasured
from loadgen.host.addresses import is_here
from loadgen.measure.throughput import ProbeResult, Tick
from loadgen.model.errors import TargetError
from loadgen.model.plain import to_plain
from loadgen.model.probe import Direction, IperfPlan
from loadgen.model.units import NS_PER_S
from loadgen.verdict.network import IperfResult
from loadgen.verdict.result import Verdict
from tests.support.networks import probe_result

ROOT = Path(__file__).parents[2]
HELLO = [{"is": "hello", "pid": 1, "version": "1"}]
PLAN = IperfPlan(
    host="192.0.2.1", windows_bytes=(65536,), directions=(Direction.SEND,), repeats=3, duration_ns=NS_PER_S
)
TICK = Tick(start_ns=0, end_ns=NS_PER_S, omitted=False, sent_bytes=125_000_000, received_bytes=0)
TICKED = {"is": "tick", "id": 1, "tick": to_plain(TICK)}
NOBODY = {"is": "failed", "id": 1, "whose": "target", "message": "nobody answers", "hint": "start one"}


IperfTestRun = Run[IperfPlan, NetworkMeasured[ProbeResult], IperfResult]


class Seen:
    """A view that keeps what it was shown, and interrupts the run at the first tick of a step."""

    def __init__(self) -> None:
        self.all: list[Progress] = []
        self.left = False
        self.run: IperfTestRun | None = None
        self.interrupt_at = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.left = True

    def update(self, view: Progress, /) -> None:
        self.all.append(view)
        if self.run is not None and view.step == self.interrupt_at and view.ticks:
            assert self.run.interrupt()


def stream(mbit_per_s: float) -> dict[str, Any]:
    result = probe_result(PLAN.test(65536, Direction.SEND), mbit_per_s)
    return {"is": "result", "id": 1, "result": to_plain(result)}


def run_in(directory: Path, view: Seen) -> IperfTestRun:
    around = Around(cache=directory, say=lambda text: None, progress=lambda done, total: None, view=view)
    return Run(
        kind=IperfKind(),
        plan=PLAN,
        fleet=None,
        directory=directory,
        around=around,
        command_line=("loadgen", "iperf"),
    )


def playing(
    script: list[Any], directory: Path, monkeypatch: pytest.MonkeyPatch, *, interrupt_at: int = 0
) -> tuple[IperfResult, Seen]:
    """Play a run whose probe answers with `script`, one step for each test."""
    monkeypatch.setattr(ProbeEnd, "module", "tests.support.fake_end")
    monkeypatch.setenv("FAKE_END", json.dumps([HELLO, *script]))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    seen = Seen()
    run = run_in(directory, seen)
    if interrupt_at:
        seen.run, seen.interrupt_at = run, interrupt_at
    judged = asyncio.run(run.run())
    assert seen.left
    return judged.result, seen


def kept(directory: Path) -> list[Any]:
    unpacker = msgpack.Unpacker()
    unpacker.feed((directory / "intervals.msgpack").read_bytes())
    return list(unpacker)


def test_all_tests_are_played_shown_recorded_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = [[TICKED, stream(rate)] for rate in (800, 1000, 900)]
    result, seen = playing(script, tmp_path / "run", monkeypatch)
    assert [row.mbit_per_s for row in result.rows] == [pytest.approx(900)]
    assert len(kept(tmp_path / "run")) == 3
    document = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (document["verdict"], document["kind"]) == (result.verdict.value, "iperf")
    last = seen.all[-1]
    assert (last.step, last.steps, round(last.total_s, 1)) == (3, 3, 3.6)
    assert [label for label, _ in last.finished] == ["send 64K 1/3", "send 64K 2/3", "send 64K 3/3"]
    assert [rate for _, rate in last.finished] == [pytest.approx(rate) for rate in (800, 1000, 900)]
    assert [one.label for one in seen.all if one.ticks == (TICK,)] == [label for label, _ in last.finished]


def test_a_failed_first_test_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TargetError, match="nobody answers"):
        playing([[NOBODY]], tmp_path / "run", monkeypatch)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("step", "why"), [([NOBODY], "send 64K 2/3: nobody answers"), ("die", "the probe has ended: killed by signal 9")]
)
def test_a_later_failure_keeps_the_finished_tests(
    step: Any, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, _ = playing([[stream(900)], step], tmp_path / "run", monkeypatch)
    assert [row.repeats for row in result.rows] == [1]
    assert why in " ".join((*result.reasons, *result.notes))
    assert result.verdict is not Verdict.CONFORMING
    assert len(kept(tmp_path / "run")) == 1


def test_an_interruption_keeps_the_finished_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = {**NOBODY, "whose": "stopped"}
    result, _ = playing([[stream(900)], [TICKED], [stopped]], tmp_path / "run", monkeypatch, interrupt_at=2)
    assert (result.verdict, [row.repeats for row in result.rows]) == (Verdict.INTERRUPTED, [1])
    assert int(result.exit_code) == 130


def test_before_the_first_test_there_is_nothing_to_interrupt(tmp_path: Path) -> None:
    assert not run_in(tmp_path, Seen()).interrupt()


@pytest.mark.parametrize(
    ("host", "here"), [("127.0.0.1", True), ("::1", True), ("192.0.2.1", False), ("no.such.invalid", False)]
)
def test_addresses_of_this_machine_are_recognised(host: str, here: bool) -> None:
    assert is_here(host) is here


def test_an_address_family_that_the_kernel_lacks_is_not_local(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr("loadgen.host.addresses.socket.socket", refuse)
    assert not is_here("192.0.2.1")
