"""The judge of `loadgen pack`, and its record."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest

from coordinator.kinds.catalog import judges
from coordinator.output.catalog import write
from coordinator.output.judged import read_judged
from coordinator.record.document import finished, result_of
from loadgen.measure.packing import UNKNOWN, Silence, Use
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.pack import PackPlan, parse_reservation
from loadgen.verdict.pack import judge_pack
from loadgen.verdict.packing import Cause
from loadgen.verdict.result import Verdict
from tests.support.judged import END
from tests.support.packs import GIB, KIB, MIB, PLAN, header, packed, step, steps, sweep
from tests.support.recorded import RECORDS


def test_all_that_were_asked_for_and_all_answered() -> None:
    result = judge_pack(PLAN, packed())
    assert (result.verdict, result.packed, result.started) == (Verdict.CONFORMING, 512, 512)
    assert (result.reasons, result.stop.cause) == (("512 of 512 VMs answered in one sweep",), Cause.ASKED)
    assert result.starts_per_s == pytest.approx(512 / result.start_s)


def test_the_curve_has_the_growth_per_vm_without_the_supervisors() -> None:
    rows = judge_pack(PLAN, packed()).curve
    assert [row.vms for row in rows] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    last = rows[-1]
    assert last.pss_bytes == 1300 * KIB
    assert last.group_bytes == 1700 * KIB
    assert last.available_bytes == (512 * 2 * MIB - 11 * MIB) / 512
    assert last.kernel_bytes == (150 + 288 + 140) * KIB
    assert (last.tasks, last.disk_bytes) == (18, 28 * KIB)


def test_what_cannot_be_seen_is_unknown_and_not_zero() -> None:
    seen = [dataclasses.replace(one, use=Use()) for one in steps(4)]
    row = judge_pack(PackPlan(count=4), packed(tuple(seen))).curve[-1]
    assert (row.pss_bytes, row.group_bytes, row.kernel_bytes, row.tasks) == (UNKNOWN,) * 4
    assert row.available_bytes == 2 * MIB


def test_fewer_than_were_asked_for_do_not_conform_and_the_limit_is_named() -> None:
    stopped = (*steps(16), step(16, 1, refused="vm17 did not start: no"))
    result = judge_pack(PLAN, packed(stopped))
    assert (result.verdict, result.packed) == (Verdict.NOT_CONFORMING, 16)
    assert result.reasons == ("16 of 512 VMs were started: vm17 did not start: no",)


def test_without_a_number_the_end_of_the_machine_is_a_valid_answer() -> None:
    stopped = (*steps(16), step(16, 1, refused="vm17 did not start: no"))
    result = judge_pack(PackPlan(), packed(stopped))
    assert (result.verdict, result.packed) == (Verdict.CONFORMING, 16)


def test_a_vm_that_is_silent_in_the_sweep_does_not_conform() -> None:
    silent = [Silence(vm=f"vm000{n}", why="connection refused") for n in range(1, 6)]
    result = judge_pack(PackPlan(), packed(swept=sweep(512, *silent)))
    assert (result.verdict, result.packed) == (Verdict.NOT_CONFORMING, 507)
    assert result.reasons[0].startswith("507 of 512 VMs answered in the final sweep; vm0001: connection refused; ")
    assert result.reasons[0].endswith("(and 2 more)")


def test_a_sweep_that_loadgen_could_not_make_is_invalid_and_has_no_number() -> None:
    result = judge_pack(PLAN, packed(swept=sweep(512, Silence(vm="vm0001", why="too many open files", ours=True))))
    assert (result.verdict, result.packed) == (Verdict.INVALID, UNKNOWN)
    assert result.reasons == ("loadgen could not ask 1 VM: too many open files",)


def test_an_interrupted_packing_has_no_number() -> None:
    result = judge_pack(PLAN, packed(steps(64), ended=False), interrupted=True)
    assert (result.verdict, result.packed, result.started) == (Verdict.INTERRUPTED, UNKNOWN, 64)
    assert result.stop.cause is Cause.INTERRUPTED


def test_a_death_does_not_conform_even_without_a_number() -> None:
    result = judge_pack(PackPlan(), packed(deaths=("vm0003 ended by itself: it was killed by SIGKILL",)))
    assert (result.verdict, result.stop.cause) == (Verdict.NOT_CONFORMING, Cause.DEATH)


@pytest.mark.parametrize("ended", [True, False])
def test_the_document_gives_the_result_back(ended: bool) -> None:
    result = judge_pack(PLAN, packed(ended=ended), interrupted=not ended)
    assert result_of(finished(header(), result, finished_at=END)) == result


def test_a_killed_run_is_judged_from_its_steps(tmp_path: Path) -> None:
    RECORDS["pack cut"](tmp_path / "run")
    judged: Any = read_judged(tmp_path / "run", judges())
    assert (judged.result.verdict, judged.result.started) == (Verdict.INTERRUPTED, 512)
    assert len(judged.result.curve) == 10
    assert judged.result.server == "Apache/2.4.57"


def test_csv_has_the_curve(tmp_path: Path) -> None:
    RECORDS["pack good"](tmp_path / "run")
    stream = io.StringIO()
    write(read_judged(tmp_path / "run", judges()), "csv", stream)
    rows = list(csv.DictReader(stream.getvalue().splitlines()))
    assert [row["vms"] for row in rows] == ["1", "2", "4", "8", "16", "32", "64", "128", "256", "512"]
    assert (rows[-1]["tasks_per_vm"], rows[-1]["pss_bytes_per_vm"]) == ("18.00", str(1300 * KIB) + ".00")


@pytest.mark.parametrize(
    ("text", "found"), [("100M:1G", (100 * MIB, GIB)), ("100M", (100 * MIB, 0)), ("1.5G:512M", (1536 * MIB, 512 * MIB))]
)
def test_reservations_are_read(text: str, found: tuple[int, int]) -> None:
    assert parse_reservation(text) == found


@pytest.mark.parametrize("text", ["", ":", "100M:", ":1G", "0:1G", "100M:0", "100M:1G:2", "many"])
def test_other_reservations_are_refused(text: str) -> None:
    with pytest.raises(PlanError):
        parse_reservation(text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": -1},
        {"connections": 0},
        {"reserve_memory_bytes": -1},
        {"keep_memory_bytes": 0},
        {"keep_disk_bytes": MIB},
        {"answer_ns": 0},
        {"vm_address": "vm.example"},
        {"vm_address": "198.18.0.1/15"},
        {"vm_address": "198.18.0.0/24"},
        {"base_port": 70000},
        {"base_port": 65000, "count": 1000},
    ],
)
def test_a_plan_that_cannot_be_played_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(PlanError):
        PackPlan(**wrong)


def test_each_step_gets_a_part_of_a_network_until_there_are_no_more() -> None:
    plan = PackPlan(vm_address="198.18.0.0/22", base_port=80, count=9999)
    assert [plan.part(number) for number in (0, 1)] == ["198.18.0.0/23", "198.18.2.0/23"]
    with pytest.raises(TargetError, match=r"addresses: the network 198\.18\.0\.0/22 has only 2 parts of 512"):
        plan.part(2)
    assert PackPlan(vm_address="fd00::/64").part(3) == "fd00::600/119"
    assert PackPlan().part(7) == "127.0.0.1"


def test_a_plan_reads_back() -> None:
    plan = PackPlan(count=7, reserve_memory_bytes=100 * MIB, base_port=9000)
    assert PackPlan.from_dict(plan.to_dict()) == plan
