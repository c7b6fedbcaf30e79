"""Checks command lines of loadgen in documents and scripts with the real command line parser."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

import click

from coordinator.cli import app


def _find(words: Sequence[str]) -> tuple[click.Command, list[str], list[str], click.Context]:
    """Find the command that `words` name.  Returns the command, its path, the words after it, and its parent's context.

    Raises click.UsageError when there is no such command.
    """
    command: click.Command = app
    names = app.context_settings["help_option_names"]  # a command keeps the help option that it created first
    context = click.Context(app, info_name="loadgen", help_option_names=names)
    rest, path = list(words), []
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name, found, rest = command.resolve_command(context, rest)
        assert name is not None
        assert found is not None
        path.append(name)
        command = found
        context = click.Context(command, info_name=name, parent=context)
    return command, path, rest, context


def accept(argv: Sequence[str]) -> str:
    """Return the command that a whole command line names, like `fleet check`; nothing is run.

    Raises click.UsageError when the command line is not accepted: a command, an option or a value is unknown, or a
    required part is missing.
    """
    command, path, rest, context = _find(argv)
    if isinstance(command, click.Group) and path:
        raise click.UsageError(f"loadgen {' '.join(path)} needs a command")
    if not path:
        app.make_parser(context).parse_args(list(rest))  # loadgen --version
    elif rest != ["--help"]:  # this option prints the help text and exits
        command.make_context(path[-1], rest, parent=context.parent)
    return " ".join(path)


def mention(argv: Sequence[str]) -> str:
    """Return the command that part of a command line names, as in running text; values and arguments may be missing.

    Raises click.UsageError when the command, or one of its options, is unknown.
    """
    command, path, rest, context = _find(argv)
    known = {name for parameter in command.get_params(context) for name in (*parameter.opts, *parameter.secondary_opts)}
    for word in rest:
        option = word.partition("=")[0]
        if option.startswith("-") and option not in known:
            raise click.NoSuchOption(option, ctx=context)
    return " ".join(path)


def options(command: click.Command = app) -> Iterator[str]:
    """Return all options of a command and of the commands below it."""
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from options(below)


def lines_of(shell: str) -> Iterator[list[str]]:
    """Return the calls of loadgen in shell text, with continuation lines joined, also of its image.

    What the shell does with the output (`> FILE`, `>> FILE`) is left out.
    """
    for line in re.sub(r"\\\n\s*", " ", shell).splitlines():
        if not re.match(r"\s*(loadgen|docker run)\b", line):
            continue  # other text need not be valid shell
        words = shlex.split(line, comments=True)
        words = words[: next((at for at, word in enumerate(words) if word in (">", ">>")), None)]
        if words[0] == "loadgen":
            yield words[1:]
        else:
            image = next(at for at, word in enumerate(words) if word.startswith("loadgen:"))
            yield words[image + 1 :]


def mentions_of(prose: str) -> Iterator[list[str]]:
    """Return the calls of loadgen in the code spans of running text."""
    for span in re.findall(r"`loadgen( [^`]*)?`", prose):
        yield shlex.split(span)
