"""All due times of an open loop, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.model.stages import Ramp
from loadgen.schedule.arrivals import offset_pieces
from loadgen.schedule.ramps import ramped_pieces


def offsets_ns(**asked: Any) -> NDArray[np.int64]:
    """The pieces of `offset_pieces` as one array."""
    return np.concatenate([np.zeros(0, np.int64), *offset_pieces(**asked)])


def ramped_ns(ramps: Sequence[Ramp], **asked: Any) -> NDArray[np.int64]:
    """The pieces of `ramped_pieces` as one array."""
    return np.concatenate([np.zeros(0, np.int64), *ramped_pieces(ramps, **asked)])
