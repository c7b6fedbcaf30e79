"""A group that imports each command only when the command is called."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from coordinator.cli.panels import Group
from loadgen.model.entry import Entry

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class LazyGroup(Group):
    """A group that knows its commands by name and summary, and imports a command only when it is needed.

    Help and completion of the group itself show only names and summaries, so they import no command.
    """

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._entries = entries
        self._lists = False
        for name, entry in entries.items():
            self.add_command(click.Command(name=name, help=entry.summary))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command of that name; None when there is no such command."""
        listed = super().get_command(ctx, cmd_name)
        if listed is None or self._lists:
            return listed
        command = self._entries[cmd_name].load()
        assert isinstance(command, click.Command)
        return command

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options and the list of commands, without importing any."""
        with self._listing():
            super().format_options(ctx, formatter)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the options and commands that begin with `incomplete`, without importing any command."""
        with self._listing():
            return super().shell_complete(ctx, incomplete)

    @contextlib.contextmanager
    def _listing(self) -> Iterator[None]:
        self._lists = True
        try:
            yield
        finally:
            self._lists = False
