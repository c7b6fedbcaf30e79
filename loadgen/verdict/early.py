"""Is it certain that a window will not conform, whatever its rest brings?  Then a search may stop the run early.

The rest of the window is completed in the best possible way, and judged by the rules of a whole window.  A check that
fails even so will fail in the end.  Pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cells import Cell
from loadgen.measure.histogram import EMPTY, Histogram
from loadgen.measure.slot_time import are_known, total_ns
from loadgen.measure.tally import TALLY_DTYPE, add_tallies
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_S
from loadgen.schedule.timings import Timings
from loadgen.verdict.connection import judge_connections
from loadgen.verdict.each_target import check_connections
from loadgen.verdict.fates import Fates
from loadgen.verdict.result import Check
from loadgen.verdict.rules import RULES, Asked, Rules
from loadgen.verdict.slo import Slo, SloCheck

_PARTS = 16  # parts of a window, by which the number of operations that it may still bring is known
_HEADS = 2  # a server's replies are shorter than those of the timings by at most this many times their doubt
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class BestRest:
    """The most that a paced connection can do in the rest of a window of `window_ns` at `line_bps`.

    `operations`: the most in n / 16 of the window, for n from 0 to 16, whichever place of the tape it has reached.
    """

    window_ns: int
    line_bps: int
    operations: NDArray[np.int64]

    @classmethod
    def of(cls, timings: Timings, window_ns: int, line_bps: int) -> BestRest:
        """Return what the ring of operations allows that all connections play."""
        least_bytes = np.maximum(1, timings.reply_bytes - _HEADS * timings.doubt_bytes)
        line_ns = least_bytes * (8 * NS_PER_S / line_bps)
        times = -(-window_ns // max(1, int(line_ns.sum()))) + 1  # the ring as often as a window may need it
        begins_ns = np.concatenate([[0.0], np.cumsum(np.tile(line_ns, times))])
        first = begins_ns[: len(line_ns)]
        most = [
            int((np.searchsorted(begins_ns, first + window_ns * part / _PARTS) - np.arange(len(first))).max())
            for part in range(_PARTS + 1)
        ]
        return cls(window_ns, line_bps, np.array(most, np.int64))

    def complete(self, tallies: NDArray[np.void], connections: int) -> NDArray[np.void]:
        """The tallies (TALLY_DTYPE, one row per connection) of the whole window if all goes well from now on.

        `tallies`: those of the window so far.  Time that they do not account for, such as that of an operation under
        way, is taken to be well used.
        """
        best = np.zeros(connections, TALLY_DTYPE)
        best["connection"] = np.arange(connections)
        add_tallies(best, tallies)
        rest_ns = np.maximum(0, self.window_ns - total_ns(best))
        # One operation more: the one that is under way.
        more = self.operations[-(-rest_ns * _PARTS // self.window_ns)] + 1
        best["bytes"] += np.ceil(rest_ns * (self.line_bps / (8 * NS_PER_S)) * (1 + _ROUNDING)).astype(np.int64) + 1
        best["busy_ns"] += rest_ns
        for name in ("ok", "good", "tolerable"):
            best[name] += more.astype(np.uint32)
        return best


def missed_by_connections(
    tallies: NDArray[np.void], asked: Asked, rest: BestRest, rules: Rules = RULES
) -> Check | None:
    """The first check of connections that will fail, as at best; None while all may hold.

    `tallies` (TALLY_DTYPE) are those of one window so far, at most one per connection, ascending.
    """
    if not are_known(tallies):
        return None
    best = rest.complete(tallies, asked.connections)
    found = judge_connections(best, asked.connections, asked.bound, rules)
    return next((check for check in check_connections(found, asked, rules) if not check.ok), None)


def missed_by_objectives(window: Cell, slos: Sequence[Slo], due: int, window_ns: int) -> SloCheck | None:
    """The first objective of an open loop that will be missed, as at best; None while all may hold.

    `window`: the operations of all targets that have ended so far and were due in the window.  `due`: how many will
    have been due in all of it.
    """
    more = max(0, due - window.issued)
    outcomes = np.array(window.outcomes)
    outcomes[Outcome.OK] += more
    at_once = Histogram(np.zeros(1, np.int32), np.array([more]), max_ns=0, min_ns=0) if more else EMPTY
    best = dataclasses.replace(window, outcomes=outcomes, response=Histogram.merge_all([window.response, at_once]))
    judged = (slo.judge(Fates(best, EMPTY), window_ns / NS_PER_S) for slo in slos)
    return next((check for check in judged if not check.ok), None)
