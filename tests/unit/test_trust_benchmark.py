"""How benchmarks/trust.py judges answers, and that its set-ups cover what they must."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.trust_judging import (
    CODES,
    CONFORMING,
    INVALID,
    NOT_CONFORMING,
    Right,
    Row,
    Trial,
    Wrong,
    all_right,
    summary,
    table,
    wrong,
)
from benchmarks.trust_playing import answer
from benchmarks.trust_setups import SETUPS
from loadgen.model.errors import ExitCode
from loadgen.verdict.result import Verdict

GOOD = Right(verdicts=(CONFORMING,), why="quiet")
EITHER = Right(verdicts=(CONFORMING, NOT_CONFORMING), why="slow servers")
FROZEN = Right(verdicts=(NOT_CONFORMING,), why="frozen", says="vm4")
BAD = Right(verdicts=(INVALID,), why="busy", checks=("other processes", "engine runnable"))


def trial(code: int | None, *, failed: tuple[str, ...] = (), text: str = "") -> Trial:
    return Trial(setup="s", engine="python", code=code, failed=failed, text=text)


@pytest.mark.parametrize(
    ("right", "answered", "expected"),
    [
        (GOOD, trial(0), None),
        (GOOD, trial(3), Wrong.FALSE_ALARM),
        (GOOD, trial(1), Wrong.VERDICT),
        (EITHER, trial(0), None),
        (EITHER, trial(1), None),
        (EITHER, trial(3), Wrong.FALSE_ALARM),
        (FROZEN, trial(1, text="worst: vm4, 0 of 2"), None),
        (FROZEN, trial(1, text="worst: vm3, 0 of 2"), Wrong.REASON),
        (FROZEN, trial(3, text="vm4"), Wrong.FALSE_ALARM),
        (FROZEN, trial(0, text="vm4"), Wrong.VERDICT),
        (BAD, trial(3, failed=("send lateness", "other processes")), None),
        (BAD, trial(3, failed=("send lateness",)), Wrong.REASON),
        (BAD, trial(0), Wrong.MISS),
        (BAD, trial(1), Wrong.MISS),
        (BAD, trial(2), Wrong.VERDICT),
        (BAD, trial(70), Wrong.VERDICT),
        (BAD, trial(None), Wrong.VERDICT),
        (GOOD, trial(4), Wrong.VERDICT),
    ],
)
def test_an_answer_is_a_false_alarm_a_miss_or_wrong_in_another_way(
    right: Right, answered: Trial, expected: Wrong | None
) -> None:
    assert wrong(right, answered) is expected


def test_the_exit_codes_are_those_of_the_product() -> None:
    assert {code: name.lower() for code, name in CODES.items()} == {
        int(verdict.exit_code): verdict.value.lower()
        for verdict in (Verdict.CONFORMING, Verdict.NOT_CONFORMING, Verdict.INVALID)
    }
    assert set(CODES) < {int(code) for code in ExitCode}


def test_the_table_counts_trials_and_wrong_answers() -> None:
    rows = [
        Row("a", GOOD, [trial(0), trial(3, failed=("engine CPU",)), trial(1)]),
        Row("b", BAD, [trial(0), trial(3, failed=("other processes",))]),
    ]
    lines = table(rows).splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert "| a | python | 3 | CONFORMING | 1 CONFORMING, 1 INVALID, 1 NOT CONFORMING |" in lines[2]
    assert "1 false alarm, 1 wrong verdict" in lines[2]
    assert "| b | python | 2 | INVALID | 1 CONFORMING, 1 INVALID | 1 miss |" in lines[3]
    said = summary(rows)
    assert said.startswith("5 trials of 2 set-ups: 1 false alarm in 3 good trials, 1 miss in 2 bad trials, ")
    assert said.endswith("1 other wrong verdict, 0 wrong reasons.")


def test_the_benchmark_fails_for_any_wrong_answer() -> None:
    assert all_right([Row("a", GOOD, [trial(0)]), Row("b", BAD, [trial(3, failed=("other processes",))])])
    for answered in (trial(3), trial(1), trial(70), trial(None)):
        assert not all_right([Row("a", GOOD, [trial(0), answered])])


def test_an_answer_is_read_from_the_document_of_a_run() -> None:
    document = {
        "reasons": ["r"],
        "notes": ["n"],
        "trust": {"checks": [{"name": "engine CPU", "ok": False}, {"name": "open files", "ok": True}]},
        "total": {"response_ms": {"p50": {"low": 6.0, "high": 6.0}, "p99": {"low": 9.0, "high": None}}},
    }
    truth = np.zeros(10_000, np.int64)
    truth[5_000] = 100
    found = answer("s", "python", 3, document, truth)
    assert (found.verdict, found.failed, found.text) == (INVALID, ("engine CPU",), "r\nn")
    assert found.p50_error_ms == pytest.approx(0.9995)
    assert found.p99_error_ms == pytest.approx(3.9995)
    assert answer("s", "python", None, {}, None).verdict == "no end"


def test_the_set_ups_cover_all_commands_loops_and_kinds_of_trouble() -> None:
    assert len({setup.title for setup in SETUPS}) == len(SETUPS) >= 24
    assert {(setup.command, setup.loop) for setup in SETUPS} >= {
        ("http", "open"),
        ("http", "closed"),
        ("spec", "paced"),
        ("iperf", "TCP"),
        ("iperf", "UDP"),
        ("forward", "TCP"),
    }
    for command in ("http", "spec", "iperf", "forward"):
        bad = {setup.right.bad for setup in SETUPS if setup.command == command}
        assert bad == {False, True}
    for loops in ("1 busy loop", "4 busy loops"):
        beside = [setup for setup in SETUPS if loops in setup.name and "engine's core" in setup.name]
        assert {(one.command, one.loop) for one in beside} >= {("http", "open"), ("http", "closed"), ("spec", "paced")}


def test_each_set_up_has_a_right_answer_with_its_reason() -> None:
    for setup in SETUPS:
        right = setup.right
        assert right.verdicts
        assert set(right.verdicts) <= set(CODES.values())
        assert right.why
        assert INVALID not in right.verdicts or right.bad  # a trial is good or bad, never both
        assert bool(right.checks) == right.bad  # a set-up in which nothing may be said names what must have failed
