"""The numbers that stand beside the paper's, and their paper's figures."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.experiment.paper_ours import ours_of
from coordinator.output.terminal.paper_report import number_text
from coordinator.record.find_result import Wanted
from loadgen.model.paper import Experiment
from loadgen.verdict.network import judge_iperf
from loadgen.verdict.paper import Ours
from loadgen.verdict.paper_figures import PARTS, Printed
from loadgen.verdict.result import Verdict
from tests.support import finds, papers
from tests.support.networks import IPERF, iperf_results


def numbers(experiment: Experiment, result: Any) -> dict[str, Ours]:
    return {one.key: one for one in ours_of(experiment, result)}


def test_a_sweep_gives_the_conforming_connections_of_each_number_of_vms() -> None:
    found = numbers(Experiment.SPEC, papers.sweep())
    assert {"1 VM", "4 VMs", "16 VMs", "fair 16"} <= set(found)
    assert (found["16 VMs"].value, found["16 VMs"].of) == (320, 320)


def test_a_point_that_is_invalid_has_no_number_and_the_others_keep_theirs() -> None:
    found = numbers(Experiment.SPEC, papers.sweep(Verdict.INVALID))
    assert found["4 VMs"].value == 80
    assert (found["16 VMs"].value, found["16 VMs"].of) == (None, None)
    assert number_text(found["16 VMs"]) == "INVALID"
    assert "fair 16" not in found


def test_a_capacity_is_given_with_its_bounds() -> None:
    found = numbers(Experiment.CAPACITY, finds.find(wanted=Wanted.CONNECTIONS))["capacity"]
    assert (found.value, found.at_least) == (6, False)
    assert numbers(Experiment.CAPACITY, finds.find(finds.exactly(0))) == {}


def test_the_rates_through_a_lab_stand_beside_both_directions_of_the_paper() -> None:
    found = numbers(Experiment.TCP, papers.forwarded())
    assert PARTS[Experiment.TCP].printed["16K"] == Printed(linux="524/593", vserver="524/593", xen="348/425")
    assert set(found) == {"16K", "32K", "64K", "128K", "256K"} <= set(PARTS[Experiment.TCP].printed)


def test_the_rates_to_a_peer_stand_beside_their_own_direction() -> None:
    found = numbers(Experiment.TCP, judge_iperf(IPERF, iperf_results(), others=papers.QUIET))
    assert PARTS[Experiment.TCP].printed["receive 16K"] == Printed(linux="524", vserver="524", xen="348")
    assert set(found) <= set(PARTS[Experiment.TCP].printed)
    assert (found["receive 16K"].low, found["receive 16K"].high) == (504.0, 505.5)


def test_micro_benchmarks_say_how_many_times_as_slow() -> None:
    found = numbers(Experiment.MICRO, papers.micro())
    assert set(found) == {"fork and exit", "page fault"}  # the rows of the paper only
    slower = found["page fault"]
    assert slower.value is not None
    assert slower.low is not None
    assert slower.high is not None
    assert 1.4 < slower.low < slower.value < slower.high < 1.6


@pytest.mark.parametrize("experiment", [Experiment.PACK, Experiment.ISOLATE, Experiment.COMPILE])
def test_each_experiment_has_numbers_beside_those_of_the_paper(experiment: Experiment) -> None:
    found = numbers(experiment, papers.GOOD[experiment])
    assert set(found) & set(PARTS[experiment].printed)


@pytest.mark.parametrize("experiment", [Experiment.TCP, Experiment.FORWARD])
def test_a_result_without_trust_gives_no_number(experiment: Experiment) -> None:
    assert numbers(experiment, papers.forwarded(papers.QUIET))
    assert numbers(experiment, papers.forwarded(papers.BUSY)) == {}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Ours(key="", what="", value=940.4, low=931.0, high=941.2), "940 (931-941)"),
        (Ours(key="", what="", value=20, of=20), "20 of 20"),
        (Ours(key="", what="", value=0.1234, at_least=True), ">= 0.12"),
        (Ours(key="", what="", value=12.34), "12.3"),
    ],
)
def test_numbers_are_written_with_about_three_digits(number: Ours, text: str) -> None:
    assert number_text(number) == text
