"""What each connection did: sums that add up, one row a (window, connection)."""

from __future__ import annotations

import numpy as np

TALLY_DTYPE = np.dtype(
    [
        ("window", "<i4"),  # iteration; -1: outside every measured window
        ("connection", "<u4"),  # global number
        ("ok", "<u4"),
        ("bad", "<u4"),
        ("cut", "<u4"),
        ("good", "<u4"),  # ok and within the good bound
        ("tolerable", "<u4"),  # ok and within the tolerable bound (includes good)
        ("bytes", "<i8"),  # received in ok and cut operations
        ("busy_ns", "<i8"),  # line time of ok and cut operations: max(done - due, 8 * bytes / line speed)
    ]
)
"""Bad operations add neither bytes nor time (specweb.md 1.8)."""
