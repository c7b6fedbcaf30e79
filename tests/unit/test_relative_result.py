"""The judge of `loadgen relative`: rows, ratios, and what it says of them."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.model.errors import ExitCode
from loadgen.model.limits import NO_LIMITS
from loadgen.model.relative import Better, Metric
from loadgen.verdict.relative import WALL_TIME, judge_relative
from loadgen.verdict.relative_result import Difference
from tests.support.relatives import PLAN, number_round, result, rounds, wall_round

FREE = dataclasses.replace(PLAN, vm_limits=NO_LIMITS)


def test_the_wall_time_counts_where_there_is_no_number_and_less_is_better() -> None:
    found = result()
    bare, ns = found.rows
    assert (bare.metric, bare.unit, bare.better) == (WALL_TIME, "s", Better.LOWER)
    assert (bare.relative, bare.difference, bare.pairs) == (1.0, Difference.FIRST, 0)
    assert ns.relative == pytest.approx(0.904, abs=0.002)
    assert (ns.difference, ns.pairs) == (Difference.WORSE, 5)
    assert found.reasons == ("ns: 0.904 times as good as bare (0.901 to 0.907, 95 % confidence)",)
    assert found.exit_code is ExitCode.CONFORMING


def test_of_a_rate_more_is_better_and_the_value_is_the_mean_of_the_vms() -> None:
    found = judge_relative(
        FREE, [number_round(n, {"bare": (100.0 + n, 110.0), "ns": (210.0 + n, 220.0)}) for n in (1, 2, 3)]
    )
    bare, ns = found.rows
    assert bare.values == (105.5, 106.0, 106.5)
    assert (bare.vm_low, bare.vm_high) == (102.0, 110.0)
    assert ns.relative == pytest.approx(2.04, abs=0.01)
    assert ns.difference is Difference.BETTER


def test_an_interval_that_holds_one_shows_nothing() -> None:
    both = [{"bare": 1.0, "ns": 1.1}, {"ns": 1.0, "bare": 1.1}, {"bare": 1.0, "ns": 1.0}]
    found = judge_relative(FREE, [wall_round(n, walls) for n, walls in enumerate(both, start=1)])
    assert found.rows[1].difference is Difference.NOT_SHOWN
    assert found.reasons[0].startswith("ns: no difference from bare is shown (")


@given(st.lists(st.floats(0.1, 10), min_size=8, max_size=12), st.floats(0.1, 10))
def test_what_slows_a_whole_round_down_does_not_change_the_ratio(drifts: list[float], factor: float) -> None:
    found = judge_relative(FREE, [wall_round(n, {"bare": d, "ns": d * factor}) for n, d in enumerate(drifts, start=1)])
    assert found.rows[1].relative == pytest.approx(1 / factor, rel=1e-6)
    assert found.rows[1].relative_low == pytest.approx(1 / factor, rel=1e-3)


def test_only_rounds_with_both_give_ratios() -> None:
    found = judge_relative(FREE, [*rounds(3), wall_round(4, {"bare": 9.0})], interrupted=True)
    bare, ns = found.rows
    assert (len(bare.values), len(ns.values), ns.pairs) == (4, 3, 3)
    assert found.exit_code is ExitCode.INTERRUPTED


def test_the_same_ratio_in_a_few_rounds_has_no_interval_and_says_so() -> None:
    found = judge_relative(FREE, [wall_round(n, {"bare": 2.0, "ns": 4.0}) for n in range(1, 4)])
    assert found.rows[1].relative_low is None
    assert "0.500 times as good as bare; the same ratio in 3 rounds gives no interval" in found.reasons[0]


def test_one_round_has_no_interval_and_says_so() -> None:
    found = result(1)
    assert (found.rows[1].sd, found.rows[1].relative_low) == (None, None)
    assert found.rows[1].difference is Difference.UNKNOWN
    assert found.reasons == ("ns: 0.907 times as good as bare; one round gives no interval",)


def test_a_number_of_zero_cannot_be_divided() -> None:
    found = judge_relative(FREE, [number_round(n, {"bare": (0.0,), "ns": (1.0,)}) for n in (1, 2)])
    assert found.rows[1].relative is None
    assert found.reasons == ("ns: its transactions cannot be divided by that of bare",)


def test_nothing_measured_has_no_rows() -> None:
    found = judge_relative(FREE, [], interrupted=True)
    assert found.rows == ()
    assert found.reasons == ("stopped by the user after 0 of 5 rounds",)


def test_busy_neighbours_and_missing_limits_are_told() -> None:
    busy = wall_round(1, {"bare": 1.0, "ns": 1.0}, others_share=0.5, others_most="make (pid 9)")
    notes = judge_relative(PLAN, [busy, *rounds(3)[1:]]).notes
    assert notes == (
        "bare runs without the limits of the VMs",
        "other processes used up to 50 % of this machine's CPU time during a trial (most: make (pid 9)): round 1, bare",
    )


def test_of_many_intervals_some_miss() -> None:
    several = []
    for n in (1, 2, 3):
        made = number_round(n, {"bare": (1.0 + n,), "ns": (2.0 + n,)})
        trials = tuple(
            dataclasses.replace(
                trial,
                copies=tuple(
                    dataclasses.replace(
                        copy,
                        numbers=tuple(dataclasses.replace(copy.numbers[0], name=f"row {at}") for at in range(20)),
                    )
                    for copy in trial.copies
                ),
            )
            for trial in made.trials
        )
        several.append(dataclasses.replace(made, trials=trials))
    found = judge_relative(FREE, several)
    assert found.notes == ("of 20 intervals, about 1 miss the true ratio by chance",)
    assert found.reasons[0].startswith("ns, compared with bare: of 20 numbers, ")


def test_lower_is_better_by_the_metric() -> None:
    metric = Metric(pattern="([0-9]+) us", better=Better.LOWER, name="latency", unit="us")
    found = judge_relative(FREE, [number_round(n, {"bare": (10.0,), "ns": (5.0,)}, metric) for n in (1, 2)])
    assert found.rows[1].relative == pytest.approx(2.0)
