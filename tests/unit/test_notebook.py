"""The record of an experiment of several runs: when it remains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coordinator.experiment.notebook import Notebook
from coordinator.experiment.sweep import VmSweep
from coordinator.fleet.choice import FleetChoice
from coordinator.record.reader import load
from coordinator.run.interrupts import NothingMeasuredError
from loadgen.model.errors import TargetError
from loadgen.model.plan import SpecPlan


def fail(directory: Path, error: Exception, *, again: bool = False) -> None:
    """Write the record of a sweep whose first run raises `error`."""
    sweep = VmSweep(SpecPlan(vms=2), (1, 2))
    header = load(directory).header if again else None
    with Notebook(sweep, directory, FleetChoice(), ("loadgen", "spec"), (), again=header):
        raise error


def test_a_sweep_whose_first_run_cannot_be_begun_leaves_no_record(tmp_path: Path) -> None:
    with pytest.raises(TargetError):
        fail(tmp_path / "run", TargetError("nobody answers"))
    assert not (tmp_path / "run").exists()


def test_a_sweep_that_ends_in_another_way_or_is_continued_stays(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        fail(tmp_path / "run", RuntimeError("a bug"))
    assert json.loads((tmp_path / "run" / "run.json").read_text())["verdict"] == "unfinished"
    with pytest.raises(TargetError):
        fail(tmp_path / "run", TargetError("nobody answers"), again=True)
    with pytest.raises(NothingMeasuredError):  # the user stopped it, and may resume it
        fail(tmp_path / "interrupted", NothingMeasuredError("interrupted"))
    assert json.loads((tmp_path / "interrupted" / "run.json").read_text())["vms"] == [1, 2]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["verdict"] == "unfinished"
