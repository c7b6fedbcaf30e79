"""Figures for papers: equal records give equal bytes, an INVALID run shows no score, and no text is cut off."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coordinator.kinds.catalog import judges
from coordinator.output.judged import Judged, read_judged
from coordinator.output.plot import style
from coordinator.output.plot.catalog import PLOTS
from coordinator.output.plot.marks import marks_of
from coordinator.output.plot.picture import Picture, Subject
from coordinator.output.plot.save import check_file
from coordinator.output.plot.subjects import choose
from coordinator.output.streams import OutputError
from loadgen.model.errors import PlanError
from loadgen.verdict.result import Verdict
from tests.support import results
from tests.support.plots import drawn, saved, texts_of
from tests.support.recorded import RECORDS, write_record
from tests.support.snapshots import cell, snapshot

SCORED = ("conforming", "throughput", "forward")
"""Figures whose bars are scores."""

CASES = [(case, kind) for case in RECORDS for kind, plot in PLOTS.items() if case.split()[0] in plot.records]


def subjects_of(case: str, directory: Path) -> tuple[Subject, ...]:
    RECORDS[case](directory)
    return (Subject("a run", read_judged(directory, judges())),)


def picture_of(kind: str, subjects: tuple[Subject, ...]) -> Picture | None:
    """The picture; None when the record has nothing to draw, and says so."""
    try:
        return PLOTS[kind].read(subjects)
    except OutputError:
        return None


def rows_of(picture: Picture, directory: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(saved(picture, directory / "rows.csv").decode())))


DRAWN = [(case, kind) for case, kind in CASES if case.endswith(("good", "INVALID"))]


@pytest.mark.parametrize(("case", "kind"), DRAWN)
def test_every_figure_of_every_record_is_drawn_the_same_twice_with_all_its_text_inside(
    case: str, kind: str, tmp_path: Path
) -> None:
    subjects = subjects_of(case, tmp_path / "run")
    first, again = picture_of(kind, subjects), picture_of(kind, subjects)
    if first is None or again is None:
        return
    marks = marks_of(subjects)
    svg = saved(first, tmp_path / "first.svg", marks=marks)
    assert svg == saved(again, tmp_path / "again.svg", marks=marks)
    assert bool(marks) is (not case.endswith("good"))
    assert not marks or " · ".join(marks) in texts_of(svg)
    assert list(overlapping(first)) == []


@pytest.mark.parametrize("case", [case for case, _ in CASES if case.endswith(("cut", "interrupted"))])
def test_a_run_without_its_end_is_marked(case: str, tmp_path: Path) -> None:
    assert set(marks_of(subjects_of(case, tmp_path / "run"))) & {"CUT", "INTERRUPTED"}


def overlapping(picture: Picture) -> Iterator[str]:
    """The texts that leave the figure, and the names on an axis that overlap their neighbours."""
    from matplotlib.text import Text

    figure, canvas = drawn(picture)
    width, height = canvas.get_width_height()
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        box = text.get_window_extent()
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
        if text.get_visible() and text.get_text() and text.get_figure() is not None and not inside:
            if text.axes is not None and not text.axes.get_visible():
                continue
            if text in [label for axes in figure.axes for label in hidden_labels(axes)]:
                continue
            yield text.get_text()
    for axes in figure.axes:
        labels = [label for label in axes.get_xticklabels() if label.get_text() and label.get_rotation() == 0]
        boxes = [label.get_window_extent() for label in labels if axes.xaxis.get_tick_params().get("labelbottom", True)]
        for one, other in itertools.pairwise(sorted(boxes, key=lambda box: box.x0)):
            if one.x1 > other.x0 + 0.5:
                yield f"names below the axis overlap: {[label.get_text() for label in labels]}"


def hidden_labels(axes: Any) -> Iterator[Any]:
    """Labels of ticks outside of the axis: matplotlib keeps them, and does not draw them."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low <= tick.get_loc() <= high:
                yield tick.label1
                yield tick.label2


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".png"])
def test_another_process_writes_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    RECORDS["spec-sweep good"](tmp_path / "run")
    written = []
    for seed in ("1", "2"):
        file = tmp_path / f"{seed}{suffix}"
        words = ["plot", str(tmp_path / "run"), "-o", str(file)]
        command = [sys.executable, "-c", "import sys; from coordinator.start import main; sys.exit(main())", *words]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed, "TZ": f"UTC{seed}"})
        written.append(file.read_bytes())
    assert written[0] == written[1]


def test_a_figure_has_embedded_fonts_and_no_date(tmp_path: Path) -> None:
    picture = picture_of("conforming", subjects_of("spec-sweep good", tmp_path / "run"))
    assert picture is not None
    pdf = saved(picture, tmp_path / "a.pdf")
    assert b"/FontFile2" in pdf  # TrueType
    assert b"/Type3" not in pdf
    assert b"CreationDate" not in pdf
    assert "conforming connections" in " ".join(texts_of(saved(picture, tmp_path / "a.svg")))
    paths = saved(picture, tmp_path / "b.svg", text=False)
    assert texts_of(paths) == []
    assert b"<dc:date>" not in paths
    assert b'width="252pt"' in paths  # 3.5 inches
    assert b'width="515.52pt"' in saved(picture, tmp_path / "c.svg", columns=2)


@pytest.mark.parametrize("kind", PLOTS)
def test_an_invalid_run_is_marked_and_has_no_score(kind: str, tmp_path: Path) -> None:
    found = 0
    for at, (case, _) in enumerate((case, of) for case, of in CASES if of == kind and case.endswith(" INVALID")):
        subjects = subjects_of(case, tmp_path / str(at))
        assert marks_of(subjects)[0] == "INVALID"
        picture = picture_of(kind, subjects)
        if picture is None:
            continue
        rows = rows_of(picture, tmp_path)
        if kind in SCORED:
            assert rows
            assert {row["value"] for row in rows} == {""}
            assert {row["note"] for row in rows} == {"INVALID"}
        if kind == "capacity":
            assert {row["reached"] for row in rows} == {""}
        if kind == "isolation":
            assert rows == []
        texts = texts_of(saved(picture, tmp_path / "a.svg", marks=("INVALID",)))
        assert not [
            text
            for text in texts
            if "answered at once" in text or (re.search(r"\d VMs?$", text) and kind == "capacity")
        ]
        found += 1
    assert found or kind in ("relative", "series")


def test_degraded_emulated_and_cut_runs_are_marked(tmp_path: Path) -> None:
    RECORDS["spec good"](tmp_path / "run")
    judged: Judged[Any, Any] = read_judged(tmp_path / "run", judges())

    def marks(**changes: Any) -> tuple[str, ...]:
        return marks_of([Subject("a", dataclasses.replace(judged, **changes))])

    assert marks() == ()
    assert marks(result=dataclasses.replace(judged.result, verdict=Verdict.DEGRADED)) == ("DEGRADED",)
    assert marks(cut="the run was cut") == ("CUT",)
    emulated = {**judged.document, "environment": {"server": {"emulated": True}}}
    assert marks(document=emulated, cut="the run was cut") == ("EMULATED", "CUT")


def test_a_number_of_vms_whose_run_is_invalid_has_a_word_in_place_of_a_bar(tmp_path: Path) -> None:
    RECORDS["spec-sweep INVALID"](tmp_path / "bad")
    RECORDS["spec-sweep good"](tmp_path / "good")
    kind, subjects = choose([tmp_path / "bad", tmp_path / "good"], judges(), None, ["Xen", "Linux"])
    picture = picture_of(kind, subjects)
    assert picture is not None
    rows = {(row["group"], row["series"]): (row["value"], row["note"]) for row in rows_of(picture, tmp_path)}
    assert rows == {("16 VMs", "Xen"): ("", "INVALID"), ("1 VM", "Linux"): ("20", ""), ("4 VMs", "Linux"): ("80", "")}
    assert "INVALID" in texts_of(saved(picture, tmp_path / "a.svg"))
    assert marks_of(subjects) == ("INVALID",)


def test_table_3_is_written_as_latex_and_as_csv(tmp_path: Path) -> None:
    RECORDS["iperf good"](tmp_path / "run")
    kind, subjects = choose([tmp_path / "run"] * 2, judges(), None, ["Linux", "Xen_2 & co"])
    assert kind == "throughput"
    picture = picture_of(kind, subjects)
    assert picture is not None
    lines = saved(picture, tmp_path / "a.tex").decode().splitlines()
    assert lines[1] == r"\begin{tabular}{lrrrr}"
    assert lines[3] == r"window & Linux receive & Linux send & Xen\_2 \& co receive & Xen\_2 \& co send \\"
    assert lines[5] == r"16K & 505 & 525 & 505 & 525 \\"
    assert lines[-1] == r"\end{tabular}"
    (row,) = [row for row in rows_of(picture, tmp_path) if row["group"] == "64K" and row["series"] == "Linux receive"]
    assert float(row["low"]) <= float(row["value"]) <= float(row["high"])
    marked = saved(picture, tmp_path / "b.tex", marks=("INVALID",)).decode()
    assert r"\multicolumn{5}{c}{\textbf{INVALID}} \\" in marked


def test_a_figure_that_is_no_table_is_not_written_as_latex(tmp_path: Path) -> None:
    picture = picture_of("footprint", subjects_of("pack good", tmp_path / "run"))
    assert picture is not None
    with pytest.raises(OutputError, match="this figure is no table"):
        saved(picture, tmp_path / "a.tex")


def test_a_record_without_the_figure_says_which_it_has(tmp_path: Path) -> None:
    RECORDS["spec good"](tmp_path / "run")
    with pytest.raises(OutputError, match="which has no figure footprint: it has conforming, latency, series"):
        choose([tmp_path / "run"], judges(), "footprint", [])
    RECORDS["relative-round good"](tmp_path / "round")
    with pytest.raises(OutputError, match="relative-round, of which there is no figure"):
        choose([tmp_path / "round"], judges(), None, [])


def test_the_experiments_of_a_paper_stand_beside_each_other(tmp_path: Path) -> None:
    RECORDS["paper good"](tmp_path / "run")
    steps = [step for step in read_judged(tmp_path / "run", judges()).result.steps if step.record]
    for step in steps[:2]:
        RECORDS["spec-sweep good"](tmp_path / "run" / step.record)
    _, subjects = choose([tmp_path / "run"], judges(), "conforming", [])
    assert [subject.name for subject in subjects] == [step.experiment.value for step in steps[:2]]


def test_numbers_of_runs_and_labels_must_fit(tmp_path: Path) -> None:
    RECORDS["spec good"](tmp_path / "run")
    paths = [tmp_path / "run"] * 2
    with pytest.raises(PlanError, match="1 --label for 2 runs"):
        choose(paths, judges(), None, ["one"])
    with pytest.raises(PlanError, match="--kind series shows one run, but 2 are given"):
        choose(paths, judges(), "series", [])
    assert [subject.name for subject in choose(paths, judges(), None, [])[1]] == ["run (1)", "run (2)"]


def test_the_latency_curve_is_that_of_the_report_with_open_upper_ends(tmp_path: Path) -> None:
    served = [snapshot("engine 0", at, {(0, 0): cell(ok=90, bad=10, response_ms=20 + at)}) for at in range(5)]
    write_record(tmp_path / "run", results.header(1), results.run_result(1), served)
    picture = picture_of("latency", (Subject("a", read_judged(tmp_path / "run", judges())),))
    assert picture is not None
    rows = rows_of(picture, tmp_path)
    levels = [float(row["percentile"]) for row in rows]
    assert levels == sorted(levels)
    assert {row["high_ms"] for row in rows if float(row["percentile"]) < 85} - {""}
    assert {row["high_ms"] for row in rows if float(row["percentile"]) > 90.5} == {""}  # a tenth failed: no upper bound
    assert float(rows[-1]["low_ms"]) == pytest.approx(24, rel=0.002)


def test_a_thousand_vms_are_a_spread_and_not_a_thousand_lines(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    cells = [{(0, vm): cell(ok=int(random.poisson(6))) for vm in range(1024)} for _ in range(4)]
    served = [snapshot("engine 0", at, one) for at, one in enumerate(cells)]
    write_record(tmp_path / "run", results.header(1024), results.run_result(1024), served)
    picture = picture_of("series", (Subject("a", read_judged(tmp_path / "run", judges())),))
    assert picture is not None
    svg = saved(picture, tmp_path / "a.svg")
    assert {"median VM", "90 % of the VMs", "all VMs"} <= set(texts_of(svg))
    assert len(svg) < 200_000
    assert len(rows_of(picture, tmp_path)) == 4 * 1024


def test_fills_beside_each_other_differ_without_colour() -> None:
    greys = [luminance(fill) for fill in style.FILLS]
    assert min(abs(one - other) for one, other in itertools.pairwise(greys)) >= 0.15
    assert len(set(zip(style.FILLS, style.HATCHES, strict=True))) == len(style.FILLS)
    assert len(set(map(str, style.LINES))) == len(style.LINES) == len(style.INKS) == len(style.MARKERS)


def luminance(colour: str) -> float:
    """The lightness in a print without colour, 0..1 (Rec. 709)."""
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_without_matplotlib_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(PlanError, match=r"^figures need matplotlib.*: pip install matplotlib$") as caught:
        check_file(tmp_path / "a.pdf")
    assert caught.value.exit_code == 2
    check_file(tmp_path / "a.csv")
    check_file(tmp_path / "a.tex")


def test_the_name_of_the_file_says_the_format(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="is the name of no figure"):
        check_file(tmp_path / "a.jpeg")
    with pytest.raises(PlanError, match="there is no directory"):
        check_file(tmp_path / "missing" / "a.svg")
