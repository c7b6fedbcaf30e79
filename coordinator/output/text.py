"""A run as the report that people read on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TextIO

from rich.console import Console

from coordinator.output.judged import Judged
from coordinator.output.streams import goes_to_stdout
from coordinator.record.kinds import (
    KIND_FORWARD,
    KIND_HTTP,
    KIND_HTTP_COMPARE,
    KIND_HTTP_FIND,
    KIND_HTTP_HEADROOM,
    KIND_HTTP_REPEATS,
    KIND_IPERF,
    KIND_ISOLATE,
    KIND_PACK,
    KIND_PAPER,
    KIND_RELATIVE,
    KIND_ROUND,
    KIND_SPEC,
    KIND_SPEC_COMPARE,
    KIND_SPEC_FIND,
    KIND_SPEC_HEADROOM,
    KIND_SPEC_REPEATS,
    KIND_SWEEP,
)
from loadgen.model.entry import Imported

REPORTS: Mapping[str, Callable[[Console, Judged[Any, Any]], None]] = Imported(
    {
        KIND_SPEC: "coordinator.output.terminal.report:print_report",
        KIND_SWEEP: "coordinator.output.terminal.chart:print_sweep",
        KIND_HTTP: "coordinator.output.terminal.http_report:print_http",
        KIND_IPERF: "coordinator.output.terminal.network_report:print_iperf",
        KIND_FORWARD: "coordinator.output.terminal.network_report:print_forward",
        KIND_PACK: "coordinator.output.terminal.pack_report:print_pack",
        KIND_SPEC_FIND: "coordinator.output.terminal.find_report:print_find",
        KIND_HTTP_FIND: "coordinator.output.terminal.find_report:print_find",
        KIND_SPEC_REPEATS: "coordinator.output.terminal.repeats_report:print_repeats",
        KIND_HTTP_REPEATS: "coordinator.output.terminal.repeats_report:print_repeats",
        KIND_SPEC_COMPARE: "coordinator.output.terminal.compare_report:print_interleaved",
        KIND_HTTP_COMPARE: "coordinator.output.terminal.compare_report:print_interleaved",
        KIND_SPEC_HEADROOM: "coordinator.output.terminal.headroom_report:print_headroom",
        KIND_HTTP_HEADROOM: "coordinator.output.terminal.headroom_report:print_headroom",
        KIND_ISOLATE: "coordinator.output.terminal.isolate_report:print_isolate",
        KIND_RELATIVE: "coordinator.output.terminal.relative_report:print_relative",
        KIND_ROUND: "coordinator.output.terminal.relative_report:print_round",
        KIND_PAPER: "coordinator.output.terminal.paper_report:print_paper",
    }
)
"""By the kind of the run.  A report is imported when it is written."""


def write_text(judged: Judged[Any, Any], stream: TextIO) -> None:
    """Write the report, at most 80 columns wide.  Only stdout gets colours: a terminal, or where FORCE_COLOR is set."""
    # Rich heeds FORCE_COLOR for every stream, but a report that is not printed is a part of a page or of a document.
    terminal = None if goes_to_stdout(stream) else False
    REPORTS[judged.header.kind](Console(file=stream, force_terminal=terminal), judged)
