"""The part of an operation tape that decides when its operations take place on servers without any delay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Timings:
    """One ring of operations that each connection plays in order, without the texts of the operations.

    `reply_bytes` (int64): the length of each reply, head and body, by row.  `starts` (START_DTYPE) has the shape
    (segments, connections), as in :class:`loadgen.schedule.optape.OpTape`.  `doubt_bytes`: by how much the replies of a
    server may be longer or shorter on average, because the heads of servers differ.
    """

    reply_bytes: NDArray[np.int64]
    starts: NDArray[np.void]
    doubt_bytes: int
