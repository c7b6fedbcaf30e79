"""Which runs of an experiment its page shows, when there is no room for all."""

from __future__ import annotations

import dataclasses

from coordinator.output.html.report import _RUNS, chosen_runs
from coordinator.output.measured import Unread
from tests.support import finds


def test_the_runs_nearest_to_the_answer_of_a_search_are_shown_in_their_order() -> None:
    found = finds.find(finds.exactly(100))
    found = dataclasses.replace(
        found, steps=tuple(dataclasses.replace(step, record=f"run-{at}") for at, step in enumerate(found.steps))
    )
    parts = [Unread(name=step.record, why="") for step in found.steps]
    shown = [part.name for part in chosen_runs(found, parts)]
    assert len(parts) > len(shown) == _RUNS
    assert shown == [part.name for part in parts if part.name in shown]
    distance = {step.record: abs(step.value - found.capacity.value) for step in found.steps}
    assert max(distance[name] for name in shown) <= min(distance[part.name] for part in parts if part.name not in shown)


def test_other_experiments_show_their_first_runs() -> None:
    parts = [Unread(name=f"run-{number}", why="") for number in range(20)]
    assert chosen_runs(None, parts) == parts[:_RUNS]
