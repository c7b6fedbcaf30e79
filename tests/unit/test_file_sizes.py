"""Files stay small, so that each file has one purpose; and pytest finds each file of tests."""

from __future__ import annotations

from collections import Counter

from tests.support.packages import ROOT, tracked

SUFFIXES = {".c", ".h", ".pxd", ".py", ".pyi", ".pyx"}
MAX_LINES = 400


def test_no_source_or_test_file_is_too_long() -> None:
    lengths = {
        str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines())
        for path in tracked()
        if path.suffix in SUFFIXES
    }
    assert len(lengths) > 100
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


def test_no_two_files_of_tests_have_the_same_name() -> None:
    """pytest imports each by its name alone, and leaves out the second one."""
    names = Counter(path.name for path in tracked() if path.parts[0] == "tests" and path.name.startswith("test_"))
    assert len(names) > 100
    assert [name for name, times in names.items() if times > 1] == []
