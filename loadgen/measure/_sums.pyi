from typing import Any

from numpy.typing import NDArray

def add_up(
    order: NDArray[Any],
    ends: NDArray[Any],
    starts: NDArray[Any],
    indexes: NDArray[Any],
    counts: NDArray[Any],
    lowest: int,
    span: int,
    out_starts: NDArray[Any],
    out_indexes: NDArray[Any],
    out_counts: NDArray[Any],
) -> int: ...
