"""The exit codes of `main` where click and rich-click end the program themselves."""

from __future__ import annotations

import sys

import pytest

from coordinator.cli import main


@pytest.mark.parametrize("arguments", [[], ["fleet"], ["lab"]])
def test_a_group_without_a_command_shows_its_help_and_is_a_usage_error(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["loadgen", *arguments])
    assert main() == 2
    assert "Usage: loadgen" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_help_and_version_are_no_errors(
    option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["loadgen", option])
    assert main() == 0
    assert "loadgen" in capsys.readouterr().out
