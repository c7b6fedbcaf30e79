"""The page of the commands: each one with its arguments, options and defaults, from the definitions of click."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from coordinator.cli import app
from tools.reference.text import note

_HELP = "Show this message and exit."
_HEAD = f"""\
# Commands

Every command of loadgen with its options, as `--help` shows them:

```sh
loadgen spec --help
```

{note("the definitions of the options")}
"""


def page() -> str:
    """The text of the page."""
    return "\n".join([_HEAD, *(_section(command, context) for command, context in all_commands())])


def all_commands() -> Iterator[tuple[click.Command, click.Context]]:
    """The program itself and each command of it, also those of groups, with the context that knows its whole name."""
    names = app.context_settings["help_option_names"]  # a command keeps the help option that it created first
    context = click.Context(app, info_name="loadgen", help_option_names=names)
    yield app, context
    yield from _commands(app, context)


def _commands(group: click.Group, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        below = click.Context(command, info_name=name, parent=context)
        yield command, below
        if isinstance(command, click.Group):
            yield from _commands(command, below)


def _section(command: click.Command, context: click.Context) -> str:
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [f"## {context.command_path}\n", f"```text\nUsage: {context.command_path} {usage}\n```\n"]
    paragraphs = (command.help or "").replace("\b", "").strip().split("\n\n")
    parts += [f"{escaped(' '.join(paragraph.split()))}\n" for paragraph in paragraphs]
    panels: dict[str, list[str]] = {}
    help_option = click.Option(app.context_settings["help_option_names"], is_flag=True, help=_HELP)
    for parameter in (*command.params, help_option):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            names, text = record
            panels.setdefault(getattr(parameter, "panel", "Options"), []).append(f"- `{names}`: {escaped(text)}")
    own = panels.pop("Options", [])
    for title, lines in [*panels.items(), ("Options", own)]:
        if lines:
            parts += [f"**{title}**\n", "\n".join(lines) + "\n"]
    return "\n".join(parts)


def escaped(text: str) -> str:
    """The text of a help, so that Markdown shows it as it is; backquotes make code of what is between them."""
    pieces = " ".join(text.split()).split("`")
    for at in range(0, len(pieces), 2):
        pieces[at] = re.sub(r"([\\*_\[\]<])", r"\\\1", pieces[at])
    return "`".join(pieces)
