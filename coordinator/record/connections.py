"""connections.npz: the counts of each connection in each iteration, for a closer look than the report gives.

It has two arrays: `connections`, with CONNECTION_DTYPE, and `states`, the names of the values of the field `state`.
"""

from __future__ import annotations

import numpy as np

from loadgen.verdict.connection import State

CONNECTION_DTYPE = np.dtype(
    [
        ("iteration", "<i4"),
        ("connection", "<u4"),  # global number
        ("target", "<u4"),  # index into driven_targets of run.json
        ("ok", "<u4"),
        ("bad", "<u4"),
        ("bytes", "<i8"),  # received in ok and cut operations
        ("busy_ns", "<i8"),  # line time of ok and cut operations
        ("kbit_per_s", "<f8"),  # the rate that the connection is judged by
        ("state", "u1"),  # State
        ("retransmits", "<u4"),  # segments that the client sent again
        ("out_of_order", "<u4"),  # segments that the client received out of order
    ]
)
"""One row: one connection in one iteration."""

STATES = tuple(state.name.lower() for state in State)
