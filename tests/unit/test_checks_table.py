"""The table of checks says of each check whether it holds, and never that something unknown is good."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from coordinator.output.terminal.parts import checks_table
from loadgen.verdict.result import Check


def shown(check: Check) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(checks_table("", (check,)))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.mark.parametrize(("share", "mark"), [(0.04, "ok"), (0.06, "FAIL")])
def test_a_known_value_is_ok_or_not(share: float, mark: str) -> None:
    text = shown(Check.at_most("CPU quota", share, 0.05, detail="the reason"))
    assert mark in text
    assert ("the reason" in text) is (mark == "FAIL")
    assert "unknown" not in text


def test_an_unknown_value_is_neither_and_the_reason_is_given() -> None:
    text = shown(Check.unknown("CPU quota", 0.05, detail="the reason"))
    assert "unknown" in text
    assert "the reason" in text
    assert "ok" not in text
    assert "FAIL" not in text
