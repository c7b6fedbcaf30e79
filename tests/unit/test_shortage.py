"""A shortage of memory is told from a bug."""

from __future__ import annotations

import errno

import pytest

import coordinator.cli as cli
from loadgen.model.shortage import is_short_of_memory


def chained(cause: Exception) -> Exception:
    error = RuntimeError("worker failed to start")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (MemoryError(), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (ImportError("x.so: failed to map segment from shared object"), True),
        (RuntimeError("can't start new thread"), True),
        (chained(MemoryError()), True),
        (ExceptionGroup("several", [ValueError("x"), MemoryError()]), True),
        (OSError(errno.ENOENT, "No such file or directory"), False),
        (ImportError("no module named x"), False),
        (ValueError("can't start new thread"), False),
        (chained(ValueError("x")), False),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_shortage_of_memory_has_many_forms(error: Exception, short: bool) -> None:
    assert is_short_of_memory(error) is short


def test_the_command_line_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(cli.app, "main", fail)
    assert cli.main() == 3
    line, hint = capsys.readouterr().err.splitlines()
    assert line == "loadgen: this machine has too little memory for loadgen: MemoryError"
    assert hint.startswith("hint: ")
