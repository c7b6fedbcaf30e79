"""Runs `loadgen COMMAND --print-plan` in this process: returns its output, or the message of a refusal."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from coordinator.cli import app
from loadgen.model.errors import LoadgenError


def plan_toml(command: str, *arguments: str | Path) -> str:
    """Return the plan that the command prints, as TOML."""
    done = CliRunner().invoke(app, [command, *map(str, arguments), "--print-plan"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def plan_data(command: str, *arguments: str | Path) -> dict[str, Any]:
    """Return the plan that the command prints, as plain data."""
    return tomllib.loads(plan_toml(command, *arguments))


def refusal(command: str, *arguments: str | Path) -> str:
    """Return the message of a refusal; checks that stdout is empty and the exit code is 2."""
    done = CliRunner().invoke(app, [command, *map(str, arguments), "--print-plan"])
    assert done.stdout == ""
    if isinstance(done.exception, LoadgenError):
        message, code = done.exception.message, int(done.exception.exit_code)
        assert "\n" not in message
    else:
        message, code = done.stderr, done.exit_code
    assert code == 2
    return message
