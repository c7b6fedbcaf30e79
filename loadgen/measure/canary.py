"""What the canaries of a load machine measured: the responses that engines saw, beside the responder's truth.  Pure.

A canary sends one request after another over one connection.  So the responder holds at most one request of an engine
at any time, and each request of the engine belongs to the one that arrived between its sending and its reply.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cells import MAX_WINDOWS
from loadgen.measure.histogram import Histogram
from loadgen.measure.histograms import Histograms
from loadgen.measure.record import RECORD_DTYPE
from loadgen.measure.wire import printable, read_field, read_int, read_list, read_text
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS

_EARLY_NS = NS_PER_MS  # stamps of the kernel are converted between two clocks, with an error of microseconds
_MAX_ENGINES = 1 << 12
_MAX_WHY = 256

TRUTH_DTYPE = np.dtype([("received_ns", "<i8"), ("replied_ns", "<i8")])
"""One request at the responder: the kernel's stamp of its arrival, and when the kernel had sent its reply.  Both are
CLOCK_MONOTONIC of the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanarySeen:
    """The canary of one engine in one window.

    `failed` counts requests that were due in the window and got no right reply.  The histograms are of the requests
    that got one and whose truth is known.  `response`: done - due, as the engine saw it.  `truth`: from the request's
    arrival to its reply, as the responder saw it.  `added`: the part of due..done in which the responder held no
    request; it is what engine and machine add to a response time.
    """

    worker: str
    failed: int
    response: Histogram
    truth: Histogram
    added: Histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class CanariesHeard:
    """The canaries of one machine in the window of one segment; `why` says why they are not known, or is empty."""

    machine: str
    segment: int
    engines: tuple[CanarySeen, ...] = ()
    why: str = ""

    def to_wire(self) -> dict[str, Any]:
        """The event as plain data for msgpack."""
        rows = [histogram for one in self.engines for histogram in (one.response, one.truth, one.added)]
        return {
            "machine": self.machine,
            "segment": self.segment,
            "workers": [one.worker for one in self.engines],
            "failed": [one.failed for one in self.engines],
            "times": Histograms.of(rows).to_wire(),
            "why": self.why[:_MAX_WHY],
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> CanariesHeard:
        """The inverse of :meth:`to_wire`.  Raises ValueError, and nothing else, if `wire` is malformed."""
        workers = [read_text({"worker": name}, "worker") for name in read_list(wire, "workers")]
        failed = [read_int({"failed": number}, "failed") for number in read_list(wire, "failed")]
        if len(workers) > _MAX_ENGINES or len(set(workers)) != len(workers) or len(failed) != len(workers):
            raise ValueError("the canaries are too many, or two are of one engine, or their columns differ in length")
        times = Histograms.from_wires([read_field(wire, "times")], [3 * len(workers)])
        engines = []
        for at, worker in enumerate(workers):
            response, truth, added = (times[3 * at + column] for column in range(3))
            if not response.total == truth.total == added.total:
                raise ValueError("the times of a canary differ in number")
            engines.append(CanarySeen(worker=worker, failed=failed[at], response=response, truth=truth, added=added))
        return cls(
            machine=read_text(wire, "machine"),
            segment=read_int(wire, "segment", high=MAX_WINDOWS),
            engines=tuple(engines),
            why=printable(why) if (why := read_field(wire, "why")) and read_text(wire, "why") else "",
        )


def compare(
    worker: str,
    records: Sequence[NDArray[np.void]],
    truths: Sequence[NDArray[np.void]],
    *,
    window_ns: tuple[int, int],
) -> CanarySeen:
    """The canary of `worker` in the window from begin to end (CLOCK_MONOTONIC).

    `records` (RECORD_DTYPE) and `truths` (TRUTH_DTYPE) are in the order of time.  A request whose truth is missing, for
    example because the kernel did not stamp it, is left out, and so are those that waited for it: nobody knows how long
    the responder held it.
    """
    seen = np.concatenate(records) if records else np.zeros(0, RECORD_DTYPE)
    truth = np.concatenate(truths) if truths else np.zeros(0, TRUTH_DTYPE)
    received, replied = truth["received_ns"], truth["replied_ns"]
    own = np.searchsorted(received, seen["sent_ns"] - _EARLY_NS)
    ok = seen["outcome"] == Outcome.OK.value
    known = (own < len(truth)) & (ok | (seen["sent_ns"] > 0))
    known[known] = received[own[known]] <= seen["done_ns"][known]
    begin_ns, end_ns = window_ns
    inside = (seen["due_ns"] >= begin_ns) & (seen["due_ns"] < end_ns)
    failed = int((inside & ~ok & (seen["outcome"] != Outcome.CUT.value)).sum())
    told = inside & ok & known & ~_waited_for(seen, ~known)
    answered, own = seen[told], own[told]
    response_ns = answered["done_ns"] - answered["due_ns"]
    held_ns = _held_ns(truth, answered["done_ns"]) - _held_ns(truth, answered["due_ns"])
    return CanarySeen(
        worker=worker,
        failed=failed,
        response=Histogram.of(response_ns),
        truth=Histogram.of((replied - received)[own]),
        added=Histogram.of(response_ns - held_ns),
    )


def _waited_for(seen: NDArray[np.void], unknown: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which requests were due before one of the `unknown` requests was over, and done after it had begun.

    A failure is over when the next request is sent: the connection rests after it.
    """
    begins = np.where(seen["sent_ns"] > 0, seen["sent_ns"], seen["due_ns"])
    failed = seen["outcome"] != Outcome.OK.value
    ends = np.where(failed, np.append(begins[1:], seen["done_ns"][-1:]), seen["done_ns"])
    begins, ends = begins[unknown], np.maximum.accumulate(np.maximum(ends, seen["done_ns"])[unknown])
    at = np.searchsorted(ends, seen["due_ns"], side="right")
    found = at < len(ends)
    found[found] = begins[at[found]] < seen["done_ns"][found]
    return found


def _held_ns(truth: NDArray[np.void], until_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """How long the responder had held a request until each moment."""
    if not len(truth):
        return np.zeros(len(until_ns), np.int64)
    ends = np.maximum.accumulate(np.stack([truth["received_ns"], truth["replied_ns"]], axis=1).ravel())
    spans = np.diff(ends)
    spans[1::2] = 0  # between two requests
    origin = int(ends[0])  # float64 has whole nanoseconds for 104 days
    held = np.concatenate([[0], np.cumsum(spans)])
    found: NDArray[np.int64] = np.rint(np.interp(until_ns - origin, ends - origin, held)).astype(np.int64)
    return found
