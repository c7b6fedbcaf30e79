"""Draws the pictures of the documents from a recorded run: `python tools/pictures.py`.

The record is tests/data/records/picture.tar.xz.  Its live view and its report are drawn by the classes that draw them
in a terminal, so a change of these classes changes the pictures.  With `--record DIRECTORY`, that record takes its
place first.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console

from coordinator.kinds.catalog import judges
from coordinator.output.judged import read_judged
from coordinator.output.terminal.frame import Frame
from coordinator.output.terminal.screen import Screen
from coordinator.output.text import REPORTS
from coordinator.record.kinds import KIND_SPEC
from coordinator.record.reader import load
from tools.live_picture import HEIGHT, svg_of, view_of

ROOT: Final = Path(__file__).parents[1]
ARCHIVE: Final = ROOT / "tests" / "data" / "records" / "picture.tar.xz"
FOLDER: Final = ROOT / "docs" / "images"


@contextmanager
def recorded(archive: Path = ARCHIVE) -> Iterator[Path]:
    """The record in the archive: a directory that is there meanwhile."""
    with tempfile.TemporaryDirectory() as directory, tarfile.open(archive) as packed:
        packed.extractall(directory, filter="data")
        yield next(Path(directory).iterdir())


def pictures(path: Path) -> Mapping[str, str]:
    """The SVG documents by the names of their files, of the `loadgen spec` run whose record is at `path`."""
    record = load(path, KIND_SPEC)
    judged = read_judged(path, judges())
    shown = dataclasses.replace(judged, path=Path("runs") / path.name)  # as if it were where runs write their records
    words = list(record.header.environment.command_line[1:])
    if "--out" in words:  # where the record was written says nothing about the run
        del words[words.index("--out") : words.index("--out") + 2]
    view = Frame(Screen(view_of(record.header, list(record.measured))))

    def report(console: Console) -> None:
        REPORTS[KIND_SPEC](console, shown)

    return {
        "live.svg": svg_of(lambda console: console.print(view), shlex.join(["loadgen", *words]), "live", HEIGHT),
        "report.svg": svg_of(report, f"loadgen show {shown.path}", "report"),
    }


def main() -> None:
    """Read the arguments, and write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", type=Path, help="the record of a loadgen spec run to draw from now on")
    asked = parser.parse_args()
    if asked.record is not None:
        with tarfile.open(ARCHIVE, "w:xz") as archive:
            archive.add(asked.record, arcname=asked.record.name)
    with recorded() as path:
        for name, svg in pictures(path).items():
            (FOLDER / name).write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
