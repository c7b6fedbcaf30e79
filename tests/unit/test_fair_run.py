"""Scripted hosts and clients: it is known which VM, or which engine, is slow; and identical ones are never named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadgen.measure.censored import Times
from loadgen.measure.histogram import Histogram
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.schedule.placement import place
from loadgen.verdict.fair_result import Fairness
from loadgen.verdict.fair_run import Rows, judge_fairness

SIZES = np.array([102.4 * 10**class_ * (num + 1) for class_ in range(4) for num in range(9)])
SHARES = np.repeat([0.35, 0.50, 0.14, 0.01], 9) / 9
LINE = 400_000 / 8 / NS_PER_S  # bytes/ns
WINDOW_NS = 20 * NS_PER_S


def rows(
    rng: np.random.Generator,
    vms: int,
    each: int,
    engines: int = 2,
    iterations: int = 3,
    *,
    slow: Mapping[tuple[str, int], float] | None = None,
    when: Sequence[int] | None = None,
) -> Rows:
    """Return rows of connections that play random files at line speed, with a random delay for each.

    `slow`: by ("vm" or "engine", number), by how much it is slower; in the iterations `when`, or in all of them.
    """
    vm = np.tile(np.repeat(np.arange(vms), each), iterations)
    client = np.tile(place([each] * vms, [1] * engines, int(rng.integers(1 << 30))), iterations)
    iteration = np.repeat(np.arange(iterations), vms * each)
    slower = np.ones(len(vm))
    for (kind, number), factor in (slow or {}).items():
        mine = (vm if kind == "vm" else client) == number
        slower[mine & (np.isin(iteration, when) if when is not None else True)] *= factor
    files = rng.choice(SIZES, (len(vm), 200), p=SHARES)
    took = files / LINE * slower[:, None] + rng.exponential(0.03 * NS_PER_S, files.shape) * slower[:, None]
    begun = np.cumsum(took, axis=1) - took
    inside = np.clip((WINDOW_NS - begun) / took, 0, 1)  # as much of each operation as lies in the window
    return Rows(
        iteration=iteration,
        vm=vm,
        client=client.astype(np.int64),
        asked=np.ones(len(vm), bool),
        size=(files * inside).sum(axis=1).astype(np.int64),
        busy_ns=(took * inside).sum(axis=1).astype(np.int64),
        usable_ns=np.full(len(vm), WINDOW_NS),
    )


def judged(found: Rows, response: Mapping[int, Times] | None = None) -> Fairness:
    vms, engines, iterations = (int(column.max()) + 1 for column in (found.vm, found.client, found.iteration))
    fair = judge_fairness(
        found,
        [f"vm{number + 1}" for number in range(vms)],
        [f"local/{number}" for number in range(engines)],
        range(iterations),
        response,
    )
    assert fair is not None
    return fair


def named(fair: Fairness) -> list[str]:
    return [one.name for one in (*fair.differing, *fair.passing)]


def clients_named(fair: Fairness) -> list[str]:
    assert fair.clients is not None
    return [one.name for one in fair.clients.differing]


@pytest.mark.parametrize(("vms", "each", "engines"), [(16, 5, 2), (2, 4, 2), (4, 2, 3), (6, 1, 2)])
def test_identical_servers_are_never_called_unfair_in_100_seeds(vms: int, each: int, engines: int) -> None:
    rng, ratios = np.random.default_rng(11), []
    for _ in range(100):
        fair = judged(rows(rng, vms, each, engines))
        assert fair.verdict in ("fair", "not known")
        assert named(fair) == clients_named(fair) == []
        ratios.append(fair.slowest_over_fastest or 0)
    assert min(ratios) < 0.99  # chance alone does that much


def test_many_servers_with_few_connections_and_errors_of_heavy_tails_are_not_named() -> None:
    """A few rows that are far off move such a VM by more than the error of all rows explains."""
    rng, vms, each, iterations = np.random.default_rng(1), 256, 4, 3
    count = vms * each * iterations
    for _ in range(20):
        errors = np.exp(0.02 * rng.standard_t(3, count))
        found = Rows(
            iteration=np.repeat(np.arange(iterations), vms * each),
            vm=np.tile(np.repeat(np.arange(vms), each), iterations),
            client=np.arange(count) % 2,
            asked=np.ones(count, bool),
            size=(1_000_000 * errors).astype(np.int64),
            busy_ns=np.full(count, WINDOW_NS),
            usable_ns=np.full(count, WINDOW_NS),
        )
        assert named(judged(found)) == []


@pytest.mark.parametrize(("vms", "each", "engines"), [(16, 20, 2), (4, 20, 1), (2, 20, 2), (40, 10, 3)])
def test_a_vm_that_is_a_tenth_slower_is_named(vms: int, each: int, engines: int) -> None:
    for seed in range(5):
        fair = judged(rows(np.random.default_rng(seed), vms, each, engines, slow={("vm", 1): 1 / 0.9}))
        assert fair.verdict == "unfair"
        assert [one.name for one in fair.differing] == ["vm2"]
        assert fair.differing[0].share == pytest.approx(0.9, abs=0.02)
        assert fair.differing[0].iterations == (0, 1, 2)
        assert fair.slowest == "vm2"
        assert fair.explained is not None
        assert fair.explained > 0.05
        if engines > 1:
            assert clients_named(fair) == []


@pytest.mark.parametrize(("vms", "each", "engines"), [(16, 20, 2), (4, 20, 4), (2, 20, 2), (30, 3, 3)])
def test_an_engine_that_is_a_tenth_slower_is_blamed_and_no_vm_is(vms: int, each: int, engines: int) -> None:
    for seed in range(5):
        fair = judged(rows(np.random.default_rng(seed), vms, each, engines, slow={("engine", 1): 1 / 0.9}))
        assert fair.verdict == "fair"
        assert named(fair) == []
        assert clients_named(fair) == ["local/1"]
        assert fair.clients is not None
        assert fair.clients.differing[0].share == pytest.approx(0.9, abs=0.02)
        assert fair.clients.explained is not None
        assert fair.explained is not None
        assert fair.clients.explained > 0.1 > fair.explained


def test_a_slow_engine_that_drives_most_of_a_vm_does_not_make_the_vm_slow() -> None:
    """Without the comparison within engines, vm1 would have 94.8 % of the rate of vm2."""
    rng = np.random.default_rng(5)
    found = rows(rng, 2, 24, 2)
    client = np.tile(np.repeat([1, 0, 1], [20, 20, 8]), 3)
    scale = np.where(client == 1, 0.9, 1.0)
    fair = judged(replace(found, client=client, size=(found.size * scale).astype(np.int64)))
    assert fair.verdict == "fair"
    assert clients_named(fair) == ["local/1"]
    assert (fair.slowest_over_fastest or 0) > 0.98


def test_a_slow_vm_and_a_slow_engine_are_told_apart() -> None:
    fair = judged(rows(np.random.default_rng(3), 8, 20, 2, slow={("vm", 0): 1 / 0.9, ("engine", 0): 1 / 0.9}))
    assert [one.name for one in fair.differing] == ["vm1"]
    assert clients_named(fair) == ["local/0"]


def test_vms_are_compared_with_those_that_the_same_engines_drive() -> None:
    """With a connection each, an engine that has half of the VMs cannot be told from these VMs."""
    found = rows(np.random.default_rng(4), 8, 1, 2, slow={("engine", 0): 1 / 0.8})
    fair = judged(found)
    assert named(fair) == []
    slow = judged(replace(found, size=np.where(found.vm == 2, found.size * 6 // 10, found.size)))
    assert [one.name for one in slow.differing] == ["vm3"]


def test_a_vm_that_is_slow_in_one_iteration_is_named_with_it_and_the_run_is_not_unfair() -> None:
    fair = judged(rows(np.random.default_rng(2), 8, 20, 2, slow={("vm", 4): 1 / 0.8}, when=[1]))
    assert fair.differing == ()
    assert [(one.name, one.iterations) for one in fair.passing] == [("vm5", (1,))]
    assert fair.passing[0].share == pytest.approx(0.8, abs=0.03)
    assert fair.verdict == "fair"


def test_a_favoured_vm_is_named_too() -> None:
    fair = judged(rows(np.random.default_rng(2), 5, 20, 1, slow={("vm", at): 1 / 0.9 for at in range(4)}))
    assert [(one.name, one.share > 1) for one in fair.differing] == [("vm5", True)]
    assert fair.clients is None


def test_a_vm_that_received_less_than_half_is_starved() -> None:
    found = rows(np.random.default_rng(1), 4, 8)
    mine = (found.vm == 2) & (found.iteration == 1)
    fair = judged(
        replace(
            found,
            size=np.where(mine, found.size // 5, found.size),
            busy_ns=np.where(mine, found.busy_ns // 5, found.busy_ns),
        )
    )
    assert [(one.name, one.iterations) for one in fair.starved] == [("vm3", (1,))]
    assert fair.starved[0].received == pytest.approx(0.2 / 0.8, abs=0.03)
    assert fair.verdict == "unfair"
    assert fair.differing == ()  # what it served, it served as fast as the others


def test_a_vm_whose_users_think_is_not_starved() -> None:
    found = rows(np.random.default_rng(1), 2, 4, 1, 1)
    thinking = found.vm == 1  # all the users of the other VM download for the whole window
    size, busy_ns = (np.where(thinking, column // 20, column) for column in (found.size, found.busy_ns))
    fair = judged(replace(found, size=size, busy_ns=busy_ns, usable_ns=busy_ns))
    assert fair.verdict == "fair"
    assert fair.starved == ()
    assert fair.vms[1].received == pytest.approx(2 / 21, abs=0.01)  # what it received is stated all the same

    failing = judged(replace(found, size=size, busy_ns=busy_ns, usable_ns=found.usable_ns))
    assert [one.name for one in failing.starved] == ["vm2"]


def test_a_vm_that_served_nothing_is_starved() -> None:
    found = rows(np.random.default_rng(1), 4, 8, 2)
    dead = found.vm == 1
    size, busy_ns = np.where(dead, 0, found.size), np.where(dead, 0, found.busy_ns)
    fair = judged(replace(found, size=size, busy_ns=busy_ns))
    assert fair.verdict == "unfair"
    assert [(one.name, one.received) for one in fair.starved] == [("vm2", 0.0)]
    assert (fair.slowest, fair.slowest_over_fastest) == ("vm2", 0.0)
    assert fair.jain == pytest.approx(0.75, abs=0.01)
    assert fair.vms[1].share is None


def test_a_vm_whose_users_only_think_is_not_compared() -> None:
    found = rows(np.random.default_rng(1), 4, 8, 2)
    idle = found.vm == 1
    size, busy_ns = np.where(idle, 0, found.size), np.where(idle, 0, found.busy_ns)
    fair = judged(replace(found, asked=~idle, size=size, busy_ns=busy_ns))
    assert fair.verdict == "fair"
    assert fair.starved == ()
    assert fair.slowest != "vm2"
    assert fair.jain == pytest.approx(1, abs=0.01)

    once = idle & (found.iteration == 0)  # in one iteration only
    size, busy_ns = np.where(once, 0, found.size), np.where(once, 0, found.busy_ns)
    assert judged(replace(found, asked=~once, size=size, busy_ns=busy_ns)).starved == ()


def test_a_single_connection_per_vm_does_not_tell_what_chance_does() -> None:
    fair = judged(rows(np.random.default_rng(1), 2, 1, 1, 1, slow={("vm", 0): 1.5}))
    assert fair.slowest_over_fastest_by_chance is None
    assert fair.verdict == "not known"


def test_there_is_nothing_to_compare() -> None:
    found = rows(np.random.default_rng(1), 2, 2)
    assert judge_fairness(found.of(0), ["a", "b"], ["e", "f"], [0]) is not None
    nothing = replace(found, size=found.size * 0, busy_ns=found.busy_ns * 0)
    assert judge_fairness(nothing, ["a", "b"], ["e", "f"], [0, 1, 2]) is None
    assert judge_fairness(rows(np.random.default_rng(1), 1, 2), ["a"], ["e", "f"], [0, 1, 2]) is None


ROWS = st.tuples(*(st.integers(0, most) for most in (2, 5, 3, 10**9, 10**11)))


@given(st.lists(ROWS, min_size=1, max_size=25))
def test_fairness_has_its_bounds(given: list[tuple[int, int, int, int, int]]) -> None:
    iteration, vm, client, size, busy_ns = np.array(given, np.int64).T
    size[busy_ns == 0] = 0
    asked = np.ones(len(vm), bool)
    found = Rows(
        iteration=iteration, vm=vm, client=client, asked=asked, size=size, busy_ns=busy_ns, usable_ns=busy_ns + 1
    )
    fair = judge_fairness(found, list("abcdef"), list("wxyz"), [0, 1, 2])
    assert (fair is None) == (len(set(vm.tolist())) < 2 or not size.any())
    if fair is not None:
        assert 1 / 6 - 1e-9 <= (fair.jain or 0) <= 1 + 1e-9
        assert 0 <= (fair.slowest_over_fastest or 0) <= 1
        assert 0 <= (fair.slowest_over_fastest_by_chance or 0) <= 1
        assert 0 <= (fair.explained or 0) <= 1
        assert (fair.verdict == "unfair") == bool(fair.differing or fair.starved)


def times(values_ms: NDArray[np.float64]) -> Times:
    return Times.exactly(Histogram.of(np.rint(values_ms * NS_PER_MS).astype(np.int64)))


def test_the_highest_p99_comes_with_what_chance_does() -> None:
    rng, found = np.random.default_rng(6), rows(np.random.default_rng(1), 4, 4)
    beyond = 0
    for _ in range(100):
        worst = judged(found, {vm: times(rng.lognormal(3, 1, 2_000)) for vm in range(4)}).worst_p99
        assert worst is not None
        beyond += worst.p99_ms.low > worst.by_chance_ms
    assert beyond <= 1
    slow = {vm: times(rng.lognormal(3, 1, 2_000) * (4 if vm == 3 else 1)) for vm in range(4)}
    worst = judged(found, slow).worst_p99
    assert worst is not None
    assert worst.name == "vm4"
    assert worst.p99_ms.low > worst.by_chance_ms
