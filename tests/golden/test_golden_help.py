"""The help texts, at 100 columns and without colour, in any terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from coordinator.cli import app, main
from loadgen import __version__

README = Path(__file__).parents[2] / "README.md"


def _commands(group: click.Group, before: str = "") -> dict[str, click.Command]:
    """All commands by the words that call them, with the commands of groups."""
    found = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found[f"{before}{name}"] = command
        if isinstance(command, click.Group):
            found |= _commands(command, f"{before}{name} ")
    return found


KNOWN = _commands(app)
COMMANDS = list(KNOWN)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return the output of a command line on a terminal of the given width."""

    def run(*arguments: str, width: int = 100) -> str:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(sys, "argv", ["loadgen", *arguments])
        assert main() == 0
        return "".join(f"{line.rstrip()}\n" for line in capsys.readouterr().out.splitlines())

    return run


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(golden: Callable[[str, str], None], shown: Callable[..., str], command: str) -> None:
    name = command.replace(" ", "_") or "loadgen"
    golden(f"help/{name}.txt", shown(*command.split(), "--help"))


@pytest.mark.parametrize("command", ["", *COMMANDS])
@pytest.mark.parametrize("width", [80, 100, 200])
def test_help_fits_the_terminal_and_splits_no_option(shown: Callable[..., str], command: str, width: int) -> None:
    text = shown(*command.split(), "--help", width=width)
    assert max(len(line) for line in text.splitlines()) <= min(width, 100)
    for parameter in (KNOWN[command] if command else app).params:
        if isinstance(parameter, click.Option) and parameter.hidden:
            continue  # a command for another loadgen process, not for a person
        for name in (*parameter.opts, *parameter.secondary_opts):
            assert not name.startswith("--") or name in text


def test_the_version(shown: Callable[..., str]) -> None:
    assert shown("--version") == f"loadgen, version {__version__}\n"


def test_every_command_has_a_summary() -> None:
    for command in [app, *KNOWN.values()]:
        assert command.help, command.name
        assert command.get_short_help_str(200).endswith((".", "?")), command.name


def test_every_option_has_help() -> None:
    options = [
        (command.name, option)
        for command in [app, *KNOWN.values()]
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden
    ]
    assert len(options) > 30
    assert [(name, option.opts[0]) for name, option in options if not option.help] == []
    assert [(name, option.opts[0]) for name, option in options if "." not in str(option.help)] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_mentions_every_command(command: str) -> None:
    assert f"loadgen {command}" in README.read_text(encoding="utf-8")
