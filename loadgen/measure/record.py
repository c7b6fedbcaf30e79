"""The record of one finished operation, as an engine writes it."""

from __future__ import annotations

import numpy as np

CONNECTED = 1  # a new TCP connection was opened for the operation
RETRIED = 2  # the server had closed the kept TCP connection, so a request was sent once more on a new one
RESTED = 4  # the connection rests afterwards (loadgen.engine.api.Load.error_rest_ns)
SURPLUS = 8  # bytes that no request asked for came after the reply, or on the idle connection before the operation
MORE_CONNECTS_SHIFT = 4  # how many TCP connections more than one were opened for a page with its objects, 0 to 4095
MOST_MORE_CONNECTS = 0xFFF
STATUS_SHIFT = 16  # the status of a whole reply, right or wrong, is above this bit; 0 without one

RECORD_DTYPE = np.dtype(
    [
        ("due_ns", "<i8"),  # when the operation was due; CLOCK_MONOTONIC of the load machine
        ("sent_ns", "<i8"),  # when its connect began, or its request was handed to the kernel; see below
        ("done_ns", "<i8"),  # when the last byte of the reply arrived, or the failure was known
        ("bytes", "<i8"),  # bytes received, head and body
        ("row", "<u4"),  # row of the tape
        ("connection", "<u4"),  # global connection number
        ("outcome", "<u4"),  # loadgen.model.outcome.Outcome
        ("flags", "<u4"),  # CONNECTED | RETRIED | RESTED | SURPLUS | more connects | status
    ]
)
"""A record has 48 bytes.  Engines write records into a preallocated array, which is folded once per second.

`sent_ns` is positive only if a request was sent.  It is -t if a connection began the operation at t and sent no
request, because no TCP connection came about; and 0 if no connection ever began it.
"""
