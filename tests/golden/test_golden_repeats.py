"""The report of repeated runs."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from coordinator.output.terminal.repeats_report import print_repeats
from loadgen.verdict.repeats import Repeats
from tests.support.judged import judged
from tests.support.repeats import STEADY, http_header, interrupted, repeats

Golden = Callable[[str, str], None]

CASES: dict[str, Repeats] = {
    "steady": repeats(STEADY),
    "few": repeats(STEADY[:4]),
    "outlier": repeats([*STEADY, 3000.0], invalid=1),
    "drift": repeats([1000.0 - 20 * place for place in range(8)]),
    "interrupted": interrupted(),
    "nothing": repeats(()),
}


@pytest.mark.parametrize("case", CASES)
def test_report(case: str, golden: Golden) -> None:
    file = io.StringIO()
    path = Path("runs/2026-02-03T04-05-06-http")
    print_repeats(Console(file=file, width=80), judged(http_header(), CASES[case], path=path))
    text = "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())
    assert max(map(len, text.splitlines())) <= 80
    golden(f"repeats/{case}.txt", text)
