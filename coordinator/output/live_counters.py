"""Metrics that only Prometheus has, beside those of coordinator.output.live_metrics: counters, and names of runs.

A gauge holds the rate of one second, and a scrape sees one second of many.  Prometheus makes the rate of any time from
a counter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from coordinator.output.live_metrics import Metric, Sample
from coordinator.output.terminal.http_view import HttpView
from coordinator.output.terminal.runview import RunView
from coordinator.output.watched import Watched
from loadgen import __version__

_TARGET = ("target",)
_SINCE = "since the iteration began, ramps and warm-up included"

OPERATIONS = Metric("target.operations", "{operation}", f"Operations that ended well {_SINCE}", _TARGET)
RECEIVED = Metric("target.received", "By", f"Bytes received {_SINCE}", _TARGET)
RUNS = Metric("runs.ended", "{run}", "Runs of this command that are over, by verdict", ("verdict",))
BUILD = Metric("build", "", "The version of loadgen", ("version",))
RUN = Metric("run", "", "The kind and the title of the present run", ("kind", "title"))


@dataclass(frozen=True, slots=True)
class Extra:
    """A metric with its type, `counter` or `info`, and the function that reads it off."""

    metric: Metric
    type: str
    samples: Callable[[Watched], Iterable[Sample]]


def _of_targets(metric: Metric, field: str) -> Callable[[Watched], Iterable[Sample]]:
    def samples(watched: Watched) -> Iterable[Sample]:
        view = watched.view
        if isinstance(view, RunView | HttpView) and view.interval >= 0:
            return [Sample(metric, getattr(row, field), {"target": row.name}) for row in view.targets]
        return ()

    return samples


def _runs(watched: Watched) -> Iterable[Sample]:
    return [Sample(RUNS, number, {"verdict": verdict}) for verdict, number in watched.ended.items()]


def _run(watched: Watched) -> Iterable[Sample]:
    if watched.kind:
        yield Sample(RUN, 1, {"kind": watched.kind, "title": getattr(watched.view, "title", "")})


EXTRAS = (
    Extra(BUILD, "info", lambda _: [Sample(BUILD, 1, {"version": __version__})]),
    Extra(RUN, "info", _run),
    Extra(RUNS, "counter", _runs),
    Extra(OPERATIONS, "counter", _of_targets(OPERATIONS, "operations")),
    Extra(RECEIVED, "counter", _of_targets(RECEIVED, "received_bytes")),
)
