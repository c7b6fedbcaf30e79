"""Quantiles of Student's t distribution, compared with values that were integrated numerically."""

from __future__ import annotations

import pytest

from loadgen.verdict.student import student


@pytest.mark.parametrize(
    ("freedom", "beyond", "expected"),
    [
        (1, 0.01, 31.8205),
        (2, 1e-4, 70.7001),
        (3, 0.01, 4.5407),
        (4, 3e-6, 31.570),
        (8, 0.01, 2.8965),
        (8, 1e-4, 6.4420),
        (20, 3e-6, 6.0860),
        (300, 1e-4, 3.7655),
    ],
)
def test_quantiles_far_out_in_the_tail(freedom: int, beyond: float, expected: float) -> None:
    assert student(1 - beyond, freedom) == pytest.approx(expected, rel=1e-3)
