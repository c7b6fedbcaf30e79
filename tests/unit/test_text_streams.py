"""Results reach a stream of any encoding: what the encoding lacks is written in ASCII."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from coordinator.kinds.catalog import judges
from coordinator.output.catalog import FORMATS, print_result, write
from coordinator.output.judged import read_judged
from coordinator.output.streams import READABLE, escaped, write_document
from coordinator.output.terminal.live import LiveView
from coordinator.output.terminal.network_live import NetworkScreen, network_news
from coordinator.output.terminal.plain import PlainView
from coordinator.output.terminal.progress import Progress
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.units import NS_PER_S
from tests.support import https
from tests.support.cli import LOADGEN
from tests.support.networks import progress
from tests.support.recorded import RECORDS, write_record

ENCODINGS = ("ascii", "latin-1", "cp1252", "koi8-r", "utf-8")
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LOCALES: dict[str, dict[str, str]] = {
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "strict UTF-8": {"PYTHONIOENCODING": "utf-8:strict"},
    "POSIX": {"LC_ALL": "POSIX"},
    "C without UTF-8": C_LOCALE,
}
ODD_URL = "http://127.0.0.1:1/ж/😀?é"
ODD_PLAN = HttpPlan(
    requests=(HttpRequest(url=ODD_URL), HttpRequest(url="http://127.0.0.1:1/")),
    connections=4,
    duration_ns=2 * NS_PER_S,
)


def text_stream(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=READABLE)


def written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode(stream.encoding)


def in_utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(st.dictionaries(st.text(), st.text(st.characters(exclude_categories=[]))))
def test_a_document_is_json_in_any_encoding(encoding: str, document: dict[str, str]) -> None:
    stream = text_stream(encoding)
    good = {in_utf8(key): in_utf8(one) for key, one in document.items()}
    write_document(document, stream)
    assert json.loads(written(stream)) == good


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\\')))
def test_escaped_toml_reads_back(encoding: str, text: str) -> None:
    stream = text_stream(encoding)
    stream.write(escaped(f'a = "{text}"', stream))
    assert tomllib.loads(written(stream)) == {"a": text}


def test_what_an_encoding_lacks_is_shown_in_ascii() -> None:
    stream = text_stream("ascii")
    stream.write("· p99 ≥ 5 µs … ж 😀 \udcff")
    assert written(stream) == "- p99 >= 5 us ... \\u0436 \\U0001f600 \\xff"


@pytest.mark.parametrize("form", sorted(set(FORMATS) - {"disturbance", "tcp", "vms"}))  # these records have none
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_every_format_of_a_run_with_any_name_fits_any_stream(form: str, encoding: str, tmp_path: Path) -> None:
    write_record(tmp_path / "run", https.header(ODD_PLAN), https.result(ODD_PLAN), https.snapshots(ODD_PLAN))
    stream = text_stream(encoding)
    write(read_judged(tmp_path / "run", judges()), form, stream)
    assert written(stream)


@pytest.mark.parametrize("name", RECORDS)
def test_every_report_fits_an_ascii_stream(name: str, tmp_path: Path) -> None:
    RECORDS[name](tmp_path / "run")
    stream = text_stream("ascii")
    write(read_judged(tmp_path / "run", judges()), "text", stream)
    assert "Record: " in written(stream)


def test_the_live_view_fits_an_ascii_terminal() -> None:
    stream = text_stream("ascii")
    rows = Console(file=stream, force_terminal=True, width=80, height=24)
    live: LiveView[Progress] = LiveView(rows, NetworkScreen, PlainView(rows, network_news))
    with live as view:
        view.update(dataclasses.replace(progress(), title="ж · 5 µs"))
    assert "\\u0436 - 5 us" in written(stream)


@pytest.mark.parametrize("asked", ["FORCE_COLOR", "TTY_COMPATIBLE"])
@pytest.mark.parametrize("form", ["text", "markdown"])
def test_a_report_that_is_not_printed_has_no_colours(
    asked: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(asked, "1")
    monkeypatch.setenv("TERM", "xterm")
    RECORDS["http good"](tmp_path / "run")
    judged = read_judged(tmp_path / "run", judges())
    page = io.StringIO()
    write(judged, form, page)
    assert "\x1b" not in page.getvalue()
    printed = io.StringIO()
    monkeypatch.setattr(sys, "stdout", printed)
    print_result(judged, form)
    assert ("\x1b" in printed.getvalue()) == (form == "text")  # who prints it asked for colours


def run(*arguments: str | bytes, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [LOADGEN, *arguments],
        cwd=cwd,
        env={**{key: one for key, one in os.environ.items() if not key.startswith(("LC_", "LANG"))}, **environment},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.mark.parametrize("locale", LOCALES)
def test_a_plan_is_printed_in_any_locale(locale: str, tmp_path: Path) -> None:
    done = run("http", ODD_URL, "-H", "X-Name: ж", "--print-plan", cwd=tmp_path, **LOCALES[locale])
    assert (done.returncode, done.stderr) == (0, b"")
    request = tomllib.loads(done.stdout.decode("latin-1" if locale == "latin-1" else "utf-8"))["requests"][0]
    assert (request["url"], request["headers"]) == (ODD_URL, ["X-Name: ж"])


@pytest.mark.parametrize("locale", LOCALES)
def test_an_error_is_said_in_any_locale(locale: str, tmp_path: Path) -> None:
    done = run("http", "http://ж:0/", "--json", cwd=tmp_path, **LOCALES[locale])
    assert done.returncode == 2
    assert b"the port must be 1 to 65535" in done.stderr
    assert b"Traceback" not in done.stderr
    document = json.loads(done.stdout.decode("latin-1" if locale == "latin-1" else "utf-8"))
    assert "http://ж:0/" in document["error"]


@pytest.mark.parametrize("locale", LOCALES)
def test_a_record_is_shown_in_any_locale(locale: str, tmp_path: Path) -> None:
    write_record(tmp_path / "run", https.header(ODD_PLAN), https.result(ODD_PLAN), https.snapshots(ODD_PLAN))
    done = run("show", "run", cwd=tmp_path, **LOCALES[locale])
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Verdict: VALID" in done.stdout


def test_bytes_of_a_url_are_sent_as_they_are_given(tmp_path: Path) -> None:
    done = run("http", b"http://192.0.2.1/\xff?\xd0", "--print-plan", cwd=tmp_path)
    assert tomllib.loads(done.stdout.decode())["requests"][0]["url"] == "http://192.0.2.1/%FF?%D0"


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((b"http", b"http://h/", b"-H", b"X: \xff"), b"'-H' / '--header'"),
        ((b"http", b"http://h/", b"--slo", b"\xff<1ms"), b"'--slo'"),
        ((b"http", b"http://h/", b"--hosts", b"\xff"), b"'--hosts'"),
        ((b"iperf", b"\xff"), b"HOST"),
        ((b"proxy", b"--listen", b":1", b"--connect", b"\xff:1"), b"'--connect'"),
        ((b"spec", b"--vms", b"\xff"), b"'--vms'"),
        ((b"worker", b"--join", b"\xff:80"), b"'--join'"),
    ],
)
def test_an_argument_that_is_not_text_is_named(arguments: tuple[bytes, ...], names: bytes, tmp_path: Path) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") <= 2
    assert names in done.stderr
    assert b"is not valid UTF-8" in done.stderr


def test_a_plan_whose_names_are_no_text_cannot_be_printed(tmp_path: Path) -> None:
    done = run(b"spec", b"--targets", b"\xff.toml", b"--print-plan", cwd=tmp_path)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
