"""The report of `loadgen paper`."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from coordinator.output.terminal.paper_report import print_paper
from loadgen.verdict.paper import PaperResult
from tests.support import papers
from tests.support.judged import judged

Golden = Callable[[str, str], None]

RECORD = Path("runs/2026-02-03T04-05-06-paper")

RESULTS: dict[str, tuple[PaperResult, str]] = {
    "good": (papers.result(), ""),
    "bad": (papers.result(papers.BAD), ""),
    "interrupted": (papers.result(papers.INTERRUPTED), ""),
    "nothing": (papers.result({}), "the runs were cut off before their result was written"),
}


@pytest.mark.parametrize("case", RESULTS)
def test_report(case: str, golden: Golden) -> None:
    result, cut = RESULTS[case]
    file = io.StringIO()
    print_paper(Console(file=file, width=80), judged(papers.header(), result, path=RECORD, cut=cut))
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    assert all(cell_len(line) <= 80 for line in lines)
    golden(f"paper/{case}.txt", "".join(f"{line}\n" for line in lines))
