"""Parts that the reports of all kinds of runs share: tables, sentences, the verdict, the machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from coordinator.output.judged import RUNNING
from coordinator.output.one_machine import say_shared
from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.machines import say_offset
from coordinator.record.fleet import FleetRecord
from coordinator.record.header import Header
from loadgen.model.http_plan import HttpPlan
from loadgen.model.units import NS_PER_MS, number
from loadgen.verdict.disturbance import Disturbance
from loadgen.verdict.result import Check, Verdict
from loadgen.verdict.slo import SloCheck

WIDTH = 80
"""The greatest width of a report, in columns."""

STYLES = {
    Verdict.CONFORMING: "bold green",
    Verdict.NOT_CONFORMING: "bold red",
    Verdict.INVALID: "bold red",
    Verdict.DEGRADED: "bold yellow",
    Verdict.INTERRUPTED: "bold yellow",
}
"""By verdict."""


def where(path: Path) -> list[RenderableType]:
    """The line that says in which directory the record is, with an empty line above it."""
    return [Text(), Text.assemble("Record: ", (str(path), "bold"))]


def cut_title(cut: str) -> str:
    """RUNNING for the sentence of a run that is still going on, and CUT for others."""
    return "RUNNING" if cut == RUNNING else "CUT"


def cut_banner(cut: str) -> list[RenderableType]:
    """The banner of a run that did not write its end, from the sentence that says so; nothing without a sentence."""
    return [banner(cut_title(cut), f"{cut[0].upper()}{cut[1:]}.", "bold yellow"), Text()] if cut else []


def banner(title: str, text: str, style: str) -> Panel:
    """A sentence in a frame, for what must not be overlooked."""
    return Panel(Text.assemble((title, style), "  ", text), box=box.HEAVY, border_style=style, expand=True)


def verdict_line(verdict: Verdict, word: str = "", *, cut: str = "") -> Text:
    """The verdict with its exit code; `word`, when it is not empty, replaces the name of the verdict.

    `cut` is the sentence of a run that did not write its end: one that is still going on has no verdict yet.
    """
    shown = word or verdict.value.upper()
    before = Text.assemble(("none yet", "bold yellow"), "; interrupted now, it would be ") if cut == RUNNING else ""
    return Text.assemble("Verdict: ", before, (shown, STYLES[verdict]), f" (exit code {int(verdict.exit_code)})")


def word_of(verdict: Verdict, plan: Any) -> str:
    """The verdict of runs of `plan` in one word, in lower case: `valid` when nothing was required of the servers."""
    nothing_required = isinstance(plan, HttpPlan) and not plan.slos
    return "valid" if verdict is Verdict.CONFORMING and nothing_required else verdict.value


def bullets(mark: str, sentences: Iterable[str]) -> RenderableType:
    """Sentences one below the other, each with `mark` before it and wrapped beside the mark."""
    grid = Table.grid(padding=(0, 1))
    for sentence in sentences:
        add_row(grid, f" {mark}", sentence)
    return grid


def disturbance_lines(found: Disturbance | None) -> list[RenderableType]:
    """The sentence on the disturbed seconds; nothing when none was disturbed."""
    return [bullets("disturbed:", [found.sentence])] if found is not None and found.sentence else []


def head(title: str, header: Header[Any], rows: Iterable[tuple[str, str]], cut: str) -> list[RenderableType]:
    """The head of a report: its title, when and where the run was, `rows` about its set-up, and whether it was cut."""
    grid = Table.grid(padding=(0, 2))
    for name, text in (
        ("started", header.started_at),
        *rows,
        ("machine", setup_line(header)),
        ("loadgen", own_version(header)),
    ):
        add_row(grid, name, text)
    return [Text(title, "bold"), grid, Text(), *cut_banner(cut)]


def setup_line(header: Header[Any]) -> str:
    """The machine and the software, in one line."""
    environment = header.environment
    cores = f"{environment.cores_usable} of {environment.cores} cores"
    return f"{environment.cpu or environment.architecture}, {cores}, Linux {environment.kernel}"


def shared_lines(header: Header[Any]) -> list[RenderableType]:
    """The line on servers that share the machine of the load generator; nothing when that is not known."""
    said = say_shared(header)
    return [Text(said)] if said else []


def own_version(header: Header[Any]) -> str:
    """The version of loadgen, and the commit when it ran from a checkout."""
    return f"{header.environment.loadgen} {header.environment.git_commit[:12]}".strip()


def plain_table(title: str) -> Table:
    """An empty table with a heading, a line under it, and no frame; `title` may be empty."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


def add_row(table: Table, *cells: str | Text) -> None:
    """Add a row of literal text: rich would read a name like `[b]` as markup."""
    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))


def checks_table(title: str, checks: Sequence[Check], *, judged: bool = True, at_least: str = "") -> Table:
    """The table of checks, with the detail of each check that failed or is not known (run.json has all details).

    With `judged` False, as for the servers of an invalid run, the numbers are shown but not called good or bad.
    `at_least` is written before a value that is only a lower bound.
    """
    table = plain_table(title)
    for heading in ("", "", "measured", "limit", ""):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=heading != "")
    for check in checks:
        unit = f" {check.unit}" if check.unit else ""
        mark = Text("ok") if check.ok else Text("FAIL", "bold red")
        if not judged or (not check.known and check.ok):
            mark = Text(fmt.NOTHING)
        bound = at_least if isinstance(check, SloCheck) and check.at_least else ""
        add_row(
            table,
            mark,
            check.name,
            f"{bound}{number(check.value)}{unit}" if check.known else "unknown",
            f"{check.relation} {number(check.limit)}{unit}",
            "" if (check.ok and check.known) or not judged else check.detail,
        )
    return table


def machines_table(fleet: FleetRecord) -> Table:
    """The load machines that played, with the offsets of their clocks and the errors of these."""
    table = plain_table("Load machines")
    table.add_column("machine", no_wrap=True, max_width=24)
    for title in ("cores", "engines", "connections", "clock offset", "± ms"):
        table.add_column(title, justify="right", no_wrap=True)
    for machine in fleet.machines:
        clock = fleet.clocks.get(machine.name)
        playing = [worker for worker in machine.workers if worker in fleet.placement.workers]
        numbers = [fleet.placement.workers.index(worker) for worker in playing]
        add_row(
            table,
            machine.name,
            fmt.count(machine.cores),
            fmt.count(len(playing)),
            fmt.count(int(np.isin(fleet.placement.worker_of, numbers).sum())),
            say_offset(clock.offset_ns / NS_PER_MS if clock else 0.0),
            f"{clock.error_ns / NS_PER_MS if clock else 0.0:.3f}",
        )
    return table
