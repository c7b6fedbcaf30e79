"""Names in figures are shown as they are: nothing in them is markup, and none of them is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.kinds.catalog import judges
from coordinator.output.plot.catalog import PLOTS
from coordinator.output.plot.subjects import choose
from loadgen.model.errors import PlanError
from tests.support.plots import saved, texts_of
from tests.support.recorded import RECORDS

NAMES = ("$a$ & $b$", "_own", r"\$x")


@pytest.mark.parametrize("kind", ["conforming", "throughput", "latency"])
def test_names_are_no_markup_and_none_is_left_out_of_the_legend(kind: str, tmp_path: Path) -> None:
    case = {"conforming": "spec good", "throughput": "iperf good", "latency": "http good"}[kind]
    RECORDS[case](tmp_path / "run")
    _, subjects = choose([tmp_path / "run"] * len(NAMES), judges(), kind, NAMES)
    texts = " ".join(texts_of(saved(PLOTS[kind].read(subjects), tmp_path / "a.svg")))
    for name in NAMES:
        assert name.replace("&", "&amp;") in texts


def test_two_runs_cannot_have_one_name(tmp_path: Path) -> None:
    RECORDS["spec good"](tmp_path / "run")
    paths = [tmp_path / "run"] * 3
    with pytest.raises(PlanError, match="two runs have the --label 'Xen'") as why:
        choose(paths, judges(), None, ["Xen", "Linux", "Xen"])
    assert why.value.hint == "give each run a name of its own"
    with pytest.raises(PlanError, match="a --label is empty"):
        choose(paths, judges(), None, ["Xen", "Linux", " "])


def test_names_of_directories_stay_distinct_when_they_are_numbered(tmp_path: Path) -> None:
    paths = [tmp_path / "a" / "run", tmp_path / "b" / "run", tmp_path / "c" / "run (1)"]
    for path in paths:
        RECORDS["spec good"](path)
    _, subjects = choose(paths, judges(), None, [])
    assert [subject.name for subject in subjects] == ["run (2)", "run (3)", "run (1)"]
