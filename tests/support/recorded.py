"""Records of runs of every kind and of every end, for output formats to write."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from coordinator.record.document import finished, unfinished
from coordinator.record.find_result import Find, Wanted
from coordinator.record.header import Header
from coordinator.record.headroom_result import HeadroomResult, Role
from coordinator.record.interleaved_result import Interleaved
from coordinator.record.kinds import KIND_HTTP, KIND_SPEC
from coordinator.record.network import Kept
from coordinator.record.sweep_result import Sweep
from coordinator.record.writer import Measured, RecordWriter
from loadgen.measure.packing import KeptStep, Silence
from loadgen.model.isolate import Hog
from loadgen.verdict.isolate import judge_isolate
from loadgen.verdict.network import judge_forward, judge_iperf
from loadgen.verdict.pack import judge_pack
from loadgen.verdict.relative import judge_round
from loadgen.verdict.repeats import Repeats
from loadgen.verdict.result import Verdict
from tests.support import finds, headrooms, https, isolations, packs, papers, relatives, results
from tests.support import repeats as repeated
from tests.support.judged import END
from tests.support.networks import (
    FORWARD,
    IPERF,
    forward_header,
    forward_passages,
    iperf_header,
    iperf_results,
)

QUIET = (0.02, "sshd (pid 7)")
BUSY = (0.92, "make (pid 9)")
CUT = None  # in place of a result: the run did not write its end


def write_record(directory: Path, header: Header[Any], result: Any, measured: Iterable[Measured] = ()) -> None:
    """Write the record of one run; without a result, that of a run that was cut."""
    with RecordWriter(directory, unfinished(header)) as writer:
        writer.append(measured)
        if result is not CUT:
            writer.finish(finished(header, result, finished_at=END))


def _spec(directory: Path, result: Any) -> None:
    write_record(directory, results.header(), result)


def _sweep(directory: Path, sweep: Sweep, *, cut: bool = False) -> None:
    header = results.sweep_header()
    document = unfinished(header, sweep) if cut else finished(header, sweep, finished_at=END)
    RecordWriter(directory, document).close()
    for point in sweep.points:
        write_record(directory / point.record, point.header, point.result)


def _find(directory: Path, find: Find, *, cut: bool = False) -> None:
    header = finds.header(find.wanted)
    document = unfinished(header, find) if cut else finished(header, find, finished_at=END)
    RecordWriter(directory, document).close()
    for step in find.steps:
        own, is_http = directory / step.record, find.wanted is Wanted.RATE
        if not own.exists():
            _http(own, https.result()) if is_http else write_record(own, results.header(4), results.run_result(4))


def _several(directory: Path, header: Header[Any], found: Repeats | Interleaved, *, cut: bool = False) -> None:
    document = unfinished(header, found) if cut else finished(header, found, finished_at=END)
    RecordWriter(directory, document).close()
    for run in found.runs:
        own, is_http = directory / run.record, header.kind.startswith(KIND_HTTP)
        _http(own, https.result()) if is_http else write_record(own, results.header(4), results.run_result(4))


def _headroom(directory: Path, runs: str, result: HeadroomResult, *, cut: bool = False) -> None:
    header = headrooms.header(runs)
    document = unfinished(header, result) if cut else finished(header, result, finished_at=END)
    RecordWriter(directory, document).close()
    for step in result.steps:
        own = directory / step.role.value
        if runs == KIND_HTTP or step.role is Role.ALONE:
            _http(own, https.result())
        else:
            write_record(own, results.header(4), results.run_result(4))


def _http(directory: Path, result: Any) -> None:
    write_record(directory, https.header(), result, https.snapshots())


def _iperf(directory: Path, result: Any) -> None:
    write_record(directory, iperf_header(), result, map(Kept, iperf_results()))


def _forward(directory: Path, result: Any) -> None:
    write_record(directory, forward_header(), result, map(Kept, forward_passages()))


def _relative(directory: Path, result: Any) -> None:
    """Write the record of a comparison with those of its rounds."""
    whole = relatives.result(2) if result is CUT else result
    document = unfinished(relatives.header(), whole)
    if result is not CUT:
        document = finished(relatives.header(), result, finished_at=END)
    RecordWriter(directory, document).close()
    for one in whole.rounds:
        header = relatives.round_header(one.number)
        write_record(directory / one.record, header, judge_round(one, interrupted=False), one.trials)


def _round(directory: Path, result: Any) -> None:
    write_record(directory, relatives.round_header(), result, relatives.rounds(1)[0].trials)


def _pack(directory: Path, result: Any) -> None:
    write_record(directory, packs.header(), result, map(KeptStep, packs.steps()))


def _isolate(directory: Path, result: Any) -> None:
    write_record(directory, isolations.header(), result, isolations.isolated().phases)


def _paper(directory: Path, result: Any) -> None:
    header = papers.header()
    whole = papers.result(papers.INTERRUPTED) if result is CUT else result
    document = unfinished(header, whole) if result is CUT else finished(header, whole, finished_at=END)
    RecordWriter(directory, document).close()


DISTURBED = isolations.isolated(
    *(isolations.phase(hog, host=isolations.host(others=0.5)) for hog in isolations.PLAN.phases)
)
UNASKED = packs.sweep(512, Silence(vm="vm0512", why="too many open files", ours=True))

RECORDS: dict[str, Callable[[Path], None]] = {
    "spec good": lambda path: _spec(path, results.run_result()),
    "spec cut": lambda path: _spec(path, CUT),
    "spec INVALID": lambda path: _spec(path, results.invalid_result()),
    "spec interrupted": lambda path: _spec(path, results.interrupted_result()),
    "spec-sweep good": lambda path: _sweep(path, results.sweep(2)),
    "spec-sweep cut": lambda path: _sweep(path, results.sweep(2), cut=True),
    "spec-sweep INVALID": lambda path: _sweep(path, _sweep_of(results.invalid_result())),
    "spec-sweep interrupted": lambda path: _sweep(path, _sweep_of(results.interrupted_result())),
    "spec-find good": lambda path: _find(path, finds.find()),
    "spec-find cut": lambda path: _find(path, finds.find(runs=4), cut=True),
    "spec-find INVALID": lambda path: _find(path, finds.find(finds.never_valid)),
    "spec-find interrupted": lambda path: _find(path, finds.interrupted()),
    "http-find good": lambda path: _find(path, finds.find(wanted=Wanted.RATE)),
    "http-find cut": lambda path: _find(path, finds.find(wanted=Wanted.RATE, runs=4), cut=True),
    "http-find INVALID": lambda path: _find(path, finds.find(finds.never_valid, Wanted.RATE)),
    "http-find interrupted": lambda path: _find(path, finds.interrupted(Wanted.RATE)),
    **{
        f"{runs}-headroom {name}": functools.partial(_headroom, runs=runs, result=result, cut=name == "cut")
        for runs in (KIND_SPEC, KIND_HTTP)
        for name, result in {
            "good": headrooms.FAR,
            "cut": headrooms.BEGUN,
            "INVALID": headrooms.LIMIT,
            "interrupted": headrooms.INTERRUPTED,
        }.items()
    },
    "http good": lambda path: _http(path, https.result()),
    "http cut": lambda path: _http(path, CUT),
    "http INVALID": lambda path: _http(path, https.result(given=https.snapshots(cpu=0.96))),
    "http interrupted": lambda path: _http(path, https.result(interrupted=True)),
    "iperf good": lambda path: _iperf(path, judge_iperf(IPERF, iperf_results(), others=QUIET)),
    "iperf cut": lambda path: _iperf(path, CUT),
    "iperf INVALID": lambda path: _iperf(path, judge_iperf(IPERF, iperf_results(), others=BUSY)),
    "iperf interrupted": lambda path: _iperf(
        path, judge_iperf(IPERF, iperf_results()[:7], others=QUIET, interrupted=True)
    ),
    "forward good": lambda path: _forward(path, judge_forward(FORWARD, forward_passages(), others=QUIET)),
    "forward cut": lambda path: _forward(path, CUT),
    "forward INVALID": lambda path: _forward(path, judge_forward(FORWARD, forward_passages(), others=BUSY)),
    "forward interrupted": lambda path: _forward(
        path, judge_forward(FORWARD, forward_passages()[:3], others=QUIET, interrupted=True)
    ),
    "isolate good": lambda path: _isolate(path, judge_isolate(isolations.PLAN, isolations.isolated())),
    "isolate cut": lambda path: _isolate(path, CUT),
    "isolate INVALID": lambda path: _isolate(path, judge_isolate(isolations.PLAN, DISTURBED)),
    "isolate interrupted": lambda path: _isolate(
        path, judge_isolate(isolations.PLAN, isolations.isolated(isolations.phase(Hog.NONE)))
    ),
    "pack good": lambda path: _pack(path, judge_pack(packs.PLAN, packs.packed())),
    "pack cut": lambda path: _pack(path, CUT),
    "pack INVALID": lambda path: _pack(path, judge_pack(packs.PLAN, packs.packed(swept=UNASKED))),
    "pack interrupted": lambda path: _pack(
        path, judge_pack(packs.PLAN, packs.packed(packs.steps(64), ended=False), interrupted=True)
    ),
    "spec-repeats good": lambda path: _several(path, repeated.spec_header(), repeated.repeats(repeated.STEADY)),
    "spec-repeats cut": lambda path: _several(
        path, repeated.spec_header(), repeated.repeats(repeated.STEADY[:3], asked=8), cut=True
    ),
    "spec-repeats INVALID": lambda path: _several(path, repeated.spec_header(), repeated.repeats((), invalid=2)),
    "spec-repeats interrupted": lambda path: _several(path, repeated.spec_header(), repeated.interrupted()),
    "spec-compare good": lambda path: _several(
        path, repeated.spec_compare_header(), repeated.interleaved(true=1.0, spec=True)
    ),
    "spec-compare cut": lambda path: _several(
        path, repeated.spec_compare_header(), repeated.interleaved(played=5, spec=True), cut=True
    ),
    "spec-compare INVALID": lambda path: _several(
        path, repeated.spec_compare_header(), repeated.interleaved(1, last=Verdict.INVALID, spec=True)
    ),
    "spec-compare interrupted": lambda path: _several(
        path, repeated.spec_compare_header(), repeated.interleaved(played=5, last=Verdict.INTERRUPTED, spec=True)
    ),
    "http-repeats good": lambda path: _several(path, repeated.http_header(), repeated.repeats(repeated.STEADY)),
    "http-repeats cut": lambda path: _several(
        path, repeated.http_header(), repeated.repeats(repeated.STEADY[:3], asked=8), cut=True
    ),
    "http-repeats INVALID": lambda path: _several(path, repeated.http_header(), repeated.repeats((), invalid=2)),
    "http-repeats interrupted": lambda path: _several(path, repeated.http_header(), repeated.interrupted()),
    "http-compare good": lambda path: _several(path, repeated.http_compare_header(), repeated.interleaved(true=1.0)),
    "http-compare cut": lambda path: _several(
        path, repeated.http_compare_header(), repeated.interleaved(played=5), cut=True
    ),
    "http-compare INVALID": lambda path: _several(
        path, repeated.http_compare_header(), repeated.interleaved(1, last=Verdict.INVALID)
    ),
    "http-compare interrupted": lambda path: _several(
        path, repeated.http_compare_header(), repeated.interleaved(played=5, last=Verdict.INTERRUPTED)
    ),
    "relative good": lambda path: _relative(path, relatives.result()),
    "relative cut": lambda path: _relative(path, CUT),
    "relative interrupted": lambda path: _relative(path, relatives.result(2, interrupted=True)),
    "relative-round good": lambda path: _round(path, relatives.round_result()),
    "relative-round cut": lambda path: _round(path, CUT),
    "relative-round interrupted": lambda path: _round(path, judge_round(relatives.rounds(1)[0], interrupted=True)),
    "paper good": lambda path: _paper(path, papers.result()),
    "paper cut": lambda path: _paper(path, CUT),
    "paper INVALID": lambda path: _paper(path, papers.result(papers.BAD)),
    "paper interrupted": lambda path: _paper(path, papers.result(papers.INTERRUPTED)),
}
"""By kind and end: each writes a record into a directory."""

NEVER_INVALID = frozenset({"relative", "relative-round"})
"""Kinds whose runs other processes cannot make INVALID: their trials are interleaved (decision 0054)."""


def _sweep_of(result: Any) -> Sweep:
    return Sweep(vms=(16,), points=(results.sweep_point(16, result),))
