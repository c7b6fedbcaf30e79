"""The record of an experiment of several runs: when it remains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coordinator.experiment.executor import Outcome
from coordinator.experiment.find import FindCapacity
from coordinator.experiment.notebook import Notebook
from coordinator.experiment.sweep import VmSweep
from coordinator.fleet.choice import FleetChoice
from coordinator.output.judged import Judged
from coordinator.record.reader import load
from coordinator.run.interrupts import NothingMeasuredError
from loadgen.model.errors import TargetError
from loadgen.model.plan import SpecPlan
from loadgen.verdict.capacity import Seen, Trial
from tests.support import finds


def fail(directory: Path, error: Exception, *, again: bool = False) -> None:
    """Write the record of a sweep whose first run raises `error`."""
    sweep = VmSweep(SpecPlan(vms=2), (1, 2))
    header = load(directory).header if again else None
    with Notebook(sweep, directory, FleetChoice(), ("loadgen", "spec"), (), again=header):
        raise error


def test_what_was_cut_says_how_much_was_measured_and_why_no_more(tmp_path: Path) -> None:
    """The number of all runs of a search is not known."""
    found = finds.of([Trial(4, Seen.HELD), Trial(8, Seen.HELD)])
    header = finds.header(found.wanted)
    done = tuple(Judged(path=tmp_path / one.record, document={}, header=header, result=one) for one in found.steps)
    search = FindCapacity(header.plan, found.wanted, found.search)
    failed = TargetError("127.0.0.1:80: connection refused")
    for number, said in ((1, "1 run was measured"), (2, "2 runs were measured")):
        with Notebook(search, tmp_path / str(number), FleetChoice(), ("loadgen",), (), again=None) as notebook:
            answer = search.answer(done[:number])
            cut = notebook.close(Outcome(done=done[:number], answer=answer, failed=failed)).cut
        assert cut == f"{said}; the next one was not: 127.0.0.1:80: connection refused"


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
