"""Command lines of loadgen that stand in documents and scripts, held against the real command line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

import click

from coordinator.cli import app


def accept(argv: Sequence[str]) -> str:
    """The command that this line names, like `fleet check`; nothing is run.

    Raises click.UsageError when the command line does not take it: a command, an option or a value that is unknown.
    """
    command: click.Command = app
    names = app.context_settings["help_option_names"]  # a command keeps the help option that it saw first
    context = click.Context(app, info_name="loadgen", help_option_names=names)
    rest, path = list(argv), []
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, rest)
        assert name is not None
        assert found is not None
        path.append(name)
        command = found
        context = click.Context(command, info_name=name, parent=context)
    if rest != ["--help"]:  # that is a request to print it
        command.make_context(path[-1], rest, parent=context.parent)
    return " ".join(path)


def options(command: click.Command = app) -> Iterator[str]:
    """All options of it and of its commands."""
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from options(below)


def lines_of(shell: str) -> Iterator[list[str]]:
    """Calls of loadgen in shell text, their continuations joined: lines that begin with it, or that run its image."""
    for line in re.sub(r"\\\n\s*", " ", shell).splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["loadgen"]:
            yield words[1:]
        elif words[:2] == ["docker", "run"]:
            image = next(at for at, word in enumerate(words) if word.startswith("loadgen:"))
            yield words[image + 1 :]
