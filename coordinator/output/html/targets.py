"""A run against targets, `spec` or `http`: the worst one and why, over time, by VM, and the load machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from coordinator.output.html.blocks import Block, Plot, Section, Table, Words
from coordinator.output.html.distribution import response_times
from coordinator.output.html.machines import machine_blocks
from coordinator.output.html.numbers import plain, text
from coordinator.output.html.over_time import Scene, over_time
from coordinator.output.html.timeline import Timeline, timeline_of
from coordinator.output.html.times import Windows
from coordinator.output.html.worst import Row, worst_sentences
from coordinator.output.measured import Part
from coordinator.record.kinds import KIND_SPEC
from loadgen.model.units import NS_PER_S
from loadgen.verdict.http_result import HttpResult
from loadgen.verdict.result import RunResult, TargetResult, Verdict

_PARTS = {
    "service": "service: the server answers",
    "pacing": "pacing: the line is slow on purpose",
    "lateness": "late: the load generator",
    "rest": "rest after errors",
    "failed": "failed",
    "unfinished": "cut at the end",
    "absent": "no operation",
    "idle": "idle: nothing was due",
}
_BARS = 40
_COUNTED = 128


def target_sections(part: Part, result: RunResult | HttpResult) -> list[Section]:
    """The sections of a run that has intervals; without any, those of its result alone."""
    is_spec = part.record.header.kind == KIND_SPEC
    rows: Sequence[Row] = result.targets
    word = "VM" if is_spec else "target"
    names = [target.name for target in part.record.header.targets] or [row.name for row in rows]
    timeline = timeline_of(part.record.measured, len(names), Windows.of(result)) if names else None
    order = _worst_first(names, rows, timeline)
    has_score = bool(is_spec and isinstance(result, RunResult) and result.has_score)
    scene = (
        None
        if timeline is None
        else Scene(
            timeline=timeline,
            names=names,
            order=order,
            word=word,
            conformity=has_score,
            disturbance=result.disturbance,
        )
    )
    sections = []
    if rows and names:
        invalid = result.verdict is Verdict.INVALID or not result.trust.valid
        said = worst_sentences(rows, names[order[0]], scene, word, invalid=invalid)
        sections.append(Section(f"The worst {word}", [Words(one) for one in said]))
    if scene:
        sections.append(Section("Over time", list(over_time(scene))))
        sections.append(Section("Response times", list(response_times(scene))))
    shown = [by_name[names[at]] for at in order if names[at] in (by_name := {row.name: row for row in rows})]
    if by := [*time_blocks(shown, word), *_counters(shown)]:
        sections.append(Section(f"By {word}", by))
    if machines := list(machine_blocks(part, result)):
        sections.append(Section("Load machines", machines))
    return sections


def _worst_first(names: Sequence[str], rows: Sequence[Row], timeline: Timeline | None) -> list[int]:
    """The indexes of the targets, the worst first."""
    by_name = {row.name: row for row in rows}
    return sorted(range(len(names)), key=lambda at: _badness(by_name.get(names[at]), timeline, at), reverse=True)


def _badness(row: Row | None, timeline: Timeline | None, at: int) -> tuple[float, ...]:
    """How bad a target is: connections that do not conform, lost time, errors, errors at any time, slowness.

    Without a row, as in a run that was cut before its first window, only the timeline knows.
    """
    failed, slow_ms = (0, 0.0) if timeline is None else _seen(timeline, at)
    if row is None:
        return (0.0, 0.0, 0.0, failed, slow_ms)
    conforming = row.conforming if isinstance(row, TargetResult) else None
    short = 0 if conforming is None or not isinstance(row, TargetResult) else row.requested - conforming
    lost = row.time.failed + row.time.rest if row.time else 0.0
    if row.time and row.dead:  # of other targets, it only says how long their last operations were
        lost += row.time.unfinished
    p99 = row.response_ms.p99
    return (float(short), round(lost, 3), float(sum(row.errors.values())), failed, p99.low if p99 else 0.0)


def _seen(timeline: Timeline, at: int) -> tuple[int, float]:
    """The failures of a target, those of measured windows if there are any windows, and its highest p99 in ms."""
    failed = timeline.failed_in_windows[at] if timeline.measured.any() else timeline.failed[at].sum()
    known = timeline.p99_ms[at][~np.isnan(timeline.p99_ms[at])]
    return int(failed), float(known.max()) if len(known) else 0.0


def time_blocks(rows: Sequence[Row], word: str) -> Iterator[Block]:
    """The time identity of each target as a stacked bar, the worst first."""
    known = [(row, row.time) for row in rows if row.time is not None]
    if not known:
        return
    used = [name for name in _PARTS if any(getattr(time, name) >= 0.0005 for _, time in known)]
    shown = known[:_BARS]
    data = {
        "form": "stacked",
        "xLabel": "% of the connections' time",
        "rows": [row.name for row, _ in shown],
        "parts": [_PARTS[name] for name in used],
        "values": [[plain(100 * getattr(time, name)) for name in used] for _, time in shown],
    }
    cells = tuple((row.name, *(f"{100 * getattr(time, name):.2f}" for name in used)) for row, time in known[:_COUNTED])
    left = len(known) - len(shown)
    window = "the median iteration" if word == "VM" else "the measured window"
    note = f"All the time of all connections in {window}; the parts add up to 100 %. The worst first."
    note += f" {left:,} better ones are not drawn." if left else ""
    first = shown[0]
    most = max(used, key=lambda name: getattr(first[1], name)) if used else "service"
    says = f"{first[0].name}: most of the time is {_PARTS[most]}."
    yield Plot(
        f"Where the time of each {word} went",
        says,
        data,
        Table("Time, %", (word, *(_PARTS[name] for name in used)), cells),
        note,
    )


def _counters(rows: Sequence[Row]) -> Iterator[Block]:
    """All counters of each VM; the text report has those of a few."""
    known = [(row, row.counters) for row in rows if isinstance(row, TargetResult) and row.counters is not None]
    if not known:
        return
    shown = known[:_COUNTED]
    columns = {name: [cell(one) for _, one in shown] for name, cell in _COUNTERS.items()}
    columns = {name: texts for name, texts in columns.items() if any(texts)}
    held = ["; ".join(cause.phrase for cause in one.held) or "-" for _, one in shown]
    cells = tuple(
        (row.name, *(texts[at] or "-" for texts in columns.values()), held[at]) for at, (row, _) in enumerate(shown)
    )
    left = len(known) - len(shown)
    note = f"{left:,} better VMs are left out; loadgen show --format vms has all of them." if left > 0 else ""
    head = ("VM", *columns, "what held it")
    yield Table("What the kernel counted for each VM (median iteration)", head, cells, note)


def _share(part: int | None, whole: float | None) -> str:
    return "" if part is None or not whole else f"{100 * part / whole:.1f}"


def _mib(size: int | None) -> str:
    return "" if size is None else f"{size / (1 << 20):,.1f}"


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


_COUNTERS: dict[str, Any] = {
    "cores used": lambda one: "" if one.cpu_ns is None or not one.read_s else text(one.cpu_ns / NS_PER_S / one.read_s),
    "waited for a core, %": lambda one: _share(one.waited_ns, one.read_s * NS_PER_S),
    "throttled periods, %": lambda one: _share(one.throttled_periods, one.periods),
    "stolen, %": lambda one: "" if one.stolen_share is None else f"{100 * one.stolen_share:.1f}",
    "memory, MiB": lambda one: _mib(one.memory_bytes),
    "PSS after, MiB": lambda one: _mib(one.pss_after_bytes),
    "processes": lambda one: _count(one.pids),
    "OOM kills": lambda one: _count(one.oom_kills),
    "refused forks": lambda one: _count(one.pids_refused),
    "listen overflows": lambda one: _count(one.listen_overflows),
    "retransmits, %": lambda one: _share(one.retransmits, one.segments_sent),
}
