"""A `loadgen http` run over a fake fleet."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

import pytest

from coordinator.fleet.choice import FleetChoice
from coordinator.kinds.http.kind import HttpKind
from coordinator.output.judged import Judged
from coordinator.output.terminal.http_view import HttpView
from coordinator.run import tape_player, traffic
from coordinator.run.api import Around
from coordinator.run.frame import Run
from deploy.vms import inventory
from loadgen.model.http_plan import HttpPlan
from loadgen.verdict.http_result import HttpResult
from tests.support.fleets import FakeFleet
from tests.support.https import PLAN
from workloads.http import workload

WORKERS = ["fake/0", "fake/1"]


class ObservingView:
    """A view that calls `see` with all values that it is to show."""

    def __init__(self, see: Callable[[HttpView], None] = lambda view: None) -> None:
        self.update = see

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Judged[HttpPlan, HttpResult]]:
    """Run a plan; its record is in `tmp_path/run`."""

    async def all_there(*_: object, **__: object) -> list[str]:
        return []

    monkeypatch.setattr(tape_player, "make_fleet", lambda *_, **__: FakeFleet(WORKERS))
    monkeypatch.setattr(inventory, "reach", all_there)

    def run(
        view: ObservingView, before: Callable[[asyncio.AbstractEventLoop], None] = lambda loop: None
    ) -> Judged[HttpPlan, HttpResult]:
        async def scenario() -> Judged[HttpPlan, HttpResult]:
            around = Around(cache=tmp_path, say=lambda text: None, progress=lambda done, total: None, view=view)
            before(asyncio.get_running_loop())
            return await Run(
                kind=HttpKind(),
                plan=PLAN,
                fleet=FleetChoice(),
                directory=tmp_path / "run",
                around=around,
                command_line=("loadgen",),
            ).run()

        return asyncio.run(asyncio.wait_for(scenario(), 60))

    return run


def test_the_record_names_the_engines_before_the_run_has_ended(
    play: Callable[..., Judged[HttpPlan, HttpResult]], tmp_path: Path
) -> None:
    written: list[dict[str, Any]] = []
    judged = play(ObservingView(lambda view: written.append(json.loads((tmp_path / "run/run.json").read_text()))))
    assert {document["verdict"] for document in written} == {"unfinished"}
    assert [one["worker"] for one in written[-1]["fleet"]["engines"]] == WORKERS
    assert [one.worker for one in judged.header.own_fleet.engines] == WORKERS


@pytest.mark.parametrize(
    ("module", "work"),
    [(tape_player, "place_on"), (workload, "compile_http"), (traffic, "assignments")],
)
def test_the_loop_goes_on_while_hundreds_of_machines_get_their_parts(
    play: Callable[..., Judged[HttpPlan, HttpResult]], monkeypatch: pytest.MonkeyPatch, module: ModuleType, work: str
) -> None:
    """The loop must continue because it renews leases."""
    done = getattr(module, work)
    waited: list[bool] = []

    def hold_up(loop: asyncio.AbstractEventLoop) -> None:
        def waits_for_the_loop(*arguments: Any, **named: Any) -> Any:
            turn = threading.Event()
            loop.call_soon_threadsafe(turn.set)
            waited.append(turn.wait(10))
            return done(*arguments, **named)

        monkeypatch.setattr(module, work, waits_for_the_loop)

    play(ObservingView(), hold_up)
    assert waited == [True]
