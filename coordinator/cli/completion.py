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

    bash: add the line eval "$(loadgen completion bash)" to ~/.bashrc.
    zsh: add the line eval "$(loadgen completion zsh)" to ~/.zshrc, below compinit.
    fish: write the output of loadgen completion fish to ~/.config/fish/completions/loadgen.fish.
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    with printing():
        click.echo(kind(context.find_root().command, {}, "loadgen", "_LOADGEN_COMPLETE").source())
