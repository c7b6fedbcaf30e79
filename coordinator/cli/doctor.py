"""`loadgen doctor`: what this machine can carry, and what to change."""

from __future__ import annotations

import rich_click as click


@click.command()
@click.option(
    "--vms", type=click.IntRange(1), metavar="N", default=16, show_default=True, help="Web servers to expect."
)
@click.option(
    "--connections", type=click.IntRange(1), metavar="N", default=20, show_default=True, help="Connections per VM."
)
def doctor(vms: int, connections: int) -> int:
    """Check this machine's limits (files, ports, TCP settings, servers found) and say what to change.

    Exits with 1 when a run with so many connections would not work.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from coordinator.output import printing
    from deploy.doctor import Level, diagnose, engine
    from deploy.facts import gather
    from deploy.servers.catalog import find_all
    from loadgen.engine.choice import why_not_compiled

    marks = {Level.OK: ("ok", "green"), Level.WARNING: ("warning", "yellow"), Level.PROBLEM: ("PROBLEM", "bold red")}
    advice = [*diagnose(gather(find_all()), vms, connections), engine(why_not_compiled())]
    console = Console()
    table = Table(box=None, padding=(0, 1), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for item in advice:
        mark, style = marks[item.level]
        text = Text(item.finding)
        if item.meaning:
            text.append(f"\n{item.meaning}")
        if item.command:
            text.append(f"\n$ {item.command}", "bold")
        table.add_row(Text(mark, style), item.topic, text)
    with printing():
        console.print(f"{vms} VMs with {connections} connections each, the load made on this machine too:")
        console.print(table)
    return int(any(item.level is Level.PROBLEM for item in advice))
