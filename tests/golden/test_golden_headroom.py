"""The report of a run with --check-headroom."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from coordinator.output.terminal.headroom_report import print_headroom
from coordinator.record.headroom_result import HeadroomResult
from tests.support import headrooms
from tests.support.judged import judged

Golden = Callable[[str, str], None]

RECORD = Path("runs/2026-02-03T04-05-06-http")
RESULTS: dict[str, HeadroomResult] = {
    "far": headrooms.FAR,
    "near": headrooms.NEAR,
    "limit": headrooms.LIMIT,
    "unknown": headrooms.UNKNOWN,
    "contradicting": headrooms.CONTRADICTING,
    "nothing": headrooms.NOTHING,
    "interrupted": headrooms.INTERRUPTED,
}


CUT = "1 of 3 runs was measured; the next one was not: 127.0.0.1:80: connection refused"


@pytest.mark.parametrize("case", [*RESULTS, "cut"])
def test_report(case: str, golden: Golden) -> None:
    result, cut = (RESULTS[case], "") if case in RESULTS else (headrooms.BEGUN, CUT)
    file = io.StringIO()
    print_headroom(Console(file=file, width=80), judged(headrooms.header(), result, path=RECORD, cut=cut))
    text = "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())
    assert max(map(len, text.splitlines())) <= 80
    golden(f"headroom/{case}.txt", text)
