"""A run over time: what is measured is shaded as far as it was measured, and no second is lost between two gaps."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from coordinator.kinds.catalog import judges
from coordinator.output.judged import Judged, read_judged
from coordinator.output.plot.picture import Picture
from loadgen.measure.cells import Cell
from tests.support import results
from tests.support.plots import axes_of, legend_of, picture_of, saved
from tests.support.recorded import write_record
from tests.support.snapshots import cell, snapshot

SHADE = "#eeeeee"


def run_of(directory: Path, vms: int, seconds: Mapping[int, dict[tuple[int, int], Cell]]) -> Judged[Any, Any]:
    served = [snapshot("engine 0", at, cells) for at, cells in seconds.items()]
    write_record(directory, results.header(vms), results.run_result(vms), served)
    return read_judged(directory, judges())


def shades(picture: Picture) -> list[tuple[float, float]]:
    from matplotlib.colors import to_hex

    upper, _ = axes_of(picture)
    own = [patch for patch in upper.patches if to_hex(patch.get_facecolor()) == SHADE]
    return [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in own]


def test_a_second_is_measured_when_most_of_its_operations_are(tmp_path: Path) -> None:
    edge = {(-1, 0): cell(ok=90), (0, 0): cell(ok=5)}
    run = run_of(tmp_path / "run", 1, {0: edge, 1: {(0, 0): cell(ok=95)}, 2: {(0, 0): cell(ok=95)}, 3: edge})
    assert shades(picture_of("series", run)) == [(1, 3)]


def test_a_second_between_two_gaps_has_a_marker(tmp_path: Path) -> None:
    busy = {(0, 0): cell(ok=5)}
    run = run_of(tmp_path / "run", 1, {0: busy, 2: busy, 4: busy, 5: busy})
    _, lower = axes_of(picture_of("series", run))
    (markers,) = [line for line in lower.lines if line.get_marker() != "None"]
    assert list(markers.get_xdata()) == [0.5, 2.5]
    (line,) = [line for line in lower.lines if line.get_marker() == "None"]
    assert np.isfinite(line.get_ydata()).tolist() == [True, False, True, False, True, True]


def test_a_run_of_one_second_is_seen(tmp_path: Path) -> None:
    for axes in axes_of(picture_of("series", run_of(tmp_path / "run", 1, {0: {(0, 0): cell(ok=5)}}))):
        assert [len(line.get_xdata()) for line in axes.lines if line.get_marker() != "None"] == [1]


def test_the_spread_of_many_vms_in_a_second_between_two_gaps_is_a_stroke(tmp_path: Path) -> None:
    busy = {(0, vm): cell(ok=5, response_ms=20 + vm) for vm in range(6)}
    _, lower = axes_of(picture_of("series", run_of(tmp_path / "run", 6, {0: busy, 2: busy, 3: busy})))
    strokes = [one for one in lower.collections if type(one).__name__ == "LineCollection"]
    assert [len(one.get_segments()) for one in strokes] == [1]


def test_the_csv_says_which_times_are_lower_bounds(tmp_path: Path) -> None:
    seconds = {0: {(0, 0): cell(ok=5)}, 1: {(0, 0): cell(ok=50, bad=50)}, 3: {(0, 0): cell(ok=5)}}
    picture = picture_of("series", run_of(tmp_path / "run", 1, seconds))
    rows = list(csv.DictReader(io.StringIO(saved(picture, tmp_path / "a.csv").decode())))
    assert [row["at_least"] for row in rows] == ["0", "1", "", "0"]


def test_a_vm_whose_name_begins_with_an_underscore_is_in_the_legend(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", 1, {0: {(0, 0): cell(ok=5)}, 1: {(0, 0): cell(ok=5)}})
    (target,) = run.header.targets
    header = dataclasses.replace(run.header, targets=(dataclasses.replace(target, name="_vm"),))
    upper, _ = axes_of(picture_of("series", dataclasses.replace(run, header=header)))
    assert [name.strip() for name in legend_of(upper)] == ["_vm", "measured"]
