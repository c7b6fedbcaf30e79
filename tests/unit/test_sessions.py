"""The TCP connections that a workload intends, and how many of them chance may make."""

from __future__ import annotations

import numpy as np
import pytest

from loadgen.verdict.sessions import Sessions
from workloads.deal import SESSIONS


def test_the_rates_of_sessions_are_those_of_renewal_theory() -> None:
    """407 sessions carry 1100 operations; 3.78 is the standard deviation of their lengths, 2.70 their mean."""
    assert SESSIONS.per_operation == pytest.approx(407 / 1100)
    assert SESSIONS.deviation == pytest.approx(3.78 / 2.70**1.5, rel=0.01)
    assert Sessions((4,)).most(100, 1, 0.01) == 26  # 25 sessions have 100 operations; one more may have begun


@pytest.mark.parametrize(("operations", "slots"), [(24, 1), (24, 2), (200, 1), (1000, 4), (3000, 1)])
def test_windows_exceed_the_most_as_rarely_as_was_asked(operations: int, slots: int) -> None:
    rng = np.random.default_rng(5)
    over, windows = 0, 4_000
    for _ in range(windows):
        found = 0
        for slot in range(slots):
            each = operations // slots + (slot < operations % slots)
            ends = np.cumsum(rng.choice(SESSIONS.lengths, size=each))
            found += 1 + int(np.count_nonzero(ends < each))  # the session under way, and those before it
        over += found > SESSIONS.most(operations, slots, 0.01)
    assert over / windows < 0.014  # 0.01, and 2.5 standard deviations of 4,000 trials


def test_a_server_that_closes_each_connection_exceeds_the_most_after_some_operations() -> None:
    assert SESSIONS.most(24, 2, 1e-6) >= 24
    assert all(SESSIONS.most(n, 2, 1e-6) < n for n in (100, 999, 1000, 1001, 10_000))
