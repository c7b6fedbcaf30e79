"""Imports at start-up: --version, help and completion import no heavy module."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import click
import pytest

from coordinator.cli import app
from coordinator.cli.commands import COMMANDS

VERSION_MAY_IMPORT = {
    "coordinator",
    "coordinator.cli",
    "coordinator.cli.commands",
    "coordinator.cli.lazy",
    "coordinator.cli.panels",
    "coordinator.output",
    "coordinator.output.streams",
    "loadgen",
    "loadgen.model",
    "loadgen.model.entry",
    "loadgen.model.errors",
}
"""All modules of loadgen that `--version` and `--help` may import."""

HEAVY = {
    "aiohttp",
    "asyncio",
    "asyncssh",
    "cryptography",
    "distributed",
    "msgpack",
    "multiprocessing",
    "numpy",
    "rich",
    "ssl",
    "subprocess",
    "tomli_w",
    "uvloop",
}
"""Modules that no help text needs; each takes 10 ms of CPU or more, or imports a module that does."""

OURS = ("coordinator", "deploy", "loadgen", "workloads")

_REPORT = """
import json, sys
before = set(sys.modules)
from coordinator.cli import main
main()
print(json.dumps(sorted(set(sys.modules) - before)), file=sys.stderr)
"""


def imported(*arguments: str, **environment: str) -> set[str]:
    """Return the modules that a command line imports in a new interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", _REPORT, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "TERM": "dumb", **environment},
        check=True,
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] in OURS}


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_version_and_the_list_of_commands_import_few_modules(option: str) -> None:
    modules = imported(option)
    assert ours(modules) == VERSION_MAY_IMPORT
    assert not modules & HEAVY


def test_version_does_not_need_the_metadata_of_packages() -> None:
    assert "importlib.metadata" not in imported("--version")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_imports_nothing_heavy(command: str) -> None:
    assert imported(command, "--help") & HEAVY == set()


@pytest.mark.parametrize("words", ["loadgen s", "loadgen spec --e", "loadgen http --engine c"])
def test_completion_imports_nothing_heavy(words: str) -> None:
    modules = imported(_LOADGEN_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(words.count(" ")))
    assert not modules & HEAVY


@pytest.mark.parametrize("command", COMMANDS)
def test_the_list_of_commands_matches_the_help_of_each_command(command: str) -> None:
    known = app.get_command(click.Context(app), command)
    assert known is not None
    assert known.help is not None
    assert known.name == command
    first = " ".join(known.help.split("\n\n")[0].split())
    assert COMMANDS[command].summary == first


def test_an_unknown_command_is_a_usage_error() -> None:
    assert app.get_command(click.Context(app), "steam") is None
    with pytest.raises(click.UsageError, match="No such command 'steam'"):
        app.resolve_command(click.Context(app), ["steam"])
