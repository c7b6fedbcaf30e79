import numpy as np
from numpy.typing import NDArray

from loadgen.measure.limits import Limits

class Rules:
    def __init__(
        self,
        kind: NDArray[np.uint8],
        group: NDArray[np.uint8],
        state: NDArray[np.uint8],
        target_of: NDArray[np.int32],
        window_ns: tuple[int, int] | None,
        limits: Limits,
        think_ns: NDArray[np.int64] | None,
        *,
        kinds: int,
        groups: int,
        line_ns_per_byte: float,
        error_rest_ns: int,
        is_open: bool,
        is_unpaced: bool,
    ) -> None: ...
    def places(self, records: NDArray[np.void], cells: NDArray[np.int64], tallies: NDArray[np.int64]) -> bool: ...
    def count(
        self,
        records: NDArray[np.void],
        cells: NDArray[np.int64],
        outcomes: NDArray[np.int64],
        counts: NDArray[np.int64],
        sums: NDArray[np.int64],
        rows: NDArray[np.int64],
        tallies: NDArray[np.void],
        usual: NDArray[np.int64],
        times_usual: NDArray[np.int64],
        others: NDArray[np.int64],
    ) -> int: ...
    def times(
        self,
        records: NDArray[np.void],
        cells: NDArray[np.int64],
        starts: NDArray[np.int64],
        indexes: NDArray[np.int32],
        counts: NDArray[np.int64],
        max_ns: NDArray[np.int64],
        min_ns: NDArray[np.int64],
    ) -> int: ...
