"""The fairness benchmark calls an answer right only if the right one is named, and nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from benchmarks.fairness import answer
from coordinator.record.fairness import write_fairness
from loadgen.verdict.fair_result import Clients, Differing
from tests.support.results import FAIRNESS


def differing(*names: str) -> tuple[Differing, ...]:
    return tuple(Differing(name=name, share=0.9, chance=0.01, iterations=(0, 1, 2)) for name in names)


def document(
    *, verdict: str = "conforming", vms: tuple[str, ...] = (), engines: tuple[str, ...] = ()
) -> dict[str, Any]:
    clients = Clients(
        slowest_over_fastest=0.9, slowest_over_fastest_by_chance=0.98, differing=differing(*engines), explained=0.0
    )
    found = dataclasses.replace(
        FAIRNESS, verdict="unfair" if vms else "fair", differing=differing(*vms), clients=clients
    )
    return {"verdict": verdict, "reasons": ["because"], "fairness": write_fairness(found)}


@pytest.mark.parametrize(
    ("setup", "guilty", "vms", "engines", "right"),
    [
        ("equal", "", (), (), True),
        ("equal", "", ("vm03",), (), False),
        ("equal", "", (), ("local/1",), False),
        ("slow", "vm03", ("vm03",), (), True),
        ("slow", "vm03", (), (), False),
        ("slow", "vm03", ("vm02",), (), False),
        ("slow", "vm03", ("vm03", "vm02"), (), False),
        ("slow", "vm03", ("vm03",), ("local/1",), False),
        ("client", "local/1", (), ("local/1",), True),
        ("client", "local/1", (), ("local/0",), False),
        ("client", "local/1", ("vm02",), ("local/1",), False),
    ],
)
def test_the_right_one_is_named_and_nothing_else(
    setup: str, guilty: str, vms: tuple[str, ...], engines: tuple[str, ...], right: bool
) -> None:
    assert answer(setup, guilty, document(vms=vms, engines=engines))["right"] is right


def test_a_run_without_a_score_is_no_right_answer() -> None:
    invalid = {"verdict": "INVALID", "reasons": ["other processes"], "fairness": None}
    assert answer("equal", "", invalid) == {"verdict": "INVALID", "why": ["other processes"], "right": False}
    assert answer("equal", "", document(verdict="not conforming"))["right"] is False
