"""The report of plans that were played in turns."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from coordinator.output.terminal.compare_report import print_interleaved
from coordinator.record.interleaved_result import Interleaved
from loadgen.verdict.result import Verdict
from tests.support.judged import judged
from tests.support.repeats import http_compare_header, interleaved

Golden = Callable[[str, str], None]

CASES: dict[str, Interleaved] = {
    "turns": interleaved(true=1.0),
    "turns_worse": interleaved(),
    "turns_interrupted": interleaved(played=6, last=Verdict.INTERRUPTED),
    "turns_nothing": interleaved(played=0),
}


@pytest.mark.parametrize("case", CASES)
def test_report(case: str, golden: Golden) -> None:
    file = io.StringIO()
    path = Path("runs/2026-02-03T04-05-06-http")
    print_interleaved(Console(file=file, width=80), judged(http_compare_header(), CASES[case], path=path))
    text = "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())
    assert max(map(len, text.splitlines())) <= 80
    golden(f"compare/{case}.txt", text)
