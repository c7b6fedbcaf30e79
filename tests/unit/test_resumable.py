"""The runs that are left, according to the record of a stopped sweep."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from coordinator.experiment.api import Next
from coordinator.experiment.resume import how_to_continue, resumable, set_aside
from coordinator.record.document import finished, unfinished
from coordinator.record.find_result import Wanted
from coordinator.record.header import Header
from coordinator.record.kinds import (
    KIND_HTTP,
    KIND_HTTP_COMPARE,
    KIND_HTTP_FIND,
    KIND_HTTP_HEADROOM,
    KIND_PAPER,
    KIND_RELATIVE,
    KIND_SPEC_REPEATS,
    KIND_SWEEP,
)
from coordinator.record.sweep_result import Sweep, SweepPoint
from coordinator.record.writer import RecordWriter
from loadgen.model.errors import LoadgenError, PlanError
from loadgen.model.plan import SpecPlan
from loadgen.model.target import Target
from loadgen.verdict.result import Verdict
from tests.support import finds, results

END = "2026-02-03T05:00:00+00:00"
VMS = (1, 2, 3)
TARGETS = tuple(Target(name=f"t{n}", host="192.0.2.1", port=8000 + n) for n in range(3))


def point(vms: int, verdict: Verdict = Verdict.CONFORMING) -> SweepPoint:
    result = dataclasses.replace(results.run_result(vms), verdict=verdict)
    return SweepPoint(vms, results.header(vms), result, f"vms-{vms}")


def written(directory: Path, sweep: Sweep, *, targets: tuple[Target, ...] = (), ended: bool = False) -> Path:
    plan = dataclasses.replace(results.header(3).plan, targets=targets)
    header: Header[SpecPlan] = dataclasses.replace(results.header(3), kind=KIND_SWEEP, plan=plan)
    document = finished(header, sweep, finished_at=END) if ended else unfinished(header, sweep)
    (directory / "run.json").write_text(json.dumps(document))
    return directory


def test_finished_points_are_used_again_and_the_next_point_is_played(tmp_path: Path) -> None:
    found = resumable(written(tmp_path, Sweep(vms=VMS, points=(point(1), point(2, Verdict.INVALID)))))
    assert [one.path.name for one in found.done] == ["vms-1", "vms-2"]
    step = found.experiment.plan(found.done)
    assert isinstance(step, Next)
    assert (step.plan.vms, step.record) == (3, "vms-3")


def test_a_point_that_the_user_interrupted_is_played_again(tmp_path: Path) -> None:
    sweep = Sweep(vms=VMS, points=(point(1), point(2, Verdict.INTERRUPTED)))
    found = resumable(written(tmp_path, sweep, ended=True))
    step = found.experiment.plan(found.done)
    assert isinstance(step, Next)
    assert step.plan.vms == 2


def test_a_sweep_that_was_cut_in_its_first_point_starts_with_this_point(tmp_path: Path) -> None:
    found = resumable(written(tmp_path, Sweep(vms=VMS)))
    assert found.done == ()
    step = found.experiment.plan(())
    assert isinstance(step, Next)
    assert step.plan.vms == 1


def test_the_targets_of_points_that_did_not_start_are_known(tmp_path: Path) -> None:
    found = resumable(written(tmp_path, Sweep(vms=VMS), targets=TARGETS))
    assert found.experiment.shown.targets == TARGETS
    step = found.experiment.plan(())
    assert isinstance(step, Next)
    assert step.plan.targets == TARGETS[:1]


def test_a_finished_sweep_is_not_resumed(tmp_path: Path) -> None:
    whole = Sweep(vms=VMS, points=tuple(point(vms) for vms in VMS))
    with pytest.raises(PlanError, match="nothing is left to play"):
        resumable(written(tmp_path, whole, ended=True))


def test_a_single_run_is_not_resumed_and_the_hint_repeats_it(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(unfinished(results.header())))
    with pytest.raises(
        LoadgenError, match="is one run of loadgen spec; only an experiment of several runs can be continued"
    ) as caught:
        resumable(tmp_path)
    assert caught.value.hint == f"repeat it: loadgen spec --replay {tmp_path}"


def test_the_record_of_a_cut_run_is_kept_under_a_free_name(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / "vms-3").mkdir()
        assert set_aside(tmp_path / "vms-3") == tmp_path / f"vms-3.cut-{number}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["vms-3.cut-1", "vms-3.cut-2"]


def test_a_search_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    begun = finds.find(runs=3)
    (tmp_path / "run.json").write_text(json.dumps(unfinished(finds.header(), begun)))
    found = resumable(tmp_path)
    step = found.experiment.plan(found.done)
    assert isinstance(step, Next)
    assert step.plan.vms == finds.find(runs=4).steps[-1].value
    assert found.experiment.answer(found.done).result == begun


def test_a_run_that_the_user_interrupted_is_played_again_by_a_search(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(finished(finds.header(), finds.interrupted(), finished_at=END)))
    found = resumable(tmp_path)
    assert len(found.done) == 2
    step = found.experiment.plan(found.done)
    assert isinstance(step, Next)
    assert step.record == "vms-6"


def test_what_can_be_continued_is_told_with_its_command(tmp_path: Path) -> None:
    for kind in (KIND_SWEEP, KIND_HTTP_FIND, KIND_SPEC_REPEATS, KIND_HTTP_COMPARE, KIND_RELATIVE, KIND_PAPER):
        assert how_to_continue(kind, tmp_path) == f"loadgen resume {tmp_path}"
    for kind in (KIND_HTTP, KIND_HTTP_HEADROOM):
        assert how_to_continue(kind, tmp_path) == ""


def test_a_search_that_is_over_is_not_resumed(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(finished(finds.header(), finds.find(), finished_at=END)))
    with pytest.raises(PlanError, match="nothing is left to play"):
        resumable(tmp_path)


@pytest.mark.parametrize("kept", [True, False])
def test_an_experiment_whose_secrets_are_masked_is_not_continued_with_masks(tmp_path: Path, kept: bool) -> None:
    header = finds.header(Wanted.RATE)
    requests = tuple(dataclasses.replace(one, headers=("Authorization: Bearer abc",)) for one in header.plan.requests)
    header = dataclasses.replace(header, plan=dataclasses.replace(header.plan, requests=requests), shows_secrets=kept)
    RecordWriter(tmp_path / "run", unfinished(header, finds.find(wanted=Wanted.RATE, runs=0))).close()
    if kept:
        assert resumable(tmp_path / "run").done == ()
        return
    with pytest.raises(PlanError, match=r"cannot be continued: .*\*\*\*.*Authorization") as raised:
        resumable(tmp_path / "run")
    assert "--record-secrets" in raised.value.hint
