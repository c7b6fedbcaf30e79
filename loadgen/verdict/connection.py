"""Did a connection conform?  The smallest thing that can: everything else counts these."""

from __future__ import annotations

import enum

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.tally import rows_of
from loadgen.model.bound import Bound, BoundKind
from loadgen.model.units import NS_PER_S
from loadgen.verdict.rules import RULES, Rules


class State(enum.IntEnum):
    """What became of a requested connection.  The numbers are part of the record's format: append only."""

    CONFORMING = 0
    SLOW = 1  # below the floor, or too few good or tolerable requests
    ERRORS = 2  # too large a share of its requests failed
    NO_REQUESTS = 3  # nothing is known of it: it never opened, or was never served


FINDING_DTYPE = np.dtype(
    [
        ("connection", "<u4"),  # global number
        ("state", "u1"),  # State
        ("bits_per_s", "<f8"),  # bits over time in operations; 0 without any
        ("ok", "<u4"),
        ("bad", "<u4"),
        ("cut", "<u4"),
        ("overdue", "<u4"),
        ("good", "<u4"),
        ("tolerable", "<u4"),
        ("bytes", "<i8"),
        ("busy_ns", "<i8"),
    ]
)
"""One judged connection with the numbers that convict it; they are those of TALLY_DTYPE."""

_COPIED = ("ok", "bad", "cut", "overdue", "good", "tolerable", "bytes", "busy_ns")


def judge_connections(
    tallies: NDArray[np.void], connections: int, bound: Bound, rules: Rules = RULES
) -> NDArray[np.void]:
    """A row (FINDING_DTYPE) for each of the `connections` requested, by number.

    `tallies` are one window's (TALLY_DTYPE), at most one a connection, ascending.  Those who have none did nothing and
    do not conform: a connection that never opened must not improve a result.

    * Rate bounds: bits over time in operations are at least the floor.  An operation that was cut counts with
      the bytes and time that it had, so a stalled connection cannot hide by never finishing.
    * Time bounds: the bound's shares of the requests are good and tolerable, where a request that was cut
      after the tolerable time has failed.
    """
    found = np.zeros(connections, dtype=FINDING_DTYPE)
    found["connection"] = np.arange(connections)
    at = rows_of(tallies, connections)
    for name in _COPIED:
        found[name][at] = tallies[name]
    found["bits_per_s"] = _bits_per_s(found)
    found["state"] = states_of(found, bound, rules)
    return found


def states_of(tallies: NDArray[np.void], bound: Bound, rules: Rules = RULES) -> NDArray[np.uint8]:
    """The State of each row, as `judge_connections` has it; `tallies` has the numbers of TALLY_DTYPE."""
    ok, bad = tallies["ok"].astype(np.int64), tallies["bad"].astype(np.int64)
    if bound.kind is BoundKind.RATE:
        fast = _bits_per_s(tallies) >= bound.floor_bps
    else:
        requests = ok + bad + tallies["overdue"]
        fast = (ok > 0) & (tallies["good"] >= bound.good_share * requests)
        fast &= tallies["tolerable"] >= bound.tolerable_share * requests
    # Later lines overrule earlier ones.
    states = np.where(fast, np.uint8(State.CONFORMING), np.uint8(State.SLOW))
    states[bad > rules.max_error_share * (ok + bad)] = State.ERRORS
    states[(ok + bad + tallies["cut"]) == 0] = State.NO_REQUESTS
    return states


def _bits_per_s(tallies: NDArray[np.void]) -> NDArray[np.float64]:
    rates: NDArray[np.float64] = tallies["bytes"] * (8.0 * NS_PER_S) / np.maximum(tallies["busy_ns"], 1)
    return rates
