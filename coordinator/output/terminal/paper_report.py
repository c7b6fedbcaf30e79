"""The report of `loadgen paper`: the paper's figures beside those of this machine, at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from coordinator.output.judged import Judged
from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.parts import (
    STYLES,
    WIDTH,
    add_row,
    bullets,
    cut_banner,
    own_version,
    plain_table,
    setup_line,
    verdict_line,
    where,
)
from coordinator.record.header import Header
from loadgen.model.paper import Experiment, PaperPlan
from loadgen.model.units import NS_PER_S, counted
from loadgen.verdict.paper import Ours, PaperResult, PaperStep, State
from loadgen.verdict.paper_figures import HARDWARE, NOT_COMPARABLE, PARTS, Part, Printed
from loadgen.verdict.result import Verdict

_SYSTEMS = "Xen 2.0.7, Linux-VServer, and Linux 2.6.12 of Fedora Core 4"
_NOTHING_PRINTED = Printed()

_JUDGED = frozenset({Experiment.SPEC, Experiment.SPEC_OCI, Experiment.CAPACITY, Experiment.PACK})
"""The experiments that can fail by what they demand; of the others, a good result is only valid."""


def print_paper(console: Console, judged: Judged[PaperPlan, PaperResult]) -> None:
    """Print the report of the paper's experiments."""
    console.print(Group(*_parts(judged)), width=min(WIDTH, console.width))


def _parts(judged: Judged[PaperPlan, PaperResult]) -> Iterator[RenderableType]:
    result = judged.result
    yield Text("The paper's experiments on this machine", "bold")
    yield _setup(judged.header, result)
    yield Text()
    yield from cut_banner(judged.cut)
    for step in result.steps:
        yield from _step(step, judged.path)
        yield Text()
    tried = {step.experiment for step in result.steps}
    if missing := [one.value for one in result.asked if one not in tried]:
        yield bullets("", [f"not played yet: {', '.join(missing)}; loadgen resume plays them"])
        yield Text()
    yield Text("No number of this machine is a score against the paper's", "bold")
    yield bullets("-", NOT_COMPARABLE)
    yield Text()
    if result.steps:
        word = "VALID" if result.verdict is Verdict.CONFORMING else ""
        yield verdict_line(result.verdict, word, cut=judged.cut)
        yield bullets("-", result.reasons)
    yield from where(judged.path)


def _setup(header: Header[PaperPlan], result: PaperResult) -> Table:
    plan = header.plan
    grid = Table.grid(padding=(0, 2))
    took_s = sum(step.took_ns for step in result.steps) / NS_PER_S
    for name, text in (
        ("started", header.started_at),
        ("profile", f"{plan.profile.value}, {counted(len(result.asked), 'experiment')}, {fmt.clock(took_s)} so far"),
        ("VMs", f"driver {plan.vm_driver}, web server {plan.server.value}, seed {plan.seed}"),
        ("machine", setup_line(header)),
        ("loadgen", own_version(header)),
        ("paper", f"{_SYSTEMS}; {HARDWARE}"),
    ):
        add_row(grid, name, text)
    return grid


def _step(step: PaperStep, path: Path) -> Iterator[RenderableType]:
    part = PARTS[step.experiment]
    yield Text.assemble((f"{step.experiment.value}: {part.title}", "bold"), f" ({part.source})")
    yield from _outcome(step, path)
    if step.ours:
        yield _numbers(part, step.ours)
    if step.ours or step.state is State.PLAYED:
        yield bullets("paper:", [part.method])
        yield bullets("here:", [part.differs])


def _outcome(step: PaperStep, path: Path) -> Iterator[RenderableType]:
    """How the experiment ended; what is behind a result that is not good."""
    if step.state is State.NOT_HERE:
        yield Text("Not played: this machine cannot play it.", "bold yellow")
        yield bullets("-", step.reasons)
        return
    record = f"; its record: {path / step.record}" if step.record else ""
    took = f", took {fmt.clock(step.took_ns / NS_PER_S)}" if step.took_ns else ""
    if step.state is State.FAILED or step.verdict is None:
        yield Text.assemble(("FAILED", "bold red"), f"{took}{record}")
        yield bullets("-", step.reasons)
        return
    word = "VALID" if step.verdict is Verdict.CONFORMING and step.experiment not in _JUDGED else ""
    yield Text.assemble((word or step.verdict.value.upper(), STYLES[step.verdict]), f"{took}{record}")
    if step.verdict is not Verdict.CONFORMING:
        yield bullets("-", step.reasons[:3])


def _numbers(part: Part, ours: Sequence[Ours]) -> Table:
    """The numbers of this machine, with the paper's."""
    table = plain_table("")
    table.add_column("", max_width=34)
    for title in ("here", "Linux", "VServer", "Xen"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in ours:
        printed = part.printed.get(one.key, _NOTHING_PRINTED)
        paper = (printed.linux, printed.vserver, printed.xen)
        add_row(table, one.what, number_text(one), *(text or fmt.NOTHING for text in paper))
    return table


def number_text(one: Ours) -> str:
    """A number with its range: `940 (931-941)`, `20 of 20`, `>= 941`; INVALID for one that is not known."""
    if one.value is None:
        return Verdict.INVALID.value
    text = f"{'>= ' if one.at_least else ''}{_short(one.value)}"
    if one.of is not None:
        text += f" of {_short(one.of)}"
    if one.low is not None and one.high is not None:
        text += f" ({_short(one.low)}-{_short(one.high)})"
    return text


def _short(value: float) -> str:
    """About three digits."""
    if float(value).is_integer() or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
