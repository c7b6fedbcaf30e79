"""Known answers: one bad VM, or one bad connection, among many good ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loadgen.measure.ledger import Totals
from loadgen.model.units import NS_PER_S
from loadgen.verdict.iteration import judge_iteration
from tests.support.evidence import asked, rows
from tests.support.iterations import FINE, MIX, WINDOW_NS, cell, check, iteration, served
from workloads.deal import SESSIONS


def test_one_frozen_vm_of_24_does_not_hide_among_the_others() -> None:
    """Its connections are 4 % of all: they are inside operations that cover the window."""
    frozen = [{"connection": 8 * 7 + i, "cut": 1, "busy_ns": WINDOW_NS} for i in range(8)]
    good = [served(i, 390) for i in range(24 * 8) if i // 8 != 7]
    found = sorted((*good, *frozen), key=lambda row: row["connection"])
    result = iteration({i: cell(MIX) for i in range(24) if i != 7}, found, vms=24, each=8)
    assert result.conforming == 184  # 95.8 %
    assert check(result, "conforming connections").ok
    worst = check(result, "conforming, worst VM")
    assert (worst.value, worst.limit, worst.ok) == (0, 87.5, False)
    assert worst.detail == "vm7: 0 of 8 connections conformed; 1 of 24 VMs have too few"
    assert result.conforms is False


@pytest.mark.parametrize(
    ("each", "slow", "ok"), [(1, 0, True), (1, 1, False), (2, 1, True), (2, 2, False), (40, 2, True), (40, 3, False)]
)
def test_one_connection_of_a_vm_may_miss_the_bound_but_not_the_only_one(each: int, slow: int, ok: bool) -> None:
    found = [served(i, 250 if i < slow else 390) for i in range(100 * each)]
    result = iteration({0: cell(MIX)}, found, vms=100, each=each)
    assert check(result, "conforming connections").ok
    assert check(result, "conforming, worst VM").ok is ok
    assert not [c for c in iteration({0: cell(MIX)}, FINE).checks if "worst VM" in c.name]  # of a single one


def test_a_vm_whose_requests_fail_is_found_among_many_good_ones() -> None:
    """5 % of one VM's requests of class 1: 0.2 % of all of class 1."""
    bad = cell((350, 475, 140, 10), bad=(0, 25, 0, 0))
    errors = check(
        iteration({3: bad, **{i: cell((350, 500, 140, 10)) for i in range(24) if i != 3}}, FINE, vms=24), "errors"
    )
    assert not errors.ok
    assert errors.value == pytest.approx(5)
    assert "25 of 500 failed: class 1 of vm3" in errors.detail
    spare = cell((35, 49, 14, 1), bad=(0, 1, 0, 0))  # one failure is allowed
    assert check(iteration({3: spare, 1: cell((3500, 5000, 1400, 100))}, FINE, vms=24), "errors").ok


def test_any_invalid_connection_is_against_the_rules() -> None:
    """SPECweb99: a run with a connection that had too many errors is not valid, whatever the other ones did."""
    assert check(iteration({0: cell(MIX)}, FINE), "invalid connections").ok
    failing = [*FINE[:-1], served(19, 390, ok=64, bad=2)]
    invalid = check(iteration({0: cell(MIX)}, failing), "invalid connections")
    assert (invalid.value, invalid.limit, invalid.ok) == (1, 0, False)
    assert invalid.detail == "1 with too many errors; most: vm0 with 1"
    once = [*FINE[:-1], served(19, 390, ok=65, bad=1)]
    assert check(iteration({0: cell(MIX)}, once), "invalid connections").ok
    silent = check(iteration({0: cell(MIX)}, FINE[:-1]), "invalid connections")
    assert (silent.value, silent.detail) == (1, "1 without any request; most: vm0 with 1")
    slow = [*FINE[:-1], served(19, 250)]
    assert check(iteration({0: cell(MIX)}, slow), "invalid connections").ok


@pytest.mark.parametrize(("connects", "ok"), [(3700, True), (4080, True), (4400, False), (10_000, False)])
def test_a_server_that_does_not_keep_connections_open_is_found_among_good_ones(connects: int, ok: bool) -> None:
    """The load is another one then: SPECweb99 fixes 70 % of requests on persistent connections."""
    wanted = replace(asked(2, 10), connects=SESSIONS)
    totals = Totals({(0, 0): cell(MIX, connects=3700), (0, 1): cell(MIX, connects=connects)}, rows(*FINE), {})
    found = check(judge_iteration(0, totals, wanted, measured_ns=WINDOW_NS), "connects per operation")
    assert found.ok is ok
    assert found.value == connects / 10_000
    if not ok:
        assert found.detail == f"vm1: {connects:,} connections for 10,000 operations, 0.37 intended for each"


def test_many_servers_with_few_operations_each_are_not_blamed_for_chance() -> None:
    """81 % of the TCP connections carry one operation: of 512 VMs, some see nothing else in 24 operations."""
    wanted = replace(asked(512, 2), connects=SESSIONS)
    few = [cell((10, 10, 4, 0), connects=24 if vm == 288 else 9) for vm in range(512)]
    totals = Totals({(0, vm): one for vm, one in enumerate(few)}, rows(*FINE), {})
    assert check(judge_iteration(0, totals, wanted, measured_ns=WINDOW_NS), "connects per operation").ok


def test_many_servers_with_few_operations_each_that_all_close_connections_are_found() -> None:
    wanted = replace(asked(512, 2), connects=SESSIONS)
    totals = Totals({(0, vm): cell((10, 10, 4, 0), connects=24) for vm in range(512)}, rows(*FINE), {})
    found = check(judge_iteration(0, totals, wanted, measured_ns=WINDOW_NS), "connects per operation")
    assert (found.value, found.ok) == (1, False)
    assert found.detail == "all VMs: 12,288 connections for 12,288 operations, 0.37 intended for each"


def test_connections_that_failures_ended_are_not_held_against_a_server() -> None:
    wanted = replace(asked(1, 20), connects=SESSIONS)
    totals = Totals({(0, 0): cell(MIX, bad=(1000, 0, 0, 0), connects=5000)}, rows(*FINE), {})
    assert check(judge_iteration(0, totals, wanted, measured_ns=WINDOW_NS), "connects per operation").ok


def test_time_in_time_outs_is_dead_time() -> None:
    """Failed operations add no time to any rate: 297 of 1200 s in time-outs, and the connection conforms."""
    busy_ns = WINDOW_NS * 903 // 1200
    inside = {"bytes": 390 * 125 * 15, "busy_ns": busy_ns, "service_ns": busy_ns}
    lost_ns = WINDOW_NS * 297 // 1200
    failing = served(0, 390, ok=3000, bad=30) | inside | {"failed_ns": lost_ns - NS_PER_S, "rest_ns": NS_PER_S}
    late = served(1, 390) | inside
    result = iteration({0: cell(MIX), 1: cell(MIX)}, [failing, late, served(2, 390)], vms=4, each=1)
    assert [target.conforming for target in result.targets] == [1, 1, 1, 0]
    # The second one began after the window opened, and the last one never did.
    assert [target.dead_share for target in result.targets] == [pytest.approx(297 / 1200), 0, 0, 1]


def test_the_time_before_the_first_operation_is_not_dead() -> None:
    """An interrupted window ends while a connection still waits for the moment at which it should start."""
    waits = {"window": 0, "connection": 1, "pacing_ns": 4 * WINDOW_NS}
    begins = {"window": 0, "connection": 2, "pacing_ns": WINDOW_NS // 4}
    result = iteration({0: cell(MIX)}, [served(0, 390), waits, begins], vms=3, each=1)
    assert [target.dead_share for target in result.targets] == [0, 0, 0.75]
