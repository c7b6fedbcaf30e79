"""The report and the live view of `loadgen isolate`."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from coordinator.output.terminal.isolate_live import IsolateProgress, IsolateScreen, isolate_news
from coordinator.output.terminal.isolate_report import print_isolate
from loadgen.measure.isolation import Isolated, Phase
from loadgen.model.isolate import Hog
from loadgen.verdict.isolate import judge_isolate
from tests.support.isolations import PLAN, header, host, isolated, phase, probed
from tests.support.judged import judged

Golden = Callable[[str, str], None]

RECORD = Path("runs/2026-02-03T04-05-06-isolate")


def changed(hog: Hog, **changes: object) -> Isolated:
    """A run in which one phase has these changes."""
    return isolated(*(phase(one, **changes) if one is hog else phase(one) for one in PLAN.phases))


FLOOR = "only 498 MiB of memory were left, less than the 512 MiB that are kept free"
RUNS: dict[str, Isolated] = {
    "valid": isolated(),
    "invalid": changed(Hog.DISK, host=host(others=0.4, most="make (pid 4711)")),
    "dead": changed(Hog.MEMORY, deaths=("game was killed by SIGKILL",), game=probed([300] * 20, lost=70)),
    "broken_off": changed(Hog.FORK, game=None, echo=None, web=None, failed=FLOOR),
    "interrupted": isolated(phase(Hog.NONE), phase(Hog.CPU)),
    "without_web": isolated(*(phase(one, web=None) for one in PLAN.phases)),
}


@pytest.mark.parametrize("case", RUNS)
def test_report(case: str, golden: Golden) -> None:
    result = judge_isolate(PLAN, RUNS[case])
    file = io.StringIO()
    print_isolate(Console(file=file, width=80), judged(header(), result, path=RECORD))
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    assert all(cell_len(line) <= 80 for line in lines)
    golden(f"isolate/{case}.txt", "".join(f"{line}\n" for line in lines))


def view(**changes: object) -> IsolateProgress:
    shown = IsolateProgress(
        hog="fork",
        doing="measuring",
        phases=(phase(Hog.NONE), phase(Hog.CPU), Phase(hog=Hog.DISK, failed="no")),
        planned=6,
    )
    return dataclasses.replace(shown, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 5), (10, 2)])
def test_the_screen_fits(width: int, height: int) -> None:
    lines = IsolateScreen(view()).lines(width, height, ascii_only=False)
    assert len(lines) <= max(1, height - 1)
    assert all(line.cell_len <= width for line in lines)


def test_screen(golden: Golden) -> None:
    lines = IsolateScreen(view()).lines(80, 24, ascii_only=True)
    golden("isolate/screen_ascii.txt", "".join(f"{line.plain.rstrip()}\n" for line in lines))


def test_plain_lines_say_what_was_measured() -> None:
    assert [line.text for line in isolate_news(view())] == [
        "hog=none game_p99_ms=0.60 echo_p99_ms=0.60",
        "hog=cpu game_p99_ms=4.00 echo_p99_ms=4.00",
        "hog=disk broken off: no",
        "phase=4/6 hog=fork measuring",
    ]
