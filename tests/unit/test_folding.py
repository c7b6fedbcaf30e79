"""Long lists in reports: the worst are shown, the others folded, and none is lost."""

from __future__ import annotations

import dataclasses
import io
import re

import pytest
from rich.console import Console

from coordinator.output.terminal.folding import MOST_ROWS, WORST_ROWS, few, fold, some
from coordinator.output.terminal.http_report import print_http
from coordinator.output.terminal.report import print_report
from coordinator.run.own_cost import OwnCost
from loadgen.verdict.result import RunResult, TargetResult
from tests.support import https
from tests.support.judged import judged
from tests.support.results import header, run_result


def text(result: RunResult, vms: int) -> str:
    file = io.StringIO()
    print_report(Console(file=file, width=80), judged(header(vms), result))
    return file.getvalue()


def many(vms: int) -> RunResult:
    """A run with so many VMs, of which vm300 has errors, and vm200 connections that do not conform."""
    result = run_result()
    one = dataclasses.replace(result.targets[0], errors={}, conforming=result.targets[0].requested, dead_share=0.0)

    def row(number: int) -> TargetResult:
        bad = {300: {"errors": {"TIMEOUT": 7}}, 200: {"conforming": one.requested - 1}}.get(number, {})
        return dataclasses.replace(one, name=f"vm{number:04d}", **bad)  # type: ignore[arg-type]

    return dataclasses.replace(result, targets=tuple(row(number) for number in range(1, vms + 1)))


def test_up_to_forty_are_shown_in_their_order() -> None:
    rows = list(range(MOST_ROWS))
    assert fold(rows, lambda one: one) == (rows, ())


def test_of_more_the_worst_are_shown_and_equal_ones_keep_their_order() -> None:
    shown, folded = fold(range(MOST_ROWS + 1), lambda one: one == 7)
    assert list(shown) == [7, *range(7), *range(8, WORST_ROWS)]
    assert sorted([*shown, *folded]) == list(range(MOST_ROWS + 1))


def test_a_report_of_512_vms_is_short_and_the_worst_come_first() -> None:
    report = text(many(512), 512)
    assert len(report.splitlines()) < 110
    assert "VMs (median iteration): the worst 20 of 512" in report
    listed = re.findall(r"^ *!? *(vm\d{4}) ", report, re.MULTILINE)
    assert (listed[:2], len(listed)) == (["vm0200", "vm0300"], WORST_ROWS)
    (row,) = [line for line in report.splitlines() if "492 others" in line]
    requested = many(1).targets[0].requested
    assert f"{492 * requested}/{492 * requested}" in row
    assert row.rstrip().endswith(" 0")


def test_forty_vms_are_not_folded() -> None:
    report = text(many(40), 40)
    assert "others" not in report
    assert "the worst" not in report


def test_a_report_of_many_http_targets_is_short() -> None:
    result = https.result()
    one = dataclasses.replace(result.targets[0], errors={}, unanswered=0)
    rows = tuple(
        dataclasses.replace(one, name=f"t{number:03d}", errors={"TIMEOUT": number} if number % 100 == 0 else {})
        for number in range(1, 501)
    )
    file = io.StringIO()
    print_http(Console(file=file, width=80), judged(https.header(), dataclasses.replace(result, targets=rows)))
    assert "Targets: the worst 20 of 500" in file.getvalue()
    assert re.findall(r"^ *!? *(t\d{3}) ", file.getvalue(), re.MULTILINE)[:3] == ["t500", "t400", "t300"]
    assert len(file.getvalue().splitlines()) < 90


@pytest.mark.parametrize(("number", "said"), [(1, "a0"), (6, "a0, a1, a2, a3, a4, a5")])
def test_few_names_are_all_named(number: int, said: str) -> None:
    assert some([f"a{n}" for n in range(number)]) == said


def test_of_many_names_the_number_is_told() -> None:
    assert some([f"a{n}" for n in range(2000)]) == "a0, a1, a2, a3, a4, a5 and 1,994 more"


def test_of_many_notes_the_first_are_shown() -> None:
    assert few(["a", "b"]) == ["a", "b"]
    assert few([f"{n}" for n in range(512)]) == [*map(str, range(10)), "502 more; run.json has all"]
    result = dataclasses.replace(run_result(), notes=tuple(f"vm{n}: Reset failed" for n in range(512)))
    report = text(result, 16)
    assert report.count("Reset failed") == 10
    assert "note: 502 more; run.json has all" in report


def test_the_coordinators_own_cost_is_told_for_many_servers_only() -> None:
    clock, cpu = iter((100.0, 110.0)), iter((3.0, 5.5))
    with OwnCost(lambda: next(clock), lambda: next(cpu)) as cost:
        pass
    assert cost.notes("the start", 40) == []
    assert cost.notes("the start", 41) == ["the start took 10.0 s, and 25% of a core in the coordinator"]
