"""The report of a search for a capacity."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from coordinator.output.judged import RUNNING
from coordinator.output.terminal.find_report import print_find
from coordinator.record.find_result import Find, Wanted
from loadgen.verdict.capacity import Seen, Trial
from tests.support import finds
from tests.support.judged import judged

Golden = Callable[[str, str], None]

RECORD = Path("runs/2026-02-03T04-05-06-spec")


def varying(seed: int) -> Callable[[int], Seen]:
    chance = random.Random(seed)
    return lambda value: Seen.HELD if value <= chance.gauss(40, 6) else Seen.FAILED


def weak(value: int) -> Seen:
    return Seen.UNKNOWN if value > 10 else finds.exactly(12)(value)


FINDS: dict[str, Find] = {
    "exact": finds.find(),
    "varying": finds.find(varying(4)),
    "disagree": finds.find(varying(4), runs=15),
    "generator": finds.find(weak),
    "none": finds.find(finds.exactly(0)),
    "unknown": finds.find(finds.never_valid),
    "interrupted": finds.interrupted(),
    "rate": finds.find(finds.exactly(9), Wanted.RATE),
    "one_step": finds.of([Trial(4, Seen.HELD)]),
    "early": finds.timed(finds.find()),
    "not_started": finds.not_started(finds.find()),
}


CUTS = {"cut": "1 run was measured; the next one was not: 127.0.0.1:80: connection refused", "running": RUNNING}


@pytest.mark.parametrize("case", [*FINDS, *CUTS])
def test_report(case: str, golden: Golden) -> None:
    found = FINDS[case if case in FINDS else "one_step"]
    file = io.StringIO()
    run = judged(finds.header(found.wanted), found, path=RECORD, cut=CUTS.get(case, ""))
    print_find(Console(file=file, width=80), run)
    text = "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())
    assert max(map(len, text.splitlines())) <= 80
    golden(f"find/{case}.txt", text)
