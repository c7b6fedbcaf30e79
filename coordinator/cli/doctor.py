"""`loadgen doctor`: the limits of this machine, and how to change them."""

from __future__ import annotations

import click

from coordinator.cli.panels import command, option
from coordinator.starting import end_in_order


@command()
@option(
    "--vms",
    type=click.IntRange(1),
    metavar="N",
    default=16,
    show_default=True,
    help="Number of VMs to plan for, at least 1.",
)
@option(
    "--connections",
    type=click.IntRange(1),
    metavar="N",
    default=20,
    show_default=True,
    help="Connections per VM, at least 1.",
)
def doctor(vms: int, connections: int) -> int:
    """Check the limits of this machine (files, ports, TCP settings, web servers) and print how to change them.

    Starts one VM with each VM driver, to see which of them work here. Exits with 1 when a run with this number of VMs
    and connections would fail.
    """
    import uvloop
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from coordinator.output.streams import printing
    from deploy.doctor import Level, diagnose, engine
    from deploy.facts import gather
    from deploy.servers.catalog import find_all
    from deploy.trial import advice as trial_advice
    from deploy.trial import try_drivers
    from loadgen.engine.choice import why_not_compiled
    from loadgen.model.plan import SpecPlan
    from workloads.catalog import of_spec

    marks = {Level.OK: ("ok", "green"), Level.WARNING: ("warning", "yellow"), Level.PROBLEM: ("PROBLEM", "bold red")}
    connects_per_s = of_spec(SpecPlan()).connects_per_s(SpecPlan())
    end_in_order()  # from here on there are VMs to end
    trials = uvloop.run(try_drivers())
    advice = [
        *diagnose(gather(find_all()), vms, connections, connects_per_s),
        engine(why_not_compiled()),
        *trial_advice(trials),
    ]
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
        console.print(f"{vms} VMs with {connections} connections each; this machine makes the load, too:")
        console.print(table)
    return int(any(item.level is Level.PROBLEM for item in advice))
