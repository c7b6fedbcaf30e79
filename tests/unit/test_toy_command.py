"""The command of CONTRIBUTING's recipe is found through the list of commands, and plays an experiment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from coordinator.cli.commands import COMMANDS
from coordinator.cli.lazy import LazyGroup
from coordinator.experiment.performance import Session
from coordinator.record.document import unfinished
from loadgen.model.entry import Entry
from tests.support import results
from tests.support.toy_experiment import UntilConforming

TOY = Entry("tests.support.toy_command:again", "Repeat a recorded run until it conforms, at most MOST times.")
GROUP = LazyGroup(name="loadgen", entries={**COMMANDS, "again": TOY})


def test_the_toy_plays_its_experiment_on_the_plan_of_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions: list[Session] = []

    def run_session(session: Session) -> int:
        sessions.append(session)
        return 0

    monkeypatch.setattr("coordinator.experiment.session.run_session", run_session)
    (tmp_path / "run.json").write_text(json.dumps(unfinished(results.header(2))))
    done = CliRunner().invoke(GROUP, ["again", str(tmp_path), "3", "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert [one.experiment for one in sessions] == [UntilConforming(results.header(2).plan, most=3)]
    assert sessions[0].form == "json"


def test_the_toy_is_listed_with_its_summary() -> None:
    done = CliRunner().invoke(GROUP, ["--help"])
    assert "again" in done.output
    assert "Repeat a recorded run" in done.output


@pytest.mark.parametrize("arguments", [["again", "nothing-here", "0"], ["again"]])
def test_a_wrong_call_is_refused(arguments: list[str]) -> None:
    assert CliRunner().invoke(GROUP, arguments).exit_code == 2
