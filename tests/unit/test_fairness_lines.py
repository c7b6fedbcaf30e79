"""The lines on fairness say in which iterations a VM differs, and when there is no second one to confirm it."""

from __future__ import annotations

import dataclasses

import pytest

from coordinator.output.terminal.fairness_lines import fairness_lines
from coordinator.output.terminal.intervals import Words
from loadgen.verdict.fair_result import Differing, Starved
from tests.support.results import FAIRNESS


@pytest.mark.parametrize(
    ("at", "of", "when"),
    [
        ((0, 1, 2), 3, ", in all 3 iterations"),
        ((1,), 3, ", in iteration 2 only"),
        ((0, 2), 3, ", in iterations 1, 3 only"),
        ((0,), 1, ", in the only iteration"),
    ],
)
def test_it_is_said_when_a_vm_differs(at: tuple[int, ...], of: int, when: str) -> None:
    found = dataclasses.replace(
        FAIRNESS,
        verdict="unfair",
        iterations=of,
        differing=(Differing(name="vm2", share=0.9, chance=0.01, iterations=at),),
        starved=(Starved(name="vm3", received=0.2, iterations=at),),
    )
    lines = list(fairness_lines(found, Words(ascii_only=True), one="VM", many="VMs"))
    assert f"  vm2: 90.0% of the median VM (chance: 99.0%){when}" in lines
    assert f"  vm3 is starved: 20.0% of its share of the bits{when}" in lines
