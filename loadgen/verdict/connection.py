"""Does a connection conform?  Every result of a run counts such connections."""

from __future__ import annotations

import enum

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.slot_time import are_known, total_ns
from loadgen.measure.tally import rows_of
from loadgen.model.bound import Bound, BoundKind
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.rules import RULES, Rules


class State(enum.IntEnum):
    """The finding about a requested connection.  Records store the numbers: append members, never renumber them."""

    CONFORMING = 0
    SLOW = 1  # below the rate floor, or too few good or tolerable requests
    ERRORS = 2  # too large a share of its requests failed
    NO_REQUESTS = 3  # no operation of the connection lies in the window
    LOST = 4  # its engine was lost before everything that the connection did in the window was reported


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
"""One judged connection with the numbers behind its state; fields without a comment are those of TALLY_DTYPE."""

_WAKING_NS = 10 * NS_PER_MS
"""How much of a window may belong to no operation of a connection that played all of it."""

_COPIED = ("ok", "bad", "cut", "overdue", "good", "tolerable", "bytes", "busy_ns")


def judge_connections(
    tallies: NDArray[np.void],
    connections: int,
    bound: Bound,
    rules: Rules = RULES,
    *,
    lost: NDArray[np.bool_] | None = None,
) -> NDArray[np.void]:
    """One row (FINDING_DTYPE) per requested connection, ordered by connection number.

    `tallies` (TALLY_DTYPE) are those of one window, at most one per connection, ascending.  A connection without a
    tally does not conform: a connection that never opened must not improve a result.  `lost` says of each connection
    whether its engine was lost in this window or before; None: no engine was lost.

    * Rate bound: bits divided by the time in operations must reach the floor.  An operation that was cut counts with
      its bytes and its time, so a stalled connection cannot hide by never finishing.
    * Time bound: the required shares of the requests must be good and tolerable.  A request that was cut after the
      tolerable time counts as neither.  Of a kind with a rate bound of its own, a request that was cut is judged by its
      rate so far.
    * A connection whose engine was lost (see :func:`lost_in`) does not conform, however well it did before.
    """
    found = np.zeros(connections, dtype=FINDING_DTYPE)
    found["connection"] = np.arange(connections)
    at = rows_of(tallies, connections)
    for name in _COPIED:
        found[name][at] = tallies[name]
    found["bits_per_s"] = _bits_per_s(found)
    found["state"] = states_of(found, bound, rules)
    if lost is not None:
        found["state"][lost] = State.LOST
    return found


def lost_in(tallies: NDArray[np.void], of_lost: NDArray[np.bool_], measured_ns: int) -> NDArray[np.bool_]:
    """Which connections were lost with their engines before all of their operations in a window were reported.

    `tallies` (TALLY_DTYPE) are those of the window, which is `measured_ns` long.  `of_lost` says of each requested
    connection whether its engine was lost in the run.  Each moment of a connection that played the whole window belongs
    to an operation with its pacing or to a rest, so the sum of these is shorter if one of them was not reported.  It is
    not if the engine was lost while the connection only waited for the line: who was there is known by the reports.
    """
    known_ns = np.zeros(len(of_lost), np.int64)
    if are_known(tallies):
        known_ns[rows_of(tallies, len(of_lost))] = total_ns(tallies)
    gone: NDArray[np.bool_] = of_lost & (known_ns < measured_ns - _WAKING_NS)
    return gone


def states_of(tallies: NDArray[np.void], bound: Bound, rules: Rules = RULES) -> NDArray[np.uint8]:
    """The State of each row as uint8, judged as in `judge_connections`; `tallies` has the fields of TALLY_DTYPE."""
    ok, bad = tallies["ok"].astype(np.int64), tallies["bad"].astype(np.int64)
    if bound.kind is BoundKind.RATE:
        fast = _bits_per_s(tallies) >= bound.floor_bps
    else:
        requests = ok + bad + tallies["overdue"]
        fast = (requests > 0) & (tallies["good"] >= bound.good_share * requests)
        fast &= tallies["tolerable"] >= bound.tolerable_share * requests
    # A later line overrules an earlier one.
    states = np.where(fast, np.uint8(State.CONFORMING), np.uint8(State.SLOW))
    states[bad > rules.max_error_share * (ok + bad)] = State.ERRORS
    states[(ok + bad + tallies["cut"]) == 0] = State.NO_REQUESTS
    return states


def _bits_per_s(tallies: NDArray[np.void]) -> NDArray[np.float64]:
    rates: NDArray[np.float64] = tallies["bytes"] * (8.0 * NS_PER_S) / np.maximum(tallies["busy_ns"], 1)
    return rates
