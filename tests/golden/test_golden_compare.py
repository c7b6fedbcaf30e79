"""The report of a comparison."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import pytest
from rich.console import Console

from coordinator.output.terminal.compare_report import print_comparison
from loadgen.verdict.compare import Group, compare
from loadgen.verdict.compare_result import Comparison, Limit, Unlike
from tests.support.repeats import STEADY, repeats

Golden = Callable[[str, str], None]

PLACE = "runs/2026-02-03T04-05-06-http"


def group(name: str, values: Sequence[float], *, invalid: int = 0) -> Group:
    return Group(name=name, runs=repeats(values, invalid=invalid).runs, record=f"{PLACE}-{name.lower()}")


SLOWER = tuple(0.9 * value for value in STEADY)
UPDATED = (
    Unlike(what="kernel", values=("6.1.0-18-amd64", "6.12.0-1-amd64")),
    Unlike(what="server.version", values=("nginx/1.22.1", "nginx/1.28.0")),
)
PLANS = (Unlike(what="requests[0].url", values=("http://127.0.0.1:8080/", "http://127.0.0.1:8081/")),)

CASES: dict[str, Comparison] = {
    "no_difference": compare([group("A", STEADY), group("B", STEADY[::-1])]),
    "worse": compare([group("A", STEADY), group("B", SLOWER)], limits=[Limit(0.05)], environments=UPDATED, plans=PLANS),
    "three": compare([group("A", STEADY), group("B", STEADY), group("C", SLOWER, invalid=1)]),
    "single": compare([group("A", STEADY[:1]), group("B", SLOWER[:1])]),
    "invalid": compare([group("A", STEADY), group("B", STEADY[:2], invalid=6)]),
    "rounds": compare([group("A", STEADY), group("B", SLOWER)], in_rounds=True),
}


@pytest.mark.parametrize("case", CASES)
def test_report(case: str, golden: Golden) -> None:
    file = io.StringIO()
    print_comparison(Console(file=file, width=80), CASES[case])
    text = "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())
    assert max(map(len, text.splitlines())) <= 80
    golden(f"compare/{case}.txt", text)
