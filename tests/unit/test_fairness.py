"""Known answers: VMs of which it is known whether they served evenly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadgen.model.units import NS_PER_S
from loadgen.verdict.connection import FINDING_DTYPE
from loadgen.verdict.fairness import fairness, is_unfair

SIZES = np.array([102.4 * 10**class_ * (num + 1) for class_ in range(4) for num in range(9)]).astype(np.int64)
SHARES = np.repeat([0.35, 0.50, 0.14, 0.01], 9) / 9
LINE = 400_000 / 8 / NS_PER_S  # bytes/ns


def connections(rng: np.random.Generator, slower: NDArray[np.float64], delay_ns: float = 0) -> NDArray[np.void]:
    """One window of 20 s per connection: random files, each at line speed divided by `slower` plus a random delay."""
    found = np.zeros(len(slower), FINDING_DTYPE)
    for at, factor in enumerate(slower):
        size = rng.choice(SIZES, 400, p=SHARES)
        took = size / LINE * factor + rng.exponential(delay_ns, 400) if delay_ns else size / LINE * factor
        inside = np.cumsum(took) <= 20 * NS_PER_S
        inside[0] = True
        found[at]["bytes"], found[at]["busy_ns"] = size[inside].sum(), np.rint(took[inside].sum())
    return found


def of(vms: int, each: int) -> NDArray[np.int32]:
    return np.repeat(np.arange(vms, dtype=np.int32), each)


@pytest.mark.parametrize(("vms", "each"), [(16, 20), (128, 2), (24, 8)])
def test_identical_ideal_servers_are_fair_whatever_files_were_dealt(vms: int, each: int) -> None:
    fair = fairness(connections(np.random.default_rng(1), np.ones(vms * each)), of(vms, each), vms)
    assert fair is not None
    assert fair["jain"] == pytest.approx(1, abs=1e-6)
    assert fair["slowest_over_fastest"] == pytest.approx(1, abs=1e-6)
    assert fair["slowest_over_fastest_by_chance"] == pytest.approx(1, abs=1e-6)
    assert not is_unfair(fair)


def test_one_vm_that_is_a_tenth_slower_is_seen() -> None:
    slower = np.where(of(16, 20) == 3, 1.1, 1.0)
    fair = fairness(connections(np.random.default_rng(1), slower), of(16, 20), 16)
    assert fair is not None
    assert fair["slowest_over_fastest"] == pytest.approx(1 / 1.1, abs=1e-4)
    assert is_unfair(fair)


def test_equal_vms_are_called_unfair_as_seldom_as_is_claimed() -> None:
    """Each operation has a delay, so the rates depend on the files; 1 of 370 is claimed."""
    rng, alarms, ratios = np.random.default_rng(7), 0, []
    for _ in range(100):
        fair = fairness(connections(rng, np.ones(48), delay_ns=0.03 * NS_PER_S), of(6, 8), 6)
        assert fair is not None
        alarms += is_unfair(fair)
        ratios.append(fair["slowest_over_fastest"])
    assert min(ratio for ratio in ratios if ratio is not None) < 0.97  # chance alone does that much
    assert alarms <= 2


def test_a_vm_that_served_nothing_is_unfair() -> None:
    found = connections(np.random.default_rng(1), np.ones(32))
    found[8:16] = 0
    fair = fairness(found, of(4, 8), 4)
    assert fair is not None
    assert fair["slowest_over_fastest"] == 0
    assert fair["jain"] == pytest.approx(0.75)
    assert is_unfair(fair)


def test_one_connection_per_vm_does_not_show_what_chance_does() -> None:
    fair = fairness(connections(np.random.default_rng(1), np.array([1, 1.5])), of(2, 1), 2)
    assert fair is not None
    assert fair["slowest_over_fastest_by_chance"] is None
    assert not is_unfair(fair)


def test_there_is_nothing_to_compare() -> None:
    found = connections(np.random.default_rng(1), np.ones(4))
    assert fairness(found, of(1, 4), 1) is None
    assert fairness(np.zeros(4, FINDING_DTYPE), of(2, 2), 2) is None


@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 10**11), st.integers(0, 9)), min_size=2, max_size=20))
def test_fairness_has_its_bounds(given: list[tuple[int, int, int]]) -> None:
    found = np.zeros(len(given), FINDING_DTYPE)
    for at, (size, busy, _) in enumerate(given):
        found[at]["bytes"], found[at]["busy_ns"] = size, busy
    fair = fairness(found, np.array([vm for _, _, vm in given], np.int32), 10)
    vms = len({vm for _, _, vm in given})
    assert (fair is None) == (vms < 2)
    if fair is not None:
        jain, ratio, chance = fair.values()
        assert jain is not None
        assert 1 / vms - 1e-9 <= jain <= 1 + 1e-9
        assert ratio is not None
        assert 0 < ratio <= 1
        assert chance is None or 0 <= chance <= 1
