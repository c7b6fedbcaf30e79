"""With --json, each failure is a document on stdout, too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from coordinator.cli import app, main
from coordinator.cli.commands import COMMANDS
from coordinator.record.schema.generate import FILE
from coordinator.starting import wants_json
from loadgen.model.errors import FleetError
from tests.support.cli import LOADGEN

FAILURES: dict[str, tuple[list[str], int]] = {
    "no URL": (["http"], 2),
    "a bad value": (["http", "http://h/", "-c", "0"], 2),
    "an unknown option": (["spec", "--bogus"], 2),
    "a missing option": (["proxy"], 2),
    "refused": (["http", "http://127.0.0.1:1/", "-d", "1s", "-c", "1"], 1),
    "no server": (["iperf", "127.0.0.1", "-p", "1", "-t", "1"], 1),
    "no record": (["show", "nothing"], 2),
    "nothing to resume": (["resume", "nothing"], 2),
    "no plan": (["forward", "--plan", "nothing"], 2),
    "no command": (["bogus"], 2),
    **{f"an option that {command} lacks": ([command, "--no-such-option"], 2) for command in COMMANDS},
}


def document_of(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> dict[str, object]:
    monkeypatch.setattr(sys, "argv", ["loadgen", *words])
    code = main()
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert isinstance(document, dict)
    jsonschema.Draft202012Validator(json.loads(FILE.read_text("utf-8"))).validate(document)
    assert document["exit_code"] == code
    assert f"loadgen: {document['error']}\n" in shown.err
    assert (f"hint: {document['hint']}\n" in shown.err) == bool(document["hint"])
    return document


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_a_document(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    words, code = FAILURES[name]
    assert document_of([*words, "--json"], monkeypatch, capsys)["exit_code"] == code


def test_without_json_stdout_stays_empty(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["loadgen", "http"])
    assert main() == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("error", "code"), [(RuntimeError("x"), 70), (KeyboardInterrupt(), 130), (FleetError("x"), 3)])
def test_bugs_and_interrupts_are_documents(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(app, "main", fail)
    assert document_of(["show", "x", "--json"], monkeypatch, capsys)["exit_code"] == code


def test_after_a_result_an_error_is_no_second_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        error = FleetError("x")
        error.after_result = True
        raise error

    monkeypatch.setattr(app, "main", fail)
    monkeypatch.setattr(sys, "argv", ["loadgen", "spec", "--json"])
    assert main() == 3
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("stdout", ["/dev/full", None])
def test_a_failure_is_said_also_when_stdout_cannot_be_written(stdout: str | None, tmp_path: Path) -> None:
    command = f"exec {LOADGEN} http --json {'>' + stdout if stdout else '>&-'}"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no URL is given" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "wants"),
    [
        ("http --json", True),
        ("iperf -J h", True),
        ("iperf -RJ h", True),
        ("show r --format json", True),
        ("show r --format=json", True),
        ("http -- --json", False),
        ("show r --format csv", False),
        ("http -J", False),
        ("iperf h --out J", False),
    ],
)
def test_when_a_document_is_wanted(words: str, wants: bool) -> None:
    assert wants_json(words.split()) is wants
