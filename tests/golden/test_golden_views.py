from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from coordinator.output.terminal import plain
from coordinator.output.terminal.runview import RunView
from coordinator.output.terminal.screen import Screen
from tests.support.views import fleet_view, run_view, starting_view

Golden = Callable[[str, str], None]

NOTICES = ("disk full: the record of the intervals ends at 0:31", "engine 1: a request was sent 12 ms late")


def drawn(view: RunView, width: int, height: int, *, ascii_only: bool = False) -> str:
    lines = [line.plain for line in Screen(view).lines(width, height, ascii_only=ascii_only)]
    assert len(lines) < height
    return "".join(f"{line.rstrip()}\n" for line in lines)


@pytest.mark.parametrize(
    ("name", "view", "width", "height", "ascii_only"),
    [
        ("live_16vms_80x24.txt", run_view(16), 80, 24, False),
        (
            "live_16vms_80x24_trouble.txt",
            dataclasses.replace(run_view(16, failing=(2, 9)), notices=NOTICES),
            80,
            24,
            False,
        ),
        ("live_16vms_80x24_ascii.txt", run_view(16, engines=8, failing=(15,)), 80, 24, True),
        ("live_64vms_80x24_page1.txt", run_view(64, elapsed_s=16.0), 80, 24, False),
        ("live_64vms_80x24_page2.txt", run_view(64, failing=(2, 40, 41), elapsed_s=20.0), 80, 24, False),
        ("live_512vms_80x24.txt", run_view(512, failing=(2, 440, *range(460, 470)), elapsed_s=20.0), 80, 24, False),
        ("live_16vms_120x40.txt", dataclasses.replace(run_view(16), notices=NOTICES), 120, 40, False),
        ("live_16vms_50x12.txt", run_view(16, failing=(1,)), 50, 12, False),
        ("live_3machines_80x24.txt", fleet_view(vms=8, lost=(1,)), 80, 24, False),
        ("live_3machines_80x24_ascii.txt", fleet_view(vms=16), 80, 24, True),
        ("live_12machines_80x24.txt", fleet_view(12, lost=(3, 7)), 80, 24, False),
        ("live_starting.txt", starting_view(), 80, 24, False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_live_screen(golden: Golden, name: str, view: RunView, width: int, height: int, ascii_only: bool) -> None:
    golden(name, drawn(view, width, height, ascii_only=ascii_only))


def test_the_plain_lines(golden: Golden) -> None:
    views = [
        starting_view(),
        run_view(16),
        run_view(16, failing=(2, 9)),
        run_view(16, engines=4),
        fleet_view(lost=(2,)),
    ]
    golden("plain_lines.txt", "".join(f"{plain.line(view)}\n" for view in views))
