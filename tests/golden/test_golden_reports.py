from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from coordinator.kinds.catalog import judges
from coordinator.output.judged import read_judged
from coordinator.output.terminal.chart import print_sweep
from coordinator.output.terminal.fleet_table import fleet_table
from coordinator.output.terminal.report import print_report
from coordinator.record.connections import CONNECTION_DTYPE
from coordinator.record.document import finished, unfinished
from coordinator.record.sweep_result import Sweep
from coordinator.record.writer import RecordWriter
from loadgen.verdict.fair_result import Differing
from loadgen.verdict.result import RunResult, Verdict
from tests.support import results
from tests.support.judged import END, judged

Golden = Callable[[str, str], None]

CUT = "the run was cut off before it wrote its result"


def printed(show: Callable[[Console], None], *, encoding: str = "utf-8", width: int = 80) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    show(Console(file=file, width=width))
    file.flush()
    lines = [line.rstrip() for line in raw.getvalue().decode(encoding).splitlines()]
    assert all(cell_len(line) <= 80 for line in lines)
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("name", "result", "cut"),
    [
        ("report_conforming.txt", results.run_result(shorts=(0, 3, 1)), ""),
        ("report_not_conforming.txt", results.run_result(shorts=(0, 40, 60)), ""),
        ("report_invalid.txt", results.invalid_result(), ""),
        ("report_cut.txt", results.interrupted_result(), CUT),
        ("report_nothing.txt", results.nothing_measured(), ""),
        ("report_one_vm.txt", results.run_result(1, shorts=(0,)), ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_report(golden: Golden, name: str, result: RunResult, cut: str) -> None:
    header = results.header(len(result.targets) or 16)
    text = printed(lambda c: print_report(c, judged(header, result, cut=cut)))
    golden(name, text)


def test_the_report_in_ascii_on_a_wide_terminal(golden: Golden) -> None:
    run = judged(results.header(), results.invalid_result())
    text = printed(lambda c: print_report(c, run), encoding="ascii", width=200)
    golden("report_invalid_ascii.txt", text)


INVALID_POINT = results.sweep_point(64, results.invalid_result())
NOTHING = results.sweep_point(1, results.nothing_measured())


@pytest.mark.parametrize(
    ("name", "sweep", "encoding"),
    [
        ("sweep.txt", results.sweep(), "utf-8"),
        ("sweep_ascii.txt", results.sweep(), "ascii"),
        (
            "sweep_invalid_point.txt",
            Sweep(vms=(1, 4, 16, 64), points=(*results.sweep().points, INVALID_POINT)),
            "utf-8",
        ),
        ("sweep_nothing_measured.txt", Sweep(vms=(1,), points=(NOTHING,)), "utf-8"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_sweep(golden: Golden, name: str, sweep: Sweep, encoding: str) -> None:
    run = judged(results.sweep_header(), sweep)
    golden(name, printed(lambda c: print_sweep(c, run), encoding=encoding))


def test_the_report_of_several_machines(golden: Golden) -> None:
    header = dataclasses.replace(results.header(4), fleet=results.three_machines(80))
    text = printed(lambda c: print_report(c, judged(header, results.run_result(4, shorts=(0,)))))
    golden("report_three_machines.txt", text)


def test_the_table_of_a_check(golden: Golden) -> None:
    golden("fleet_check.txt", printed(lambda c: c.print(fleet_table(results.checked()))))


def test_a_degraded_run_is_not_headed_by_a_score() -> None:
    found = dataclasses.replace(results.run_result(), verdict=Verdict.DEGRADED, reasons=("Machine m1 was lost.",))
    text = printed(lambda c: print_report(c, judged(results.header(), found)))
    (line,) = [line for line in text.splitlines() if "requested connections conform" in line]
    assert line.startswith("Load was lost, so there is no score: ")


def test_a_point_of_a_sweep_that_lost_load_has_no_score() -> None:
    found = dataclasses.replace(results.run_result(), verdict=Verdict.DEGRADED, reasons=("Machine m1 was lost.",))
    run = judged(results.sweep_header(), Sweep(vms=(16,), points=(results.sweep_point(16, found),)))
    text = printed(lambda c: print_sweep(c, run))
    (row,) = [line.split() for line in text.splitlines() if line.split()[-1:] == ["DEGRADED"]]
    assert row == ["16", "320", *["-"] * 7, "DEGRADED"]


def test_an_invalid_run_has_no_score_and_says_nothing_about_the_servers() -> None:
    text = printed(lambda c: print_report(c, judged(results.header(), results.invalid_result())))
    assert "INVALID" in text.split("VMs (median")[0]
    assert "There is no score" in text
    assert "requested connections conform" not in text
    assert "the run says nothing about the servers" in text[text.index("Verdict:") :]
    assert "Fairness" not in text
    assert "Checks of the servers" not in text
    assert "FAIL" in text.split("Can the load generator")[1]
    assert not re.search(r"\d/\d", text)  # no conforming of requested connections


def test_names_are_printed_unchanged() -> None:
    whole = results.run_result(1, shorts=(0,))
    named = dataclasses.replace(whole, targets=(dataclasses.replace(whole.targets[0], name="[bold]x[/]"),))
    assert "[bold]x[/]" in printed(lambda c: print_report(c, judged(results.header(1), named)))


@pytest.mark.parametrize("result", [results.run_result(), results.invalid_result(), results.interrupted_result()])
def test_a_record_prints_the_report_of_the_run(tmp_path: Path, result: RunResult) -> None:
    header = results.header()
    with RecordWriter(tmp_path / "run", unfinished(header)) as writer:
        writer.finish(finished(header, result, finished_at=END), np.zeros(0, CONNECTION_DTYPE))
    run = judged(header, result, path=tmp_path / "run")
    again = read_judged(tmp_path / "run", judges())
    assert again == run
    assert printed(lambda c: print_report(c, again)) == printed(lambda c: print_report(c, run))


def test_vms_are_called_unfair_beyond_chance_only() -> None:
    fair = results.run_result()
    slow = Differing(name="vm3", share=0.911, chance=0.02, iterations=(0, 1, 2))
    found = dataclasses.replace(results.FAIRNESS, slowest_over_fastest=0.909, verdict="unfair", differing=(slow,))
    unfair = dataclasses.replace(fair, fairness=found)
    assert "0.972\n  (fair: equal VMs would have at least 0.961" in printed(
        lambda c: print_report(c, judged(results.header(), fair))
    )
    assert "0.909\n  (UNFAIR: equal VMs would have at least 0.961" in printed(
        lambda c: print_report(c, judged(results.header(), unfair))
    )


def test_dead_time_that_matters_is_told() -> None:
    result = results.run_result()
    shares = {0: 0.2475, 1: 0.005, 2: 1.0}
    rows = tuple(dataclasses.replace(row, dead_share=shares.get(i, 0.0)) for i, row in enumerate(result.targets))
    text = printed(lambda c: print_report(c, judged(results.header(), dataclasses.replace(result, targets=rows))))
    said = " ".join(text.split())
    assert "Dead time (failed operations, rests, no operation), share of connection time: vm3 100.0%, vm1 24.8%" in said
    assert "Dead time" not in printed(lambda c: print_report(c, judged(results.header(), result)))
