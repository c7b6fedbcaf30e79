"""`loadgen completion`: completion scripts for shells."""

from __future__ import annotations

import click

from coordinator.cli.panels import command
from coordinator.output.streams import printing


@command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for a shell.

    For the current session: eval "$(loadgen completion bash)". For every session: add that line to ~/.bashrc.
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    with printing():
        click.echo(kind(context.find_root().command, {}, "loadgen", "_LOADGEN_COMPLETE").source())
