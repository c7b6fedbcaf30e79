"""The final report of `loadgen http`: text for stdout, from the values that the record holds, at most 80 columns.

A valid run without objectives is called VALID, because there was nothing to conform to.  The report of an INVALID run
shows the measured numbers, and says first and last that the servers may do better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePath

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from coordinator.output.judged import Judged
from coordinator.output.one_machine import say_shared
from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.canary import canary_lines
from coordinator.output.terminal.engines import address_lines, engine_lines
from coordinator.output.terminal.folding import few, fold, folded_title, how_slow, some
from coordinator.output.terminal.intervals import Words
from coordinator.output.terminal.parts import (
    WIDTH,
    add_row,
    banner,
    bullets,
    checks_table,
    cut_banner,
    disturbance_lines,
    machines_table,
    own_version,
    plain_table,
    setup_line,
    verdict_line,
    where,
    word_of,
)
from coordinator.output.terminal.stage_lines import stage_lines
from coordinator.output.terminal.tcp_lines import tcp_lines
from coordinator.output.terminal.time_lines import time_lines
from coordinator.record.header import Header
from loadgen.model.http_plan import HttpPlan
from loadgen.model.units import format_duration
from loadgen.verdict.http_result import HttpResult, HttpRow, Times, TimeSpans
from loadgen.verdict.result import Verdict
from loadgen.verdict.span import Span

_NOT_THEIRS = "The load generator failed its checks: the servers may do better than these numbers."


def print_http(console: Console, judged: Judged[HttpPlan, HttpResult]) -> None:
    """Print the report of a `loadgen http` run."""
    console.print(Group(*_parts(judged, Words(console.options.ascii_only))), width=min(WIDTH, console.width))


def _parts(judged: Judged[HttpPlan, HttpResult], words: Words) -> Iterator[RenderableType]:
    result, header = judged.result, judged.header
    plan = header.plan
    invalid = result.verdict is Verdict.INVALID
    yield Text("HTTP load", "bold")
    yield _setup(header, result.sent)
    yield Text()
    yield from cut_banner(judged.cut)
    if invalid:
        yield banner("INVALID", _NOT_THEIRS, "bold red")
        yield Text()
    if len(header.own_fleet.machines) > 1:
        yield machines_table(header.own_fleet)
        yield Text()
    if result.trust.checks:
        yield checks_table("Can the load generator be trusted?", result.trust.checks)
        yield from canary_lines(result.canary)
        yield Text()
    yield from _errors(result.targets)
    yield from _statuses(result.targets)
    if len(result.requests) > 1:
        yield _requests(result)
        yield Text()
    if result.measured_s:
        yield _times(result, words, open_loop=plan.rate_per_s > 0)
        yield Text()
        yield _targets(result, words)
        yield from _retries(result.targets)
        yield from time_lines(result.total.time, result.targets, "targets")
        yield from tcp_lines(result.total.tcp, result.targets, "target", "targets")
        yield Text()
    yield from stage_lines(result.stages, words)
    if result.slos:
        yield checks_table("Objectives", result.slos, at_least=words.at_least(""))
        yield Text()
    yield _headline(result, plan, words)
    yield verdict_line(result.verdict, word_of(result.verdict, plan).upper(), cut=judged.cut)
    yield bullets("-", result.reasons)
    yield from disturbance_lines(result.disturbance)
    if result.notes:
        yield bullets("note:", few(result.notes))
    yield from where(judged.path)


def _setup(header: Header[HttpPlan], sent: int) -> Table:
    plan = header.plan
    grid = Table.grid(padding=(0, 2))
    engines = len(header.own_fleet.placement.workers) or plan.engines
    add_row(grid, "started", header.started_at)
    add_row(grid, "requests", _requested(plan))
    if plan.data.file:
        add_row(grid, "data", _data(plan, sent))
    add_row(grid, "load", f"{_load(plan)}, {engines} engine{'s' * (engines != 1)}, seed {plan.seed}")
    for line in engine_lines(header.own_fleet.engines):
        add_row(grid, "engine", line)
    for line in address_lines(header.own_fleet.engines):
        add_row(grid, "addresses", line)
    warm = f" after {format_duration(plan.warmup_ns)} of warm-up" if plan.warmup_ns else ""
    most = f"{fmt.count(plan.total_requests)} requests, at most " if plan.total_requests else ""
    add_row(grid, "measured", f"{most}{format_duration(plan.duration_ns)}{warm}")
    add_row(grid, "machine", setup_line(header))
    if shared := say_shared(header):
        add_row(grid, "shared", shared)
    add_row(grid, "loadgen", own_version(header))
    return grid


def _requested(plan: HttpPlan) -> str:
    if len(plan.requests) == 1:
        return plan.requests[0].name
    targets = len(plan.targets)
    return f"{fmt.count(len(plan.requests))} requests to {targets} target{'s' * (targets != 1)}"


def _data(plan: HttpPlan, sent: int) -> str:
    """The data file, and how often each of its rows was taken by the `sent` requests."""
    rows = f"{fmt.count(plan.data.rows)} row{'s' * (plan.data.rows != 1)}"
    taking = sum(request.weight for request in plan.requests if request.values)
    each = sent * taking / sum(request.weight for request in plan.requests) / max(plan.data.rows, 1)
    used = f"each taken about {each:,.{0 if each >= 10 else 1}f} times" if each > 1 else f"{each:.0%} of them taken"
    return f"{PurePath(plan.data.file).name}, {rows}, {used}"


def _load(plan: HttpPlan) -> str:
    connections = f"{fmt.count(plan.connections)} connection{'s' * (plan.connections != 1)}"
    if plan.http2:
        connections += f" x {fmt.count(plan.streams)} stream{'s' * (plan.streams != 1)} (HTTP/2)"
    if not plan.rate_per_s:
        return f"closed loop, {connections}"
    if plan.stages:
        kind = " Poisson" if plan.poisson else ""
        return f"open loop,{kind} stages {', '.join(map(str, plan.stages))}, {connections}"
    return f"open loop, {plan.rate_per_s:,g}/s {'Poisson' if plan.poisson else 'constant'}, {connections}"


def _headline(result: HttpResult, plan: HttpPlan, words: Words) -> Text:
    total = result.total
    if not result.measured_s:
        return Text("Nothing was measured.", "bold")
    asked = f" of {plan.rate_per_s:,g} requested" if plan.rate_per_s else ""
    p50, p99 = (
        words.seconds(value) if value else f"{fmt.NOTHING} ms"
        for value in (total.response_ms.p50, total.response_ms.p99)
    )
    degraded = "Load was lost, so this is no result: " * (result.verdict is Verdict.DEGRADED)
    unanswered = f", {fmt.count(total.unanswered)} unanswered" if total.unanswered else ""
    return Text(
        f"{degraded}{fmt.rate(total.per_s)} requests/s{asked}, {fmt.rate(total.mbit_per_s)} Mbit/s; "
        f"response p50 {p50}, p99 {p99}; {fmt.count(sum(total.errors.values()))} errors{unanswered}",
        "bold",
    )


_PERCENTILES = ("mean", "p50", "p90", "p99", "p99.9", "max")


def _times(result: HttpResult, words: Words, *, open_loop: bool) -> Table:
    """The table of times.  Where intervals take too much room, each is written as a lower bound."""
    rows: dict[str, Times | TimeSpans] = {
        "response (due to done)": result.total.response_ms,
        "service (sent to done)": result.total.service_ms,
    }
    if open_loop:
        rows["lateness (due to sent)"] = result.lateness_ms
    whole = [(name, *_time_cells(times, words.millis)) for name, times in rows.items()]
    widths = [max(map(len, column)) for column in zip(("", *_PERCENTILES), *whole, strict=True)]
    if sum(widths) + 2 * len(_PERCENTILES) > WIDTH:
        whole = [(name, *_time_cells(times, words.short)) for name, times in rows.items()]
    table = plain_table("Times (ms)")
    table.add_column("", no_wrap=True)
    for title in _PERCENTILES:
        table.add_column(title, justify="right", no_wrap=True)
    for row in whole:
        add_row(table, *row)
    return table


def _time_cells(times: Times | TimeSpans, write: Callable[[Span | float | None], str]) -> list[str]:
    return [write(value) for value in (times.mean, times.p50, times.p90, times.p99, times.p99_9, times.max)]


_COLUMNS = ("target", "conns", "ok", "errors", "cut", "req/s", "Mbit/s", "p50", "p99")
_SPARE = ("conns", "Mbit/s")  # run.json has them
_NAME_WIDTH = 24


def _targets(result: HttpResult, words: Words) -> Table:
    """The table of targets, without some columns where the numbers leave too little room for the names."""
    shown, folded = fold(result.targets, lambda row: (row.unanswered or 0, *how_slow(row.errors, row.response_ms.p99)))
    rows = shown if len(result.targets) == 1 else (*shown, result.total)
    cells = [list(_target_cells(row, words)) for row in rows]
    widths = [max(map(len, column)) for column in zip(("", *_COLUMNS), *cells, strict=True)]
    widths[1] = min(widths[1], _NAME_WIDTH)
    kept = list(range(len(widths)))
    for spare in _SPARE:
        if sum(widths[at] + 2 for at in kept) - 2 > WIDTH:
            kept.remove(1 + _COLUMNS.index(spare))
    table = plain_table(folded_title("Targets", shown, folded))
    table.add_column("", width=1)
    table.add_column(_COLUMNS[0], overflow="fold", max_width=_NAME_WIDTH)  # gives way when the numbers are wide
    for at in kept[2:]:
        table.add_column(_COLUMNS[at - 1], justify="right", no_wrap=True)
    for row in cells:
        add_row(table, *(row[at] for at in kept))
    return table


def _retries(targets: Iterable[HttpRow]) -> list[RenderableType]:
    """The requests that were sent once more, by target; nothing without any."""
    named = [f"{row.name} {fmt.count(row.retries)}" for row in targets if row.retries]
    if not named:
        return []
    return [Text(f"Retries (the server had closed the kept connection): {some(named)}")]


def _target_cells(row: HttpRow, words: Words) -> Iterator[str]:
    yield "!" if row.errors or row.unanswered else " "
    yield row.name
    yield fmt.count(row.connections)
    yield fmt.count(row.ok)
    yield fmt.count(sum(row.errors.values()))
    yield fmt.count(row.cut)
    yield fmt.rate(row.per_s)
    yield fmt.rate(row.mbit_per_s)
    yield words.millis(row.response_ms.p50)
    yield words.millis(row.response_ms.p99)


def _requests(result: HttpResult) -> Table:
    table = plain_table("Requests")
    table.add_column("", no_wrap=True, max_width=48)
    for title in ("share", "ok", "failed"):
        table.add_column(title, justify="right", no_wrap=True)
    total = sum(row.ok + row.bad for row in result.requests)
    for row in result.requests:
        share = f"{(row.ok + row.bad) / total:.2%}" if total else fmt.NOTHING
        add_row(table, row.name, share, fmt.count(row.ok), fmt.count(row.bad))
    return table


def _errors(targets: Iterable[HttpRow]) -> list[RenderableType]:
    """The errors that occurred, with the targets where they occurred; nothing without any error."""
    found: dict[str, list[tuple[str, int]]] = {}
    for row in targets:
        for name, number in row.errors.items():
            found.setdefault(name, []).append((row.name, number))
    if not found:
        return []
    table = plain_table("Errors")
    table.add_column("")
    table.add_column("requests", justify="right")
    table.add_column("targets, with counts")
    for name, counts in sorted(found.items(), key=lambda item: -sum(number for _, number in item[1])):
        whole = fmt.count(sum(number for _, number in counts))
        add_row(table, name.lower().replace("_", " "), whole, some([f"{who} {count:,}" for who, count in counts]))
    return [table, Text()]


def _statuses(targets: Sequence[HttpRow]) -> list[RenderableType]:
    """The replies by status code, where there are others than 200."""
    found: dict[int, list[tuple[str, int]]] = {}
    for row in targets:
        for code, number in (row.statuses or {}).items():
            found.setdefault(code, []).append((row.name, number))
    if not found.keys() - {200}:
        return []
    table = plain_table("Statuses")
    table.add_column("status")
    table.add_column("replies", justify="right")
    if len(targets) > 1:
        table.add_column("targets, with counts")
    for code, counts in sorted(found.items()):
        where = [some([f"{who} {fmt.count(number)}" for who, number in counts])] if len(targets) > 1 else []
        add_row(table, str(code), fmt.count(sum(number for _, number in counts)), *where)
    return [table, Text()]
