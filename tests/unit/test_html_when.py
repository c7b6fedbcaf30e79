"""When the worst target was slow: at a moment, along a trend, or at no special time."""

from __future__ import annotations

import numpy as np
import pytest

from coordinator.output.html.worst import worst_sentences
from tests.support import results
from tests.support.timelines import scene, timeline


def when(p99_ms: list[float], failed: list[int] | None = None) -> str:
    """The sentence on the moment, of one VM with these percentiles in each second."""
    rows = results.run_result(1).targets
    line = timeline([[20] * len(p99_ms)], p99_ms=np.array([p99_ms]), failed=np.array([failed or [0] * len(p99_ms)]))
    [said] = [
        one for one in worst_sentences(rows, rows[0].name, scene(line), "VM", invalid=False) if one.startswith("When")
    ]
    return said


def test_a_queue_that_grows_through_the_run_is_a_trend() -> None:
    assert when([100.0 * at for at in range(1, 21)]) == (
        "When: no single moment, but a trend; its 99th percentile rose steadily, from 250 ms in the first fifth of the "
        "time to 1,850 ms in the last."
    )


def test_noise_on_a_trend_does_not_hide_it() -> None:
    noise = np.random.default_rng(7).normal(0, 40, 50)
    assert "rose steadily" in when((np.linspace(100, 1000, 50) + noise).tolist())


def test_what_is_cut_at_the_end_does_not_hide_a_trend() -> None:
    assert "rose steadily, from 1,118 ms " in when([737.0, 1500.0, 2300.0, 3100.0, 3846.0, 3710.0])


def test_a_percentile_that_falls_is_a_trend_too() -> None:
    assert "fell steadily, from 1,850 ms " in when([100.0 * at for at in range(20, 0, -1)])


def test_failures_come_first_and_the_trend_behind_them() -> None:
    text = when([100.0 * at for at in range(1, 21)], [1, 0, 0, 0] * 5)
    assert text.startswith("When: its failures are spread over the run; ")
    assert text.endswith(
        " Its 99th percentile rose steadily, from 250 ms in the first fifth of the time to 1,850 ms in the last."
    )


@pytest.mark.parametrize(
    "p99_ms",
    [
        [5.0] * 20,
        [5.0, 6.0, 7.0, 8.0, 9.0] * 4,
        np.linspace(100, 150, 20).tolist(),  # half as much again: no trend to speak of
    ],
)
def test_what_stays_about_the_same_has_no_moment(p99_ms: list[float]) -> None:
    assert when(p99_ms).startswith("When: no moment stands out; ")


@pytest.mark.parametrize("p99_ms", [[5.0] * 16 + [50.0] * 4, [5.0, 5.1, 5.2, 5.3] * 4 + [90.0] * 4])
def test_what_comes_all_at_once_is_a_moment(p99_ms: list[float]) -> None:
    assert when(p99_ms).startswith("When: it was slowest at 16 to 20 s of the run")


def test_a_few_seconds_have_no_trend() -> None:
    assert "steadily" not in when([1.0, 2.0, 3.0, 4.0])
