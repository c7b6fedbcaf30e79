"""Options in titled groups: the help of a command with forty options needs headings.

click alone writes this help: a library that draws boxes with rich takes longer to import than the whole command line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from loadgen.model.errors import ExitCode

if TYPE_CHECKING:
    from click.types import OptionHelpExtra

F = TypeVar("F", bound=Callable[..., Any])

_OTHER = "Options"
CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
"""Settings of every command: two spellings of --help, and lines that are still easy to read on a wide terminal."""


class Option(click.Option):
    """An option that the help shows below the heading `panel`."""

    def __init__(self, *args: Any, panel: str = _OTHER, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.panel = panel

    def get_help_extra(self, ctx: click.Context) -> OptionHelpExtra:
        """Return what click adds to the help, without the range: the help says it in words."""
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        return extra


class Command(click.Command):
    """A command whose help has a section for each panel, in the order of their first options; other options last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):  # the text above explains the arguments
                sections.setdefault(getattr(parameter, "panel", _OTHER), []).append(record)
        others = sections.pop(_OTHER, [])
        for title, records in [*sections.items(), (_OTHER, others)]:
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class Group(click.Group):
    """A group whose commands have help in sections, and whose list of commands shows the whole first sentence."""

    command_class = Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does.  Without any argument, print the help to stdout and exit as for a usage error."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit(ExitCode.USAGE)
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command with the first sentence of its help; click would cut the sentence at the line's end."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, found.get_short_help_str(sys.maxsize)) for name, found in commands if found])


def option(*declarations: str, panel: str = _OTHER, **settings: Any) -> Callable[[F], F]:
    """Like :func:`click.option`, below the heading `panel`."""
    return click.option(*declarations, cls=Option, panel=panel, **settings)


def command(name: str | None = None, **settings: Any) -> Callable[[Callable[..., Any]], Command]:
    """Like :func:`click.command`, with help in sections."""
    return click.command(name, cls=Command, **settings)


def group(name: str | None = None, **settings: Any) -> Callable[[Callable[..., Any]], Group]:
    """Like :func:`click.group`; its commands have help in sections."""
    return click.group(name, cls=Group, **settings)
