"""`loadgen COMMAND --print-plan` in this process: what it prints, or the one line with which it refuses."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from coordinator.cli import app
from loadgen.model.errors import LoadgenError


def plan_toml(command: str, *arguments: str | Path) -> str:
    """What is printed."""
    done = CliRunner().invoke(app, [command, *map(str, arguments), "--print-plan"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def plan_data(command: str, *arguments: str | Path) -> dict[str, Any]:
    """What is printed, as plain data."""
    return tomllib.loads(plan_toml(command, *arguments))


def refusal(command: str, *arguments: str | Path) -> str:
    """The message of a refusal, which prints nothing on stdout and has exit code 2."""
    done = CliRunner().invoke(app, [command, *map(str, arguments), "--print-plan"])
    assert done.stdout == ""
    if isinstance(done.exception, LoadgenError):
        message, code = done.exception.message, int(done.exception.exit_code)
        assert "\n" not in message
    else:
        message, code = done.stderr, done.exit_code
    assert code == 2
    return message
