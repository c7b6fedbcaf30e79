"""The result of a `loadgen isolate` run.  A number that is not known is None."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loadgen.measure.isolation import Held, Web
from loadgen.model.errors import ExitCode
from loadgen.model.isolate import Hog
from loadgen.verdict.result import Verdict
from loadgen.verdict.span import Span

EDGES_MS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 50.0)
"""The upper edges of the bins of the latency histograms; one more bin follows.  1 and 15 are the paper's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """The latency of one service in milliseconds.

    A probe that was lost counts in every number as one that took at least the time-out.  `below_1ms` is the share of
    all probes that took less than 1 ms; `bins` are the shares between EDGES_MS, the lost ones in the last.
    """

    sent: int
    lost: int
    p50: Span | None = None
    p95: Span | None = None
    p99: Span | None = None
    max: Span | None = None
    below_1ms: float | None = None
    bins: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRow:
    """The machine outside of the VMs: times to start and end a program, and what was left of the memory.

    `others_share` is the share of all cores that processes used that do not belong to the run.
    """

    spawn_p50_ms: float | None
    spawn_max_ms: float | None
    free_bytes: int
    others_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolateRow:
    """What was measured while the antisocial VMs ran one hog.

    `conforming_loss` is the share of the connections conforming in the idle case that no longer conform, 0..1.
    `deaths` are of the quiet VM.  `failed` says why the phase was broken off; empty when it was not.
    """

    hog: Hog
    game: Latency | None = None
    echo: Latency | None = None
    web: Web | None = None
    conforming_loss: float | None = None
    held: Held | None = None
    host: HostRow | None = None
    deaths: tuple[str, ...] = ()
    failed: str = ""
    end_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolateResult:
    """The latency of a quiet VM, idle and beside each hog.

    `about` has the facts about VMs, servers and probes.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    rows: tuple[IsolateRow, ...]
    about: Mapping[str, Any]

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        return self.verdict.exit_code
