"""`loadgen lab`: manage the networks that `loadgen forward` builds on this machine."""

from __future__ import annotations

import click

from coordinator.cli.panels import group
from coordinator.output.streams import printing
from deploy.lab.sweep import end_leftovers


@group()
def lab() -> None:
    """Manage the networks that `loadgen forward` builds on this machine."""


@lab.command()
def clean() -> None:
    """End the processes that a killed run has left behind.

    The network of a lab exists only as long as its processes, which normally end with their coordinator. A process
    that remains is found by a mark in its environment, which names its run. Processes of runs that still go on, and
    all other processes, are left alone.
    """
    ended = end_leftovers()
    with printing():
        for left in ended:
            click.echo(f"ended: pid {left.pid}, {left.command}")
        if not ended:
            click.echo("nothing left")
