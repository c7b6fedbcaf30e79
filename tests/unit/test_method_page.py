"""docs/method.md: the code computes the numbers of its examples, and the page names every check."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import loadgen.verdict
from coordinator.output.terminal.format import millis
from loadgen.measure.cells import Cell, CellTable
from loadgen.measure.censored import Times
from loadgen.measure.fold import IS_COMPILED, FoldContext, fold_compiled, fold_with_numpy
from loadgen.measure.histogram import Histogram
from loadgen.measure.record import RECORD_DTYPE
from loadgen.model.bound import Bound
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.checks.catalog import FORWARD_CHECKS, IPERF_CHECKS, TAPE_CHECKS
from loadgen.verdict.connection import FINDING_DTYPE, State, judge_connections
from loadgen.verdict.fairness import JAIN, RATIO, fairness
from loadgen.verdict.fates import Fates
from loadgen.verdict.result import Verdict
from loadgen.verdict.rules import RULES
from loadgen.verdict.slo import Slo
from tools.reference.checks import names_of

PAGE = (Path(__file__).parents[2] / "docs" / "method.md").read_text("utf-8")
WINDOW_S = 10
LINE_BPS, FLOOR_BPS = 400_000, 320_000
FOLDS = [fold_with_numpy, *([fold_compiled] if IS_COMPILED else [])]


def table(first_column: str) -> list[dict[str, str]]:
    """The rows of the table whose first column has this head, by the heads of its columns."""
    lines = PAGE.partition(f"\n| {first_column} |")[2].partition("\n\n")[0].splitlines()
    heads = [first_column, *_cells(f"|{lines[0]}")]
    return [dict(zip(heads, _cells(line), strict=True)) for line in lines[2:]]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def seconds(text: str) -> int:
    return round(float(text) * NS_PER_S)


def results() -> dict[str, str]:
    return {row["result"]: row["value"] for row in table("result")}


def number(text: str) -> float:
    found = re.match(r"[\d,.]+", text)
    assert found
    return float(found[0].replace(",", ""))


def records(*, leave: str = "") -> np.ndarray[Any, Any]:
    rows = [row for row in table("operation") if row["operation"] != leave]
    found = np.zeros(len(rows), RECORD_DTYPE)
    origin_ns = 1000 * NS_PER_S  # times before the window must not be negative
    for at, row in enumerate(rows):
        for name in ("due", "sent", "done"):
            found[f"{name}_ns"][at] = origin_ns + seconds(row[name])
        found["bytes"][at] = int(row["bytes"])
        found["outcome"][at] = Outcome[row["outcome"]]
    return found


def folded(fold: Callable[..., Any], *, leave: str = "") -> tuple[CellTable, Any]:
    context = FoldContext(
        kind=np.zeros(1, np.uint8),
        group=np.zeros(1, np.uint8),
        kinds=1,
        groups=1,
        target_of=np.zeros(1, np.int32),
        line_bps=LINE_BPS,
        bound=Bound.rate(FLOOR_BPS),
    )
    start_ns = 1000 * NS_PER_S
    cells, tallies = fold(
        records(leave=leave), context, window=0, window_start_ns=start_ns, window_end_ns=start_ns + WINDOW_S * NS_PER_S
    )
    return cells, tallies[tallies["window"] == 0]


@pytest.mark.parametrize("fold", FOLDS)
def test_the_connection_of_the_example(fold: Callable[..., Any]) -> None:
    rows, said = table("operation"), results()
    _, tallies = folded(fold)
    inside = sum(seconds(row["seconds inside"]) for row in rows)
    assert tallies["busy_ns"][0] == inside == seconds(str(number(said["time in operations"])))
    assert tallies["bytes"][0] == sum(int(row["bytes inside"]) for row in rows)
    found = judge_connections(tallies, 1, Bound.rate(FLOOR_BPS))[0]
    assert found["bits_per_s"] == number(said["rate of the connection"])
    assert f"{found['bad']} of {found['ok'] + found['bad']}" == said["failed"]
    assert found["state"] == State.ERRORS
    _, without = folded(fold, leave="4")
    assert judge_connections(without, 1, Bound.rate(FLOOR_BPS))["state"][0] == State.CONFORMING


@pytest.mark.parametrize("fold", FOLDS)
def test_the_window_of_the_example(fold: Callable[..., Any]) -> None:
    cells, _ = folded(fold)
    cell, said = cells[0, 0], results()
    assert cell.ok == number(said["ok in the window"])
    assert cell.ok / WINDOW_S == number(said["operations per second"])
    assert 8 * cell.bytes / WINDOW_S / 1000 == number(said["kbit/s of the window"])
    assert cell.good == number(said["requests in bound"])
    p50, most = (float(text.split()[0]) for text in said["p50, maximum of response"].split(","))
    assert cell.response.percentile_ns(50) == pytest.approx(p50 * NS_PER_S, rel=1 / 1024)
    assert cell.response.max_ns == most * NS_PER_S


def test_each_operation_of_the_example_ends_on_the_line_as_said() -> None:
    for row in table("operation"):
        ends = max(float(row["done"]), float(row["due"]) + int(row["bytes"]) * 8 / LINE_BPS)
        assert row["ends on the line"] == (f"{ends:.1f}" if row["outcome"] == "OK" else "-")


def test_the_identity_of_the_example_adds_up() -> None:
    parts = {row["part"]: float(row["seconds"]) for row in table("part")}
    assert sum(parts.values()) - parts["sum"] == pytest.approx(parts["sum"]) == WINDOW_S
    busy = parts["service"] + parts["pacing"] + parts["our lateness"]
    assert busy == pytest.approx(number(results()["time in operations"]))
    sent = {row["operation"]: row for row in table("operation")}
    assert parts["our lateness"] == pytest.approx(sum(float(row["sent"]) - float(row["due"]) for row in sent.values()))
    assert parts["failed"] == pytest.approx(float(sent["4"]["done"]) - float(sent["4"]["due"]))
    assert parts["rest"] == pytest.approx(float(sent["5"]["due"]) - float(sent["4"]["done"]))


def in_ms(*values: float) -> Histogram:
    return Histogram.of(np.array([round(value * NS_PER_MS) for value in values], np.int64))


TIMES = Times(known=in_ms(1, 2, 3, 4, 5, 6), failed=in_ms(2), cut=in_ms(0.5, 4.5, 100))


@pytest.mark.parametrize("row", table("percentile"), ids=lambda row: row["percentile"])
def test_the_percentiles_of_times_that_are_known_in_part(row: dict[str, str]) -> None:
    found = TIMES.percentile(float(row["percentile"][1:]))
    assert found is not None
    low, high = float(row["low end, ms"]), float(row["high end, ms"].replace("infinite", "inf"))
    assert found.low / NS_PER_MS == pytest.approx(low, rel=1 / 1024)
    assert found.high / NS_PER_MS == pytest.approx(high, rel=1 / 1024)
    written = f"≥ {millis(low)}" if np.isinf(high) else f"{millis(low)}-{millis(high)}"
    assert row["report"] == f"`{written}`"


def test_the_weights_of_the_example() -> None:
    said = re.search(r"the weights are ([\d., ]+) \(1 to 4 ms\), ([\d.]+) \(5 ms\), ([\d.]+) \(6 ms\)", PAGE)
    assert said
    weights = [float(text) for text in [*said[1].split(","), said[2], said[3]]]
    assert np.cumsum(TIMES._masses()).round(2).tolist()[:6] == weights


def test_the_objective_errors_of_the_example() -> None:
    cell = Cell.empty(1, 1)
    cell.outcomes[Outcome.OK], cell.outcomes[Outcome.RESET], cell.outcomes[Outcome.CUT] = 6, 1, 3
    judged = Slo.parse("errors<1%").judge(Fates(cell, TIMES.cut.since(12 * NS_PER_MS)), 1.0)
    assert f"= {judged.value:.0f} %" in PAGE


CHECKS = [*TAPE_CHECKS, *IPERF_CHECKS, *FORWARD_CHECKS]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__module__.removeprefix("loadgen.verdict.checks."))
def test_each_trust_check_has_a_row(check: Callable[..., Any]) -> None:
    names = sorted(set(names_of(importlib.import_module(check.__module__))))
    assert names, f"no name of a check is found in {check.__module__}"
    missing = [name for name in names if not re.search(rf"^\| [^|]*{re.escape(name)}[^|]* \|", PAGE, re.MULTILINE)]
    assert missing == [], (
        "add a row to the tables of checks in docs/method.md: value, limit, where the limit comes from"
    )


def test_each_check_of_the_servers_has_a_row() -> None:
    folder = Path(loadgen.verdict.__file__).parent
    modules = [importlib.import_module(f"loadgen.verdict.{path.stem}") for path in folder.glob("*.py")]
    names = sorted({name for module in modules for name in names_of(module) if name})
    assert len(names) >= 4
    assert [name for name in names if f"| {name}" not in PAGE and f" {name}" not in PAGE] == []


@pytest.mark.parametrize(
    ("row", "limit"),
    [
        ("send lateness | paced", f"{RULES.max_lateness_ns / NS_PER_MS:g} ms"),
        ("time lost to lateness | paced", f"{RULES.max_late_share:.0%}"),
        ("engine CPU | all", f"{RULES.max_cpu_share:.0%}"),
        ("engine runnable | all", f"{RULES.max_runnable_share:.0%}"),
        ("engine stood still | closed, open", f"{RULES.max_still_share:.0%}"),
        ("client's share | closed", f"{RULES.max_idle_lateness:.0%}"),
        ("other processes | all", f"{RULES.max_neighbour_share:.0%}"),
        ("CPU quota | all", f"{RULES.max_throttled_share:.0%}"),
        ("open files | all", f"{RULES.max_fd_share:.0%}"),
        ("start skew | all, fleets", f"{RULES.max_start_skew_ns / NS_PER_MS:g} ms"),
    ],
)
def test_the_limits_on_the_page_are_those_of_the_rules(row: str, limit: str) -> None:
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| {row} |"))
    assert limit.replace("%", " %") in line.rsplit(" | ", 1)[1]


def test_the_fairness_of_two_servers() -> None:
    said = re.search(r"two VMs with rates (\d+) and (\d+) have (\d\.\d+); Jain's index of the two is (\d\.\d+)", PAGE)
    assert said
    found = np.zeros(2, FINDING_DTYPE)
    found["bytes"], found["busy_ns"] = [int(said[1]), int(said[2])], NS_PER_S
    result = fairness(found, np.arange(2, dtype=np.int32), 2)
    assert result
    assert result[RATIO] == pytest.approx(float(said[3]))
    assert result[JAIN] == pytest.approx(float(said[4]), abs=0.0005)


def test_the_verdicts_have_their_exit_codes() -> None:
    rows = {row["verdict"]: int(row["exit"]) for row in table("order")}
    assert rows.pop("CONFORMING, VALID") == int(Verdict.CONFORMING.exit_code)
    assert rows == {one.name.replace("_", " "): int(one.exit_code) for one in Verdict if one is not Verdict.CONFORMING}
