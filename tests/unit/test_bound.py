from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.model.bound import Bound, BoundKind
from loadgen.model.errors import PlanError
from loadgen.model.units import NS_PER_S

RATES = st.builds(Bound.rate, st.integers(1, 10**12))
TIMES = st.builds(
    lambda good, more: Bound.time(good, good + more), st.integers(1, 3600 * NS_PER_S), st.integers(0, 3600 * NS_PER_S)
)


@given(st.one_of(RATES, TIMES))
def test_a_bound_survives_conversion_to_text(bound: Bound) -> None:
    assert Bound.parse(str(bound)) == bound


def test_a_rate_bound_allows_the_transfer_time_at_the_floor() -> None:
    bound = Bound.parse("rate")
    assert bound == Bound.rate(320_000)
    assert bound.good_ns_per_byte * 40_000 == NS_PER_S  # 40 kB are 320 kbit
    assert bound.tolerable_ns_per_byte == bound.good_ns_per_byte
    assert bound.good_ns == bound.tolerable_ns == 0


def test_a_time_bound_needs_95_and_99_percent() -> None:
    bound = Bound.parse("time:2s/4s")
    assert (bound.kind, bound.good_ns, bound.tolerable_ns) == (BoundKind.TIME, 2 * NS_PER_S, 4 * NS_PER_S)
    assert (bound.good_share, bound.tolerable_share) == (0.95, 0.99)
    assert bound.good_ns_per_byte == bound.tolerable_ns_per_byte == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not a bound"),
        ("speed", "'speed' is not a bound"),
        ("time", "'time' is not a bound"),
        ("time:2s", "'time:2s' is not a bound"),
        ("rate:fast", "'fast' is not a rate"),
        ("rate:0", "a rate bound needs a floor of at least 1 bit/s, got 0"),
        ("rate:0.5", "a rate bound needs a floor of at least 1 bit/s, got 0"),
        ("time:/4s", "'' is not a duration"),
        ("time:4s/2s", "a time bound needs 0 < good <= tolerable"),
        ("time:0/2s", "a time bound needs 0 < good <= tolerable"),
        ("time:4s/9999999999s", "'9999999999s' is not a duration: it is more than 100 years"),
        ("time:2/4", "'2' has no unit"),
        ("time:2s/4", "'4' has no unit"),
        ("time:1s/2s/3s", "'2s/3s' is not a duration"),
    ],
)
def test_invalid_bounds_are_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        Bound.parse(text)
    assert caught.value.message.startswith(message)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
@pytest.mark.parametrize("name", ["good_share", "tolerable_share"])
def test_a_share_lies_between_0_and_1(name: str, share: float) -> None:
    changes: dict[str, Any] = {name: share}
    with pytest.raises(PlanError, match="between 0 and 1"):
        dataclasses.replace(Bound.time(1, 2), **changes)


@pytest.mark.parametrize("slope", [-1.0, math.inf, math.nan])
@pytest.mark.parametrize("name", ["good_ns_per_byte", "tolerable_ns_per_byte"])
def test_a_time_per_byte_is_finite_and_not_negative(name: str, slope: float) -> None:
    changes: dict[str, Any] = {name: slope}
    with pytest.raises(PlanError, match="finite and not negative"):
        dataclasses.replace(Bound.rate(1), **changes)
