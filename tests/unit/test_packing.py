"""The planner of `loadgen pack`: how many VMs come next, where it stops, and which limit it names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from loadgen.measure.packing import Floor, Limit, Step
from loadgen.model.pack import PackPlan
from loadgen.verdict.packing import MOST_AT_ONCE, Cause, Stop, next_vms
from tests.support.packs import GIB, MIB, limit, room, step, steps

ANY = PackPlan()


def pack(plan: PackPlan, start: Callable[[int, int], Step], most: int = 200) -> tuple[list[Step], Stop]:
    """Play the planner on a machine: `start(running, tried)` is what an attempt gives."""
    found = [start(0, 0)]
    for _ in range(most):
        tried = next_vms(plan, found)
        if isinstance(tried, Stop):
            return found, tried
        found.append(start(found[-1].vms, tried))
    raise AssertionError("the planner does not end")


def machine(fits: int, refused: str = "vm1 did not start: no", **more: Any) -> Callable[[int, int], Step]:
    """A machine onto which so many VMs fit, for a reason that nobody sees coming."""

    def start(running: int, tried: int) -> Step:
        if running + tried > fits:
            return step(running, tried, refused=refused, **more)
        return step(running + tried, tried, **more)

    return start


def refusal(said: str, *limits: Limit, before: tuple[Limit, ...] = ()) -> Stop:
    """The cause that is named when the VM after the fourth is refused with these words."""
    first = dataclasses.replace(step(0, 0), room=dataclasses.replace(room(), limits=before or limits))
    four = dataclasses.replace(step(4, 4), room=dataclasses.replace(room(4), limits=before or limits))
    last = dataclasses.replace(step(4, 1, refused=said), room=dataclasses.replace(room(4), limits=limits))
    found = next_vms(ANY, [first, four, last])
    assert isinstance(found, Stop)
    return found


def test_the_number_doubles_up_to_the_most_at_once_and_ends_at_the_count() -> None:
    done, stop = pack(PackPlan(count=1024), machine(5000))
    assert [one.vms for one in done] == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024]
    assert max(one.tried for one in done) == MOST_AT_ONCE
    assert stop == Stop(Cause.ASKED, "1024 VMs were asked for")


@pytest.mark.parametrize("fits", [1, 2, 3, 5, 100, 127, 128, 129, 300, 600, 700])
def test_the_last_vm_that_fits_is_found(fits: int) -> None:
    done, stop = pack(ANY, machine(fits))
    assert done[-1].vms == fits
    assert stop == Stop(Cause.REFUSED, "vm1 did not start: no")
    assert sum(bool(one.refused) for one in done) <= 10


def test_a_refused_single_vm_is_the_end_even_when_more_were_asked_for() -> None:
    done, stop = pack(PackPlan(count=9), machine(5))
    assert (done[-1].vms, stop.cause) == (5, Cause.REFUSED)


def test_the_floor_of_memory_ends_it_before_a_vm_goes_below() -> None:
    done, stop = pack(PackPlan(keep_memory_bytes=2 * GIB), machine(10**6, each_bytes=32 * MIB))
    assert (stop.cause, stop.why[:7]) == (Cause.MEMORY, "memory:")
    assert 2 * GIB <= done[-1].room.memory_bytes < 2 * GIB + 64 * MIB


def test_without_free_memory_no_vm_starts() -> None:
    done, stop = pack(PackPlan(keep_memory_bytes=23 * GIB), machine(10**6))
    assert (done[-1].vms, stop.cause) == (0, Cause.MEMORY)


def test_a_floor_that_is_reached_during_a_start_is_named() -> None:
    last = dataclasses.replace(step(4, 1, refused="the floor was reached"), floor=Floor.DISK)
    stop = next_vms(ANY, [step(0, 0), step(4, 4), last])
    assert isinstance(stop, Stop)
    assert (stop.cause, stop.why) == (
        Cause.DISK,
        "disk: another VM would leave less than the 1.0 GiB that is kept free",
    )


def test_reservations_admit_by_their_sum() -> None:
    plan = PackPlan(reserve_memory_bytes=1000 * MIB, reserve_disk_bytes=2 * GIB)
    done, stop = pack(plan, machine(10**6))
    assert (done[-1].vms, stop.cause) == (21, Cause.RESERVED)
    assert stop.why == "reserved memory: 21 x 1000M is all that fits into 22.0 GiB free less 1.0 GiB kept free"
    done, stop = pack(dataclasses.replace(plan, reserve_disk_bytes=8 * GIB), machine(10**6))
    assert (done[-1].vms, stop.why[:14]) == (7, "reserved disk:")


def test_overbooked_vms_are_not_admitted_by_reservation() -> None:
    done, _ = pack(PackPlan(count=64), machine(10**6))
    assert done[-1].vms == 64


def test_pid_max_ends_it_with_some_tasks_left_to_the_machine() -> None:
    done, stop = pack(ANY, machine(10**6, tasks=55))
    assert stop.cause is Cause.LIMIT
    assert stop.why.startswith("tasks: kernel.pid_max allows 32,768, and 3")
    assert 32768 - 512 - 2 * 55 < done[-1].room.limits[0].used <= 32768 - 512


def test_a_small_limit_keeps_an_eighth() -> None:
    def start(running: int, tried: int) -> Step:
        vms = running + tried
        own = dataclasses.replace(room(vms), limits=(limit("/x/pids.max", used=10 + 5 * vms, most=100),))
        return dataclasses.replace(step(vms, tried), room=own)

    done, stop = pack(ANY, start)
    assert done[-1].vms == 15  # 10 + 15 * 5 is 85 of 88
    assert stop.why == "tasks: /x/pids.max allows 100, and 85 are in use, of which 12 are kept free"


def test_the_sweep_needs_a_descriptor_for_each_vm() -> None:
    def start(running: int, tried: int) -> Step:
        own = limit("RLIMIT_NOFILE (ulimit -Hn)", "open files", used=20, most=64, needed=1)
        return dataclasses.replace(step(running + tried, tried), room=dataclasses.replace(room(), limits=(own,)))

    done, stop = pack(ANY, start)
    assert done[-1].vms == 64 - 8 - 20
    assert stop.why.startswith("open files: RLIMIT_NOFILE (ulimit -Hn) allows 64")


def test_ports_end_at_the_last_one() -> None:
    done, stop = pack(PackPlan(base_port=65516), machine(10**6))
    assert (done[-1].vms, stop.why) == (20, "ports: 65516 to 65535 are all in use")


def test_a_vm_that_ended_by_itself_ends_it() -> None:
    assert next_vms(ANY, steps(4), ("vm0002 ended by itself: apache was killed by SIGKILL",)) == Stop(
        Cause.DEATH, "vm0002 ended by itself: apache was killed by SIGKILL"
    )


def test_a_limit_whose_refusals_the_kernel_counts_is_named_whatever_the_words_say() -> None:
    stop = refusal(
        "vm05 does not serve /: connection refused",
        limit("/x/pids.max", used=60, most=100, hits=3),
        before=(limit("/x/pids.max", used=40, most=100, hits=0),),
    )
    assert stop.cause is Cause.LIMIT
    assert stop.why.startswith("tasks: /x/pids.max allows 100, and 60 are in use: the kernel refused more")


def test_the_words_of_a_fork_name_the_fullest_limit_on_tasks() -> None:
    said = "vm05 did not start: apache exited with status 1: [Errno 11] Resource temporarily unavailable"
    stop = refusal(said, limit(used=31000), limit("RLIMIT_NPROC (ulimit -u)", used=99, most=100), limit("x", used=9))
    assert stop == Stop(Cause.LIMIT, f"tasks: RLIMIT_NPROC (ulimit -u) allows 100, and 99 are in use ({said})")


def test_a_limit_that_is_far_from_used_up_is_not_blamed() -> None:
    stop = refusal("[Errno 11] Resource temporarily unavailable", limit(used=1000))
    assert "not one that loadgen can read" in stop.why
    assert "pid_max" not in stop.why


@pytest.mark.parametrize(
    ("said", "cause", "why"),
    [
        ("too many open files: the ports cannot be reserved", Cause.LIMIT, "open files: "),
        ("a free port on 127.0.0.1 cannot be reserved: Address already in use", Cause.LIMIT, "ports: "),
        ("[Errno 12] Cannot allocate memory", Cause.MEMORY, "memory: "),
        ("/tmp/x cannot be written: No space left on device", Cause.DISK, "disk: "),
        ("vm05 (127.0.0.1:8005) does not serve /a: no reply", Cause.SILENT, "vm05 (127.0.0.1:8005) does not"),
        ("anything else", Cause.REFUSED, "anything else"),
    ],
)
def test_the_words_of_an_error_give_the_cause(said: str, cause: Cause, why: str) -> None:
    stop = refusal(said)
    assert stop.cause is cause
    assert stop.why.startswith(why)
    assert said in stop.why
