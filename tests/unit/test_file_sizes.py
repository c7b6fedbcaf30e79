"""Files stay small, so that each file has one purpose."""

from __future__ import annotations

from tests.support.packages import ROOT, tracked

SUFFIXES = {".c", ".h", ".py", ".pyi", ".pyx"}
MAX_LINES = 400


def test_no_source_or_test_file_is_too_long() -> None:
    lengths = {
        str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines())
        for path in tracked()
        if path.suffix in SUFFIXES
    }
    assert len(lengths) > 100
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}
