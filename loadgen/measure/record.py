"""One finished operation, as an engine writes it down."""

from __future__ import annotations

import numpy as np

RECORD_DTYPE = np.dtype(
    [
        ("due_ns", "<i8"),  # when the operation was to start; CLOCK_MONOTONIC of the load machine
        ("sent_ns", "<i8"),  # when its connect was begun, or its request handed to the kernel; 0: no request went out
        ("done_ns", "<i8"),  # when the last byte of the reply was there, or the failure was known
        ("bytes", "<i8"),  # received: head and body
        ("row", "<u4"),  # of the tape
        ("connection", "<u4"),  # global number
        ("outcome", "<u4"),  # loadgen.model.outcome.Outcome
        ("connected", "<u4"),  # 1 if a new TCP connection was opened for it
    ]
)
"""A record is 48 bytes; engines write them into one preallocated array and fold it once a second."""
