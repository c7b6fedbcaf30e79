"""What the VMs of `loadgen isolate` need of a driver is checked before anything is made."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from coordinator.kinds.isolate.player import IsolatePlayer
from coordinator.kinds.isolate.street import Street
from coordinator.run.api import Around, Stage
from deploy.vms import catalog
from loadgen.model.entry import Entry
from loadgen.model.errors import PlanError
from loadgen.model.isolate import Hog, IsolatePlan
from loadgen.model.plan import Server

IDLE = IsolatePlan(hogs=(Hog.NONE,), server=Server.BUILTIN)


class Nowhere:
    """A stage that is never reached."""


def test_without_root_the_command_says_what_it_needs_and_makes_no_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    around = Around(cache=tmp_path, say=lambda text: None, progress=lambda done, total: None, view=None)  # type: ignore[arg-type]
    stage: Stage[IsolatePlan] = Nowhere()  # type: ignore[assignment]
    with pytest.raises(PlanError, match="ns needs root") as refused:
        asyncio.run(IsolatePlayer(IDLE, around).play(stage))
    assert "--vm-driver local" in refused.value.hint
    assert not list(tmp_path.iterdir())


def test_a_driver_that_cannot_run_programs_in_vms_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(catalog.DRIVERS, "toy", Entry("tests.support.toy_driver:Toy", "for tests"))
    with pytest.raises(PlanError, match="the VM driver toy cannot run hogs in its VMs"):
        Street(IsolatePlan(hogs=(Hog.NONE,), vm_driver="toy", server=Server.BUILTIN), tmp_path)
