"""`loadgen lab`: the networks that `loadgen forward` builds on this machine."""

from __future__ import annotations

import rich_click as click

from coordinator.output.streams import printing
from deploy.lab.sweep import end_leftovers


@click.group()
def lab() -> None:
    """Look after the networks that `loadgen forward` builds on this machine."""


@lab.command()
def clean() -> None:
    """End what a killed run has left behind, and nothing of anybody else's.

    A lab has no names and vanishes with its processes, and these end with their coordinator. Should one still be
    there, it is found by a mark that says whose it is; those of runs that go on are left alone.
    """
    ended = end_leftovers()
    with printing():
        for left in ended:
            click.echo(f"ended: pid {left.pid}, {left.command}")
        if not ended:
            click.echo("nothing left")
