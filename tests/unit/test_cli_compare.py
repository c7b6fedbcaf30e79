"""`loadgen compare` on records: what it reads, refuses, prints, and returns."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from coordinator.cli import app
from coordinator.cli.compare import parse_limit
from coordinator.record.document import finished, unfinished
from coordinator.record.header import Header
from loadgen.model.errors import LoadgenError, PlanError
from loadgen.verdict.compare_result import Limit
from loadgen.verdict.network import judge_iperf
from loadgen.verdict.unlike import allowed, flat, unlike
from tests.support import https, isolations, relatives, results
from tests.support.judged import END
from tests.support.networks import IPERF, iperf_header, iperf_results
from tests.support.repeats import STEADY, http_header, repeats, spec_header

SLOWER = tuple(0.9 * value for value in STEADY)


def written(directory: Path, header: Header[Any], result: Any, *, cut: bool = False) -> Path:
    directory.mkdir(parents=True)
    document = unfinished(header, result) if cut else finished(header, result, finished_at=END)
    (directory / "run.json").write_text(json.dumps(document))
    return directory


def of_rates(directory: Path, values: Sequence[float], header: Header[Any] | None = None, **more: Any) -> Path:
    return written(directory, header or http_header(), repeats(values, **more))


def compared(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, words)], standalone_mode=False)


def refused(*words: str | Path) -> LoadgenError:
    done = compared(*words)
    assert isinstance(done.exception, LoadgenError), done.output
    assert done.stdout == ""
    return done.exception


def with_plan(**changes: Any) -> Header[Any]:
    header = http_header()
    return dataclasses.replace(header, plan=dataclasses.replace(header.plan, **changes))


def test_two_records_of_repeated_runs(tmp_path: Path) -> None:
    a, b = of_rates(tmp_path / "a", STEADY), of_rates(tmp_path / "b", SLOWER)
    done = compared(a, b)
    assert done.return_value == 0
    assert "B is worse than A" in done.output
    assert compared(a, b, "--fail-if-worse", "5%").return_value == 1
    assert compared(a, b, "--fail-if-worse", "20%").return_value == 0
    assert compared(b, a, "--fail-if-worse", "5%").return_value == 0
    assert compared(a, b, "--fail-if-worse", "p99:5%").return_value == 0


def test_a_run_is_not_compared_with_itself(tmp_path: Path) -> None:
    a = of_rates(tmp_path / "a", STEADY)
    for other in (a, tmp_path / "." / "a"):
        error = refused(a, other)
        assert error.message == f"{a / 'run-1'} is in A and in B: a run cannot be compared with itself"


def test_a_limit_needs_runs_enough_for_an_interval(tmp_path: Path) -> None:
    few, many = of_rates(tmp_path / "few", STEADY[:2]), of_rates(tmp_path / "many", STEADY)
    assert compared(many, few).return_value == 0
    error = refused(many, few, "--fail-if-worse", "5%")
    assert error.message == "--fail-if-worse needs intervals, and there is none for B: A has 8 runs, B has 2 runs"
    assert "--repeats 5" in error.hint


def test_json_has_all_numbers(tmp_path: Path) -> None:
    done = compared(of_rates(tmp_path / "a", STEADY), of_rates(tmp_path / "b", SLOWER), "--format", "json")
    found = json.loads(done.output)
    assert (found["verdict"], found["exit_code"]) == ("conforming", 0)
    assert [side["record"] for side in found["sides"]] == [str(tmp_path / "a"), str(tmp_path / "b")]
    rate = next(row for row in found["rows"] if row["side"] == "B")
    assert rate["difference"] == "worse"
    assert rate["ratio_low"] < rate["ratio"] < rate["ratio_high"] < 0.95
    assert json.loads(compared(tmp_path / "a", tmp_path / "b", "--json").output) == found


def test_a_ratio_to_nothing_is_null_in_json(tmp_path: Path) -> None:
    done = compared(of_rates(tmp_path / "a", [0.0, 1.0] * 4), of_rates(tmp_path / "b", [5.0] * 8), "--json")
    assert "Infinity" not in done.output


def test_single_runs_and_directories_of_runs_are_groups(tmp_path: Path) -> None:
    single = written(tmp_path / "one", https.header(), https.result())
    for place in range(6):
        written(tmp_path / "many" / f"r{place}", https.header(), https.result())
    written(tmp_path / "many" / "r9.cut-1", https.header(), https.result())
    done = compared(tmp_path / "many", single, "--json")
    sides = json.loads(done.output)["sides"]
    assert [(side["runs"], side["valid"]) for side in sides] == [(6, 6), (1, 1)]
    assert "6 runs of A and 1 run of B give no interval" in done.output


def test_the_tests_of_a_network_run_are_its_values(tmp_path: Path) -> None:
    result = judge_iperf(IPERF, iperf_results(), others=(0.0, ""))
    a, b = (written(tmp_path / name, iperf_header(), result) for name in "ab")
    rows = json.loads(compared(a, b, "--json").output)["rows"]
    assert [row["values"] for row in rows if row["side"] == "A"] == [list(row.runs_mbit_per_s) for row in result.rows]


def test_different_plans_are_refused_and_the_way_out_is_named(tmp_path: Path) -> None:
    a, b = of_rates(tmp_path / "a", STEADY), of_rates(tmp_path / "b", STEADY, with_plan(connections=8, seed=9))
    error = refused(a, b)
    assert error.message == "the plans differ: connections (A: 4, B: 8); seed (A: 7, B: 9)"
    assert error.hint == "if that is what you want to compare: --allow-different connections,seed"
    assert refused(a, b, "--allow-different", "seed").message.startswith("the plans differ: connections")
    done = compared(a, b, "--allow-different", "seed,connections")
    assert done.return_value == 0
    assert "connections: A 4, B 8" in done.output


def test_what_differs_in_machine_and_software_is_listed(tmp_path: Path) -> None:
    own = http_header()
    server = {**own.environment.server, "version": "nginx/9.9"}
    environment = dataclasses.replace(
        own.environment, kernel="6.9.1", open_files_limit=77, server=server, load_average=(9.0, 9.0, 9.0)
    )
    b = of_rates(tmp_path / "b", STEADY, dataclasses.replace(own, environment=environment))
    found = json.loads(compared(of_rates(tmp_path / "a", STEADY), b, "--json").output)
    assert {one["what"] for one in found["environments"]} == {"kernel", "open_files_limit", "server.version"}
    assert found["plans"] == []


def test_runs_that_are_not_valid_are_said_and_a_group_without_valid_ones_is_invalid(tmp_path: Path) -> None:
    a = of_rates(tmp_path / "a", STEADY)
    some = compared(a, of_rates(tmp_path / "b", STEADY, invalid=1))
    assert some.return_value == 0
    assert "1 of 9 runs does not count (INVALID)" in " ".join(some.output.split())
    assert compared(a, of_rates(tmp_path / "c", (), invalid=3)).return_value == 3


def test_an_experiment_that_goes_on_is_compared_by_the_runs_that_are_over(tmp_path: Path) -> None:
    begun = written(tmp_path / "b", http_header(), repeats(STEADY[:6], asked=8), cut=True)
    assert compared(of_rates(tmp_path / "a", STEADY), begun).return_value == 0


@pytest.mark.parametrize(
    ("header", "result", "message"),
    [
        (results.sweep_header(), results.sweep(), "is a record of kind spec-sweep, whose runs are not alike"),
        (relatives.header(), relatives.result(), "is a record of kind relative, whose runs are not alike"),
        (spec_header(), repeats(STEADY), "runs of loadgen http and spec cannot be compared"),
        (results.header(), results.interrupted_result(), "is over, so there is nothing to compare"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path: Path, header: Header[Any], result: Any, message: str) -> None:
    error = refused(of_rates(tmp_path / "a", STEADY), written(tmp_path / "b", header, result))
    assert message in error.message
    assert int(error.exit_code) == 2


def test_runs_of_other_commands_are_refused(tmp_path: Path) -> None:
    from loadgen.verdict.isolate import judge_isolate

    isolated = judge_isolate(isolations.PLAN, isolations.isolated())
    other = written(tmp_path / "b", isolations.header(), isolated)
    assert refused(other, other).message == "runs of loadgen isolate cannot be compared"


def test_records_that_are_missing_or_too_few_are_refused(tmp_path: Path) -> None:
    a = of_rates(tmp_path / "a", STEADY)
    assert refused(a).message == "a comparison needs two records or more"
    assert "no record" in refused(a, tmp_path / "nothing").message
    (tmp_path / "empty").mkdir()
    assert "no record" in refused(a, tmp_path / "empty").message
    b = of_rates(tmp_path / "b", STEADY)
    assert refused(a, b, "--fail-if-worse", "p98:5%").message == "these runs have no number 'p98'"


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("5%", Limit(0.05)),
        ("0%", Limit(0.0)),
        ("p99:10 %", Limit(0.1, "p99")),
        ("response p99:2.5%", Limit(0.025, "response p99")),
    ],
)
def test_limits(text: str, limit: Limit) -> None:
    assert parse_limit(text) == limit


@pytest.mark.parametrize("text", ["", "5", "%", "x%", "-1%", "100%", "nan%", "p99:", "5%:p99"])
def test_limits_that_are_none(text: str) -> None:
    with pytest.raises(PlanError, match="is not a limit"):
        parse_limit(text)


def test_leaves_of_plans() -> None:
    assert dict(flat({"a": 1, "b": {"c": "x"}, "d": [{"e": None}], "f": []})) == {
        "a": "1",
        "b.c": "x",
        "d[0].e": "null",
        "f": "[]",
    }
    (one,) = unlike([[{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 1}]])
    assert one.values == ("1 or 2", "1")
    assert allowed("d[0].e", ["d"])
    assert allowed("b.c", ["b.c"])
    assert not allowed("bc", ["b"])
