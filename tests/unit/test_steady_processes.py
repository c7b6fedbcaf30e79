"""The times of steady processes, in pieces."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from loadgen.schedule.arrivals import offset_pieces
from loadgen.schedule.processes import PIECE, evenly, poisson


@pytest.mark.parametrize("total", [0, 1, PIECE, 2 * PIECE + 1])
@pytest.mark.parametrize("parts", [1, 3, 100])
def test_all_parts_together_are_the_whole_process(parts: int, total: int) -> None:
    def pieces(part: int, parts: int) -> list[list[float]]:
        found = [*poisson(1.0, 50_000.0, seed=4, part=part, parts=parts, total=total)]
        found_evenly = [*evenly(0.7, 50_000.0, part=part, parts=parts, total=total)]
        assert all(len(piece) for piece in (*found, *found_evenly))
        return [np.concatenate(one).tolist() if one else [] for one in (found, found_evenly)]

    random, steady = pieces(0, 1)
    assert steady == [k * 0.7 for k in range(total or 71_429)]
    assert len(random) == total or (total == 0 and abs(len(random) - 50_000) < 5 * 224)
    own = [pieces(part, parts) for part in range(parts)]
    assert sorted(itertools.chain.from_iterable(one for one, _ in own)) == random
    assert sorted(itertools.chain.from_iterable(one for _, one in own)) == steady


def test_the_times_of_a_poisson_process_are_the_sums_of_its_gaps() -> None:
    times = np.concatenate([*poisson(2.0, 90_000.0, seed=5, part=0, parts=1, total=0)])
    gaps = np.random.Generator(np.random.PCG64(5)).exponential(2.0, 4 * PIECE)
    sums = np.cumsum(gaps)
    assert np.array_equal(times, sums[sums < 90_000.0])  # across the limits of pieces, too


@pytest.mark.parametrize("poisson", [False, True])
@pytest.mark.parametrize("ramps", [(), ((1 << 60, 0.0, 10_000_000.0),)])
def test_the_first_piece_of_a_long_run_is_small(poisson: bool, ramps: tuple[tuple[int, float, float], ...]) -> None:
    pieces = offset_pieces(
        rate_per_s=10_000_000.0, poisson=poisson, seed=1, part=1, parts=2, length_ns=1 << 60, ramps=ramps
    )
    assert 0 < len(next(pieces)) <= PIECE
