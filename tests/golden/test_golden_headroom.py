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
    "interrupted": headrooms.INTERRUPTED,
}


@pytest.mark.parametrize("case", RESULTS)
def test_report(case: str, golden: Golden) -> None:
    file = io.StringIO()
    print_headroom(Console(file=file, width=80), judged(headrooms.header(), RESULTS[case], path=RECORD))
    text = "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())
    assert max(map(len, text.splitlines())) <= 80
    golden(f"headroom/{case}.txt", text)
