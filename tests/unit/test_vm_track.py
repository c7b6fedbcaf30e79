"""Counters of VMs over a measured window, and what of them held a VM."""

from __future__ import annotations

import itertools

import msgpack
import numpy as np
import pytest

from coordinator.run.vm_track import VmTrack
from loadgen.measure.vm_second import COLUMNS, VmSecond, VmWeights, vm_seconds_of
from loadgen.verdict.vm_counters import Held, VmCounters
from tests.support.vm_counters import vm_second

QUIET = dict.fromkeys(COLUMNS, 0) | {"periods": 10, "segments_sent": 1000}


def counters(*seconds: VmSecond | VmWeights, window: int = 0) -> list[VmCounters]:
    first = next(one for one in seconds if isinstance(one, VmSecond))
    track = VmTrack(first.numbers.shape[1])
    for one in seconds:
        track.add(one)
    return [one for one in track.counters(window) if one is not None]


def phrases(**numbers: int) -> list[str]:
    (found,) = counters(vm_second(0, QUIET | numbers))
    return [held.phrase for held in found.held]


def test_counts_are_added_and_levels_are_the_most() -> None:
    seconds = [
        vm_second(at, QUIET | {"cpu_ns": 100, "memory_bytes": memory, "oom_kills": 1}, stolen_ns=1, core_ns=50)
        for at, memory in enumerate((5, 9, 7))
    ]
    (found,) = counters(*seconds, vm_second(3, QUIET | {"cpu_ns": 5}, window=1), VmWeights(after=True, pss_bytes=(77,)))
    assert (found.cpu_ns, found.memory_bytes, found.oom_kills, found.periods) == (300, 9, 3, 30)
    assert (found.read_s, found.stolen_share) == (3.0, 0.02)
    assert (found.pss_before_bytes, found.pss_after_bytes) == (None, 77)
    assert found.at_least == ()


def test_what_was_not_read_is_no_0_and_a_part_is_a_lower_bound() -> None:
    unread = {"oom_kills": -1, "retransmits": -1, "cpu_ns": -1}
    (found,) = counters(vm_second(0, QUIET | {"oom_kills": 3}), vm_second(1, QUIET | unread))
    assert found.retransmits is None  # 0 in the one second, and not known in the other
    assert found.cpu_ns is None
    assert (found.oom_kills, found.at_least) == (3, ("oom_kills",))
    assert [held.phrase for held in found.held] == ["OOM-killed at least 3 times"]
    assert found.stolen_share is None


def test_a_vm_of_which_nothing_was_read_has_no_counters() -> None:
    track = VmTrack(2)
    track.add(vm_second(0, {}, QUIET))
    first, second = track.counters(0)
    assert first is None
    assert second is not None
    assert track.counters(1) == (None, None)


@pytest.mark.parametrize(
    ("numbers", "phrase"),
    [
        ({"oom_kills": 1}, "OOM-killed once"),
        ({"oom_kills": 2}, "OOM-killed twice"),
        ({"pids_refused": 1}, "pids limit reached (1 fork refused)"),
        ({"pids_refused": 4000}, "pids limit reached (4,000 forks refused)"),
        ({"periods": 100, "throttled_periods": 62}, "throttled in 62 % of the periods of its CPU quota"),
        ({"throttled_periods": 10}, "throttled in 100 % of the periods of its CPU quota"),
        ({"listen_overflows": 312, "listen_drops": 312}, "listen queue overflowed 312 times"),
        ({"listen_drops": 1}, "listening socket dropped 1 connection attempt, as when its queue is full"),
        ({"retransmits": 31}, "3.1 % of its TCP segments were sent again"),
        ({"waited_ns": 410_000_000}, "its threads waited for a core for 41 % of the time"),
        ({"waited_ns": 1_800_000_000}, "on average, 1.8 of its threads were waiting for a core"),
    ],
)
def test_what_held_a_vm_in_words(numbers: dict[str, int], phrase: str) -> None:
    assert phrases(**numbers) == [phrase]


def test_what_is_usual_holds_nobody() -> None:
    assert phrases() == []
    assert phrases(throttled_periods=0, retransmits=9, waited_ns=100_000_000, cpu_ns=10**9, memory_bytes=1 << 40) == []
    assert phrases(periods=100, throttled_periods=9) == []
    assert phrases(periods=-1, throttled_periods=-1, oom_kills=-1, listen_drops=-1) == []


def test_waiting_because_of_the_quota_is_told_once() -> None:
    assert phrases(throttled_periods=5, waited_ns=10**9) == ["throttled in 50 % of the periods of its CPU quota"]


def test_the_hypervisor_held_all_vms() -> None:
    found = counters(vm_second(0, QUIET, QUIET, stolen_ns=12, core_ns=100))
    assert [[held.phrase for held in one.held] for one in found] == [
        ["the hypervisor took 12 % of the CPU time of its host"]
    ] * 2


def test_the_seconds_in_which_it_was_so() -> None:
    held = QUIET | {"throttled_periods": 10}
    seconds = [vm_second(at, held if at in (2, 3, 4, 7) else QUIET) for at in range(9)]
    (found,) = counters(*seconds, vm_second(9, held, seconds=3))
    assert found.held == (Held(what="throttled", value=100 * 50 / 100, spans=((2, 4), (7, 7), (9, 11))),)


def test_counters_of_another_number_of_vms_are_refused() -> None:
    with pytest.raises(ValueError, match="counters of 2 VMs, but there are 3 targets"):
        VmTrack(3).add(vm_second(0, QUIET, QUIET))


def test_the_wire_form_is_compact_and_comes_back() -> None:
    second = vm_second(7, *[QUIET | {"cpu_ns": vm} for vm in range(1000)], window=-1, stolen_ns=3, core_ns=9, cost_ns=2)
    wire = msgpack.packb(second.to_wire())
    assert len(wire) < 4000  # a number that all have is written once
    (back,) = vm_seconds_of(msgpack.unpackb(wire))
    assert isinstance(back, VmSecond)
    assert back.to_wire() == second.to_wire()
    assert np.array_equal(back.numbers, second.numbers)
    weights = VmWeights(after=False, pss_bytes=(1, -1))
    assert vm_seconds_of(msgpack.unpackb(msgpack.packb(weights.to_wire()))) == (weights,)


def test_a_column_that_another_version_did_not_write_was_not_read() -> None:
    wire = vm_second(0, QUIET).to_wire()
    del wire["columns"]["pids"]
    (back,) = vm_seconds_of(wire)
    assert isinstance(back, VmSecond)
    assert back.column("pids").tolist() == [-1]


def test_malformed_wire_forms_are_refused() -> None:
    good = vm_second(0, QUIET, QUIET | {"cpu_ns": 1}).to_wire()
    changes: list[dict[str, object]] = [
        {"vms": 0},
        {"vms": 3},
        {"vms": 1 << 40},
        {"columns": []},
        {"columns": {"cpu_ns": [1, -2]}},
        {"columns": {"cpu_ns": [1, True]}},
        {"columns": {"cpu_ns": "no"}},
        {"columns": {"cpu_ns": True}},
        {"begin_ns": good["end_ns"]},
        {"end_ns": 1 << 60},
        {"window": -2},
    ]
    wires = [good | change for change in changes] + [{name: good[name] for name in good if name != one} for one in good]
    wire: object
    for wire in itertools.chain(wires, [None, [], {}, {"pss_bytes": 1, "after": True}, {"pss_bytes": [1]}]):
        with pytest.raises(ValueError):  # noqa: PT011 - the words differ
            vm_seconds_of(wire)
