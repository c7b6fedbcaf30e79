"""The exit codes of `main` where click and rich-click end the program themselves."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.cli import main
from coordinator.output.streams import blaming_stdout


@pytest.mark.parametrize("arguments", [[], ["fleet"], ["lab"]])
def test_a_group_without_a_command_shows_its_help_and_is_a_usage_error(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["loadgen", *arguments])
    assert main() == 2
    assert "Usage: loadgen" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_help_and_version_are_no_errors(
    option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["loadgen", option])
    assert main() == 0
    assert "loadgen" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["spec", "--help"], ["fleet"]])
def test_help_that_cannot_be_written_is_one_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", "import sys; from coordinator.cli import main; sys.exit(main())", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.stderr == "loadgen: the result cannot be printed: stdout: No space left on device\n"
    assert done.returncode == 2


@pytest.mark.parametrize("error", [OSError(errno.ENOENT, "no"), OSError(errno.ENOSPC, "full", "a file")])
def test_an_error_of_another_file_is_not_blamed_on_stdout(error: OSError) -> None:
    with pytest.raises(OSError, match=r"no|full") as raised, blaming_stdout():
        raise error
    assert raised.value is error
