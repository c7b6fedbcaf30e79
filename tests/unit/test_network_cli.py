from __future__ import annotations

import dataclasses
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from coordinator.cli import app
from coordinator.cli.options import parse_windows
from coordinator.experiment.performance import Session
from coordinator.kinds.iperf.served import counters_line
from coordinator.kinds.iperf.served import test_line as line_of
from loadgen.model.errors import LoadgenError, PlanError
from loadgen.model.probe import Direction, IperfPlan, Kind, Transport
from loadgen.model.units import NS_PER_S
from loadgen.probe.api import ServedTest, ServerCounters

HOST = "192.0.2.1"
DEFAULT = IperfPlan(host=HOST)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[IperfPlan, Session]]:
    """Collects the runs instead of running them."""
    found: list[tuple[IperfPlan, Session]] = []

    def run(session: Session) -> int:
        found.append((session.experiment.shown, session))
        return 0

    monkeypatch.setattr("coordinator.experiment.session.run_session", run)
    return found


def invoke(*arguments: str) -> int:
    code = CliRunner().invoke(app, ["iperf", *arguments], standalone_mode=False, catch_exceptions=False).return_value
    assert isinstance(code, int)
    return code


@pytest.mark.parametrize(
    ("arguments", "plan"),
    [
        ([], DEFAULT),
        (
            ["-p", "6000", "-w", "64K,auto", "-P", "4", "-t", "3", "-O", "1s", "--repeats", "1"],
            dataclasses.replace(
                DEFAULT,
                port=6000,
                windows_bytes=(65536, 0),
                parallel=4,
                duration_ns=3 * NS_PER_S,
                omit_ns=NS_PER_S,
                repeats=1,
            ),
        ),
        (["--send"], dataclasses.replace(DEFAULT, directions=(Direction.SEND,))),
        (["-R"], dataclasses.replace(DEFAULT, directions=(Direction.RECEIVE,))),
        (
            ["--bidir", "--send", "--receive"],
            dataclasses.replace(DEFAULT, directions=(Direction.RECEIVE, Direction.SEND, Direction.BIDIR)),
        ),
        (
            ["-n", "1M", "-l", "128K", "-b", "10M", "-C", "reno", "--at-least", "900M"],
            dataclasses.replace(
                DEFAULT,
                limit_bytes=1 << 20,
                block_bytes=128 << 10,
                rate_bps=10_000_000,
                congestion="reno",
                at_least_bps=900_000_000,
            ),
        ),
        (["-u"], dataclasses.replace(DEFAULT, transport=Transport.UDP, rate_bps=1_000_000, windows_bytes=(0,))),
        (
            ["-u", "-w", "256K", "-b", "5M"],
            dataclasses.replace(DEFAULT, transport=Transport.UDP, rate_bps=5_000_000, windows_bytes=(256 << 10,)),
        ),
        (["--rr"], dataclasses.replace(DEFAULT, kind=Kind.RR, directions=(Direction.SEND,), windows_bytes=(0,))),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else "",
)
def test_options_are_in_the_plan(asked: list[tuple[IperfPlan, Session]], arguments: list[str], plan: IperfPlan) -> None:
    assert invoke(HOST, *arguments) == 0
    assert [found for found, _ in asked] == [plan]


def test_the_session_knows_where_the_result_goes(asked: list[tuple[IperfPlan, Session]]) -> None:
    invoke(HOST, "--out", "there", "-J")
    session = asked[0][1]
    assert (session.out, session.form) == (Path("there"), "json")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "HOST is missing"),
        ([HOST, "--server"], "HOST cannot be combined with --server"),
        (["--server", "--windows", "16K"], "--windows cannot be combined with --server"),
        (["--server", "--udp"], "--udp cannot be combined with --server"),
        (["--server", "-n", "4K"], "--bytes cannot be combined with --server"),
        (["--server", "--plan", "p.toml"], "--plan cannot be combined with --server"),
        (["--server", "--replay", "run"], "--replay cannot be combined with --server"),
        (["--server", "--print-plan"], "--print-plan cannot be combined with --server"),
        (["--server", "--out", "run"], "--out cannot be combined with --server"),
        (["--server", "--json"], "--json cannot be combined with --server"),
        ([HOST, "--host", "0.0.0.0"], "--host is given without --server"),
        ([HOST, "--rr", "--udp"], "--udp cannot be combined with --rr"),
        ([HOST, "--rr", "--send"], "--send cannot be combined with --rr"),
        ([HOST, "--rr", "--at-least", "1M"], "--at-least cannot be combined with --rr"),
        ([HOST, "-P", "0"], "the number of parallel streams must be 1 to 1024, got 0"),
        ([HOST, "-p", "0"], "the port must be 1 to 65535, got 0"),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else "",
)
def test_contradictory_options_are_refused_in_one_line(arguments: list[str], says: str) -> None:
    with pytest.raises(LoadgenError) as caught:
        invoke(*arguments)
    assert caught.value.message == says
    assert caught.value.exit_code == 2


def test_an_unavailable_core_is_a_usage_error() -> None:
    with pytest.raises(click.BadParameter, match="not all of these cores can be used"):
        invoke(HOST, "-A", "0,4096")


@pytest.mark.parametrize(
    ("text", "windows_bytes"),
    [("16K", (16384,)), ("16K, 64K,auto", (16384, 65536, 0)), ("auto", (0,)), ("1000", (1000,))],
)
def test_windows_are_read(text: str, windows_bytes: tuple[int, ...]) -> None:
    assert parse_windows(text) == windows_bytes


@pytest.mark.parametrize("text", ["", "16K,", "16K,16K", "16K,16384", "auto,auto", "0", "2G", "-1", "kernel"])
def test_an_invalid_list_of_windows_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_windows(text)
    assert caught.value.hint


def test_a_served_test_is_one_line() -> None:
    served = ServedTest(
        client="192.0.2.9",
        what="TCP, 2 streams, bidir",
        ended="done",
        seconds=10.0,
        sent_bytes=1_176_875_000,
        received_bytes=125_000_000,
        cpu_seconds=0.25,
    )
    assert line_of(served) == (
        "192.0.2.9  TCP, 2 streams, bidir  10.0 s  sent 941.5 Mbit/s  received 100.0 Mbit/s  CPU 0.25 s  done"
    )
    broken = dataclasses.replace(served, ended="it went away", seconds=0.0, sent_bytes=0, received_bytes=0)
    assert line_of(broken).endswith("  0.0 s  CPU 0.25 s  it went away")


def test_every_counter_of_a_server_is_printed() -> None:
    line = counters_line(ServerCounters(connections=3, garbage=1))
    assert line.startswith("connections=3 tests_done=0")
    assert line.count("=") == len(dataclasses.fields(ServerCounters))
