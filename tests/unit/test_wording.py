"""Messages say what is so."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pytest

from coordinator.kinds.catalog import judges
from coordinator.output.catalog import write
from coordinator.output.judged import RUNNING, read_judged
from coordinator.output.terminal.http_live import http_news
from coordinator.record.document import unfinished
from coordinator.record.writer import RecordWriter
from deploy.hosts.inventory import load as load_hosts
from deploy.targets import load as load_targets
from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.outcome import Outcome
from loadgen.model.target import Target
from loadgen.model.toml import parse_toml
from tests.golden.test_golden_http import view
from tests.support import https
from tests.support.printed_plans import plan_data, refusal
from workloads.http.requests import parse_requests

BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize("objective", ["p99<50ms", "mean<5ms", "max<1s"])
def test_a_time_that_nobody_measured_is_not_zero(objective: str) -> None:
    plan = dataclasses.replace(https.PLAN, slos=(objective,))
    outcomes = dict.fromkeys(range(10_000), Outcome.REFUSED)
    found = https.result(plan, given=https.snapshots(plan, outcomes=outcomes))
    name = objective.partition("<")[0]
    assert f"Objective missed: {name} is not known, because no request succeeded." in found.reasons
    assert not any(" 0 ms" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    "words",
    [
        ("http", "http://h/", "-c", "0"),
        ("http", "http://h/", "-c", "0", "--engines", "4"),
        ("http", "http://h/", "-c", "-1", "--rate", "5/s"),
        ("spec", "--connections", "0"),
    ],
)
def test_no_connections_is_said_of_the_connections(words: tuple[str, ...]) -> None:
    assert "connections must be at least 1" in refusal(*words)


@pytest.mark.parametrize(
    ("phase", "interval", "shown"), [("finished", 1, False), ("resetting", -1, False), ("measuring", 1, True)]
)
def test_a_line_shows_rates_only_of_a_second_that_was_measured(phase: str, interval: int, shown: bool) -> None:
    known = view(https.PLAN)
    known = dataclasses.replace(known, interval=interval, position=dataclasses.replace(known.position, phase=phase))
    [line] = http_news(known)
    assert ("req/s=" in line.text) is shown
    assert ("p50_ms=" in line.text) is shown
    assert "errors=" in line.text


def test_a_running_run_is_not_called_cut(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "run", unfinished(https.header())) as writer:
        writer.append(https.snapshots())
        found = read_judged(tmp_path / "run", judges())
        again = read_judged(tmp_path / "run", judges())
        shown = io.StringIO()
        write(found, "text", shown)
    assert found.cut == again.cut == RUNNING
    assert "RUNNING" in shown.getvalue()
    assert "CUT" not in shown.getvalue()
    assert "cut off" in read_judged(tmp_path / "run", judges()).cut


TARGETS = b'[[target]]\nname = "a"\nhost = "192.0.2.1"\nport = 80\n'


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "file.toml"
    file.write_bytes(BOM + TARGETS)
    assert load_targets(file)[0].host == "192.0.2.1"
    file.write_bytes(BOM + b'[[host]]\nname = "c1"\n')
    assert load_hosts(file)[0].name == "c1"
    assert parse_requests("\ufeff[[request]]\nurl = 'http://h/'\n")[0].url == "http://h/"
    file.write_bytes(BOM + b"connections = 3\n[[requests]]\nurl = 'http://h/'\n")
    assert plan_data("http", "--plan", file)["connections"] == 3


@pytest.mark.parametrize(
    "content", [b"\xff\xfea\x00", b"a = " + b"[" * 5000, b"a = " + b"9" * 5000, b"", b"\x00", b"a = '\xe9'", b"a"]
)
def test_a_file_that_is_no_toml_is_one_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "file.toml"
    file.write_bytes(content)
    for words in (
        ("http", "--requests", file),
        ("http", "--plan", file),
        ("spec", "--plan", file, "--vms", "0"),
        ("spec", "--targets", file),
        ("spec", "--hosts", file),
        ("iperf", "--plan", file),
        ("forward", "--plan", file, "--flows", "0"),
    ):
        assert refusal(str(words[0]), *words[1:])  # a traceback is not a refusal


def test_nesting_without_end_is_an_error_of_the_text() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_toml("a = " + "[" * 50_000)


@pytest.mark.parametrize("host", ["http://192.0.2.1", "192.0.2.1/", "[::1]", "web1:80", "ann@h", "a b", "h\n", "h?x"])
def test_a_host_is_no_url(host: str) -> None:
    with pytest.raises(PlanError, match="is not the name or the address of a machine") as raised:
        Target(name="a", host=host, port=80)
    assert "\n" not in raised.value.message
    assert "the port is a field of its own" in raised.value.hint


@pytest.mark.parametrize("host", ["web1.example", "192.0.2.1", "2001:db8::1", "fe80::1%eth0", "::ffff:192.0.2.1"])
def test_hosts(host: str) -> None:
    assert Target(name="a", host=host, port=80).host == host


def test_a_plan_of_urls_has_targets_with_hosts() -> None:
    plan = HttpPlan(requests=https.PLAN.requests)
    assert [target.host for target in plan.targets] == ["192.0.2.1", "shop.example"]
