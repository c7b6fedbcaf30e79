"""The reports and the live view of `loadgen relative`."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from coordinator.output.judged import Judged
from coordinator.output.terminal.relative_live import RelativeProgress, RelativeScreen, relative_news
from coordinator.output.terminal.relative_report import print_relative, print_round
from loadgen.measure.trials import Number, Round
from loadgen.model.limits import NO_LIMITS
from loadgen.model.relative import Better, RelativePlan
from loadgen.verdict.relative import judge_relative
from tests.support.judged import judged
from tests.support.relatives import PLAN, header, number_round, result, round_header, round_result, rounds, wall_round

Golden = Callable[[str, str], None]

RECORD = Path("runs/2026-02-03T04-05-06-relative")
POSTGRES = dataclasses.replace(PLAN, command=(), recipe="pgbench", vms=16, vm_limits=NO_LIMITS, trials=3)
MICRO = RelativePlan(environments=("bare", "ns", "oci"), recipe="micro", trials=3)
ROWS = (("null call", 0.17), ("fork and exit", 128.9), ("AF_UNIX there and back", 16.94), ("switch 16p/64K", 4.95))


def postgres() -> list[Round]:
    return [
        number_round(n, {"bare": [60.0 + vm + n for vm in range(16)], "ns": [58.0 + vm - n for vm in range(16)]})
        for n in (1, 2, 3)
    ]


def micro() -> list[Round]:
    found = []
    for n in (1, 2, 3):
        made = wall_round(n, {"bare": 1.0, "ns": 1.0, "oci": 1.0})
        trials = []
        for at, trial in enumerate(made.trials):
            factor = (1 + 0.3 * at) * (1 + 0.01 * n * (at + 1))
            numbers = (
                *(Number(name=name, value=value * factor, unit="us", better=Better.LOWER) for name, value in ROWS),
                Number(name="memory copy", value=18091.1 / factor, unit="MB/s"),
                Number(name="wild", value=(1.0, 1e-4, 1e4)[(n + at) % 3], unit="MB/s"),
            )
            copies = (dataclasses.replace(trial.copies[0], numbers=numbers),)
            trials.append(dataclasses.replace(trial, copies=copies))
        found.append(dataclasses.replace(made, trials=tuple(trials)))
    return found


REPORTS: dict[str, Judged[Any, Any]] = {
    "worse": judged(header(), result(), path=RECORD),
    "interrupted": judged(header(), result(2, interrupted=True), path=RECORD),
    "cut": judged(header(), result(1), path=RECORD, cut="the comparison was cut off before it wrote its result"),
    "several_vms": judged(header(POSTGRES), judge_relative(POSTGRES, postgres()), path=RECORD),
    "many_numbers": judged(header(MICRO), judge_relative(MICRO, micro()), path=RECORD),
    "nothing": judged(header(), judge_relative(PLAN, [], interrupted=True), path=RECORD),
}


@pytest.mark.parametrize("case", REPORTS)
def test_report(case: str, golden: Golden) -> None:
    file = io.StringIO()
    print_relative(Console(file=file, width=80), REPORTS[case])
    check(file.getvalue(), f"relative/{case}.txt", golden)


def test_report_of_a_round(golden: Golden) -> None:
    file = io.StringIO()
    print_round(Console(file=file, width=80), judged(round_header(), round_result(), path=RECORD / "round-1"))
    check(file.getvalue(), "relative/round.txt", golden)


def check(text: str, name: str, golden: Golden) -> None:
    lines = [line.rstrip() for line in text.splitlines()]
    assert all(cell_len(line) <= 80 for line in lines)
    assert "…" not in text
    golden(name, "".join(f"{line}\n" for line in lines))


def view(**changes: object) -> RelativeProgress:
    shown = RelativeProgress(
        round=3,
        rounds=10,
        environments=("bare", "ns"),
        environment="ns",
        vms=16,
        doing="trial: preparing",
        done=rounds(3)[2].trials[:1],
    )
    return dataclasses.replace(shown, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 5), (10, 2)])
def test_the_screen_fits(width: int, height: int) -> None:
    lines = RelativeScreen(view(doing="x" * 90)).lines(width, height, ascii_only=False)
    assert len(lines) <= max(1, height - 1)
    assert all(line.cell_len <= width for line in lines)


def test_screen(golden: Golden) -> None:
    lines = RelativeScreen(view()).lines(80, 24, ascii_only=True)
    golden("relative/screen_ascii.txt", "".join(f"{line.plain.rstrip()}\n" for line in lines))


def test_plain_lines_tell_each_trial_once() -> None:
    assert [line.text for line in relative_news(view())] == ["round=3/10 bare wall=2.03s"]
    (trial,) = postgres()[0].trials[:1]
    assert [line.text for line in relative_news(view(done=(trial,)))] == [
        "round=1/10 bare wall=5.00s transactions=68.5 1/s"
    ]
