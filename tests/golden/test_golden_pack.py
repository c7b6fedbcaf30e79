"""The report and the live view of `loadgen pack`."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from coordinator.output.terminal.pack_live import PackProgress, PackScreen, pack_news
from coordinator.output.terminal.pack_report import print_pack
from loadgen.measure.packing import Silence
from loadgen.model.pack import PackPlan
from loadgen.verdict.pack import judge_pack
from loadgen.verdict.pack_result import PackResult
from tests.support.judged import judged
from tests.support.packs import GIB, MIB, PLAN, header, packed, step, steps, sweep

Golden = Callable[[str, str], None]

RECORD = Path("runs/2026-02-03T04-05-06-pack")
RESERVED = PackPlan(reserve_memory_bytes=100 * MIB, reserve_disk_bytes=GIB)
ONLY_ADMITTED = "reservations are kept by admission only: this kernel's control groups have no memory.min"
NO_FORK = "vm17 did not start: apache exited with status 1: [Errno 11] Resource temporarily unavailable"

RESULTS: dict[str, tuple[PackPlan, PackResult]] = {
    "conforming": (PLAN, judge_pack(PLAN, packed())),
    "limit": (PLAN, judge_pack(PLAN, packed((*steps(16), step(16, 1, refused=NO_FORK))))),
    "reserved": (
        RESERVED,
        judge_pack(
            RESERVED,
            dataclasses.replace(packed((*steps(32), step(59, 27))), guarantee=ONLY_ADMITTED),
        ),
    ),
    "silent": (PackPlan(), judge_pack(PackPlan(), packed(swept=sweep(512, Silence(vm="vm0009", why="reset"))))),
    "invalid": (
        PLAN,
        judge_pack(PLAN, packed(swept=sweep(512, Silence(vm="vm0512", why="too many open files", ours=True)))),
    ),
    "interrupted": (PLAN, judge_pack(PLAN, packed(steps(64), ended=False), interrupted=True)),
}


@pytest.mark.parametrize("case", RESULTS)
def test_report(case: str, golden: Golden) -> None:
    plan, result = RESULTS[case]
    file = io.StringIO()
    print_pack(Console(file=file, width=80), judged(header(plan), result, path=RECORD))
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    assert all(cell_len(line) <= 80 for line in lines)
    golden(f"pack/{case}.txt", "".join(f"{line}\n" for line in lines))


def view(**changes: object) -> PackProgress:
    shown = PackProgress(
        doing="starting 256 VMs",
        vms=256,
        wanted=1024,
        pss_bytes=256 * 1300 * 1024,
        free_bytes=21 * GIB,
        kept_bytes=GIB,
        notices=(),
    )
    return dataclasses.replace(shown, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 5), (10, 2)])
def test_the_screen_fits(width: int, height: int) -> None:
    lines = PackScreen(view(notices=("no more VMs: " + "x" * 90,))).lines(width, height, ascii_only=False)
    assert len(lines) <= max(1, height - 1)
    assert all(line.cell_len <= width for line in lines)


def test_screen(golden: Golden) -> None:
    lines = PackScreen(view(notices=("no more VMs: 1024 VMs were asked for",))).lines(80, 24, ascii_only=True)
    golden("pack/screen_ascii.txt", "".join(f"{line.plain.rstrip()}\n" for line in lines))


def test_plain_lines_say_each_thing_once() -> None:
    assert [line.text for line in pack_news(view())] == ["VMs=256/1024 free=21.00 GiB starting 256 VMs"]
    assert [line.text for line in pack_news(view(wanted=0, free_bytes=-1, notices=("x",)))] == [
        "! x",
        "VMs=256 free=- starting 256 VMs",
    ]
