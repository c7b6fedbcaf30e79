"""A run as the report that people read on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TextIO

from rich.console import Console

from coordinator.output.judged import Judged
from coordinator.output.terminal.chart import print_sweep
from coordinator.output.terminal.compare_report import print_interleaved
from coordinator.output.terminal.find_report import print_find
from coordinator.output.terminal.headroom_report import print_headroom
from coordinator.output.terminal.http_report import print_http
from coordinator.output.terminal.isolate_report import print_isolate
from coordinator.output.terminal.network_report import print_forward, print_iperf
from coordinator.output.terminal.pack_report import print_pack
from coordinator.output.terminal.paper_report import print_paper
from coordinator.output.terminal.relative_report import print_relative, print_round
from coordinator.output.terminal.repeats_report import print_repeats
from coordinator.output.terminal.report import print_report
from coordinator.record.header import (
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

REPORTS: dict[str, Callable[[Console, Judged[Any, Any]], None]] = {
    KIND_SPEC: print_report,
    KIND_SWEEP: print_sweep,
    KIND_HTTP: print_http,
    KIND_IPERF: print_iperf,
    KIND_FORWARD: print_forward,
    KIND_PACK: print_pack,
    KIND_SPEC_FIND: print_find,
    KIND_HTTP_FIND: print_find,
    KIND_SPEC_REPEATS: print_repeats,
    KIND_HTTP_REPEATS: print_repeats,
    KIND_SPEC_COMPARE: print_interleaved,
    KIND_HTTP_COMPARE: print_interleaved,
    KIND_SPEC_HEADROOM: print_headroom,
    KIND_HTTP_HEADROOM: print_headroom,
    KIND_ISOLATE: print_isolate,
    KIND_RELATIVE: print_relative,
    KIND_ROUND: print_round,
    KIND_PAPER: print_paper,
}
"""By the kind of the run."""


def write_text(judged: Judged[Any, Any], stream: TextIO) -> None:
    """Write the report, at most 80 columns wide, with colours when `stream` is a terminal."""
    REPORTS[judged.header.kind](Console(file=stream), judged)
