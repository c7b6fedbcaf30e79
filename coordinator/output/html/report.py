"""A report as HTML: a pure function of the records of one run or several."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import loadgen
from coordinator.output.html.blocks import Block, Folded, Section, Table, Words
from coordinator.output.html.catalog import PLOTS
from coordinator.output.html.comparison import comparison_blocks
from coordinator.output.html.from_text import report_blocks
from coordinator.output.html.head import Head, head_of
from coordinator.output.html.repeat import environment_blocks, repeat_blocks
from coordinator.output.html.targets import target_sections
from coordinator.output.judged import Judged
from coordinator.output.marks import gravest_first
from coordinator.output.measured import Part, Unread, parts_of, readable_parts
from coordinator.output.scripts import script
from coordinator.record.find_result import Find
from coordinator.record.kinds import KIND_HTTP, KIND_SPEC
from loadgen.model.errors import LoadgenError
from loadgen.verdict.compare_result import Comparison

_ON_TARGETS = (KIND_SPEC, KIND_HTTP)
_RUNS = 12
"""Of an experiment, so many runs have plots of their own, the first ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One record in the page."""

    title: str
    about: str
    head: Head
    sections: Sequence[Section]


def report_text(runs: Sequence[Judged[Any, Any]], comparison: Comparison | None = None) -> str:
    """The page about these runs, and how they compare if that is given; of a comparison alone without any run."""
    shown = [_run(judged) for judged in runs]
    marks = gravest_first(mark for one in shown for mark in one.head.marks)
    library, own = _inline(script()), _inline(_own("page.js"))
    page: str = _template().render(
        title=f"{shown[0].title}: {shown[0].head.verdict}" if len(shown) == 1 else "Runs of loadgen",
        marks=marks,
        compared=_compared(comparison),
        runs=shown,
        policy=_policy(library, own),
        css=Markup(_own("page.css")),  # our own files, without anything of a record
        library=library,
        script=own,
        version=loadgen.__version__,
        kind=_kind,
        json=_json,
    )
    return page


def _run(judged: Judged[Any, Any]) -> _Run:
    header = judged.header
    environment = judged.document["environment"]
    machine = f"{environment['host']}, {environment['cpu'] or environment['architecture']}"
    finished = judged.document.get("finished_at")
    until = f", finished {finished}" if finished else ""
    return _Run(
        title=f"loadgen {header.kind.replace('-', ' ')}",
        about=f"Started {header.started_at}{until}, on {machine}. Record: {judged.path}",
        head=head_of(judged),
        sections=[section for section in _sections(judged) if section.blocks],
    )


def _sections(judged: Judged[Any, Any]) -> Iterator[Section]:
    kind = judged.header.kind
    if kind in _ON_TARGETS:
        for part in parts_of(judged):
            yield from target_sections(part, judged.result)
    if kind in PLOTS:
        title, blocks = PLOTS[kind]
        yield Section(title, list(blocks(judged)))
        yield Section("The runs", list(_runs(judged)))
    yield Section("The numbers", report_blocks(judged))
    yield Section("Repeat it", list(repeat_blocks(judged)))
    yield Section("Where it ran", list(environment_blocks(judged)))


def _runs(judged: Judged[Any, Any]) -> Iterator[Block]:
    """The runs against targets below an experiment, folded; of a run that cannot be read, why."""
    parts = [
        part
        for part in readable_parts(judged)
        if part.name and (isinstance(part, Unread) or part.record.header.kind in _ON_TARGETS)
    ]
    for part in chosen_runs(judged.result, parts):
        if isinstance(part, Unread):
            yield Words(f"{part.name}: {part.why}", "warn")
            continue
        try:
            result = part.record.result()
            sections = target_sections(part, result)
        except LoadgenError as error:
            yield Words(f"{part.name}: {error.message}", "warn")
            continue
        inner: list[Block] = [Words(reason) for reason in result.reasons]
        for section in sections:
            inner += [Words(section.title, "lead"), *section.blocks]
        yield Folded(f"{part.name}: {result.verdict.value}", inner)
    if len(parts) > _RUNS:
        yield Words(f"{len(parts) - _RUNS} more runs: loadgen report {judged.path}/NAME -o report.html shows one.")


def chosen_runs(result: Any, parts: Sequence[Part | Unread]) -> Sequence[Part | Unread]:
    """The runs for which there is room: the first ones, or those of a search that lie nearest to its answer."""
    if not isinstance(result, Find):
        return parts[:_RUNS]
    value_of = {step.record: step.value for step in result.steps}
    by_distance = sorted(parts, key=lambda part: abs(value_of.get(part.name, 0) - result.capacity.value))
    nearest = {part.name for part in by_distance[:_RUNS]}
    return [part for part in parts if part.name in nearest]


def _compared(comparison: Comparison | None) -> Sequence[Block]:
    if comparison is None:
        return ()
    return list(comparison_blocks(comparison))


@functools.cache
def _own(name: str) -> str:
    return files("coordinator.output.html").joinpath(name).read_text(encoding="utf-8")


@functools.cache
def _template() -> Any:
    place = PackageLoader("coordinator.output.html", "")
    return Environment(
        loader=place, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).get_template("page.html.j2")


def _inline(code: str) -> Markup:
    """Our own code for a script element."""
    return Markup(code)  # never text of a record


def _policy(*scripts: str) -> str:
    """Nothing is loaded, and only these scripts run."""
    sums = (base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts)
    allowed = " ".join(f"'sha256-{one}'" for one in sums)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def _json(value: Mapping[str, Any]) -> Markup:
    """The data of a plot for a script element: no text in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Markup(text.translate(_ESCAPES))  # escaped in the line itself


_NUMBER = re.compile(r"(≥ |>= |at least )?[-+]?[\d,.]+(e[-+]?\d+)?\s?(%|ms|s|MB)?")
_EMPTY = ("", "-")
_WIDE = 60


@functools.lru_cache(maxsize=4096)
def _kind(table: Table, column: int) -> str:
    """The class of a column: numbers stand at the right, long texts get room."""
    cells = [row[column] for row in table.rows if column < len(row)]
    some = [cell for cell in cells if cell not in _EMPTY]
    if some and all(_NUMBER.fullmatch(cell) for cell in some):
        return "number"
    return "wide" if any(len(cell) > _WIDE for cell in some) else ""
