"""`loadgen iperf` as users of iperf3 type it: their options are there, or the answer names what to use instead."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from coordinator.cli import app
from coordinator.cli.iperf import long_run
from coordinator.cli.iperf_words import REFUSED
from coordinator.experiment.performance import Session
from loadgen.model.errors import LoadgenError, PlanError
from loadgen.model.probe import PASSWORD_VARIABLE, Direction, IperfPlan, Transport
from loadgen.model.units import NS_PER_MS, NS_PER_S

HOST = "192.0.2.1"
DEFAULT = IperfPlan(host=HOST)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[IperfPlan]:
    """Collects the plans instead of playing them."""
    found: list[IperfPlan] = []

    def run(session: Session) -> int:
        found.append(session.experiment.shown)
        return 0

    monkeypatch.setattr("coordinator.experiment.session.run_session", run)
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    return found


@pytest.mark.parametrize(
    ("words", "tests"), [(["-s"], None), (["-s", "-1"], 1), (["--server", "--one-off"], 1), (["-1s"], 1)]
)
def test_a_server_serves_one_test_if_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch, words: list[str], tests: int | None
) -> None:
    asked: list[int | None] = []

    async def serve(host: str, port: int, *, tests: int | None, say: object, tell: object) -> None:
        asked.append(tests)

    monkeypatch.setattr("coordinator.kinds.iperf.served.serve_tests", serve)
    invoke(*words)
    assert asked == [tests]


def invoke(*arguments: str) -> str:
    """Run the command; returns what it said on stderr."""
    result = CliRunner().invoke(app, ["iperf", *arguments], standalone_mode=False, catch_exceptions=False)
    assert result.return_value == 0
    return result.stderr


@pytest.mark.parametrize(
    ("arguments", "changes"),
    [
        (["-c", HOST], {}),
        (["-c", HOST, "-i", "1"], {}),
        ([f"{HOST}:6000"], {"port": 6000}),
        ([f"{HOST}:6000", "-p", "6000"], {"port": 6000}),
        (["[2001:db8::1]:6000"], {"host": "2001:db8::1", "port": 6000}),
        (["[2001:db8::1]"], {"host": "2001:db8::1"}),
        (["2001:db8::1"], {"host": "2001:db8::1"}),
        (["fe80::1%eth0"], {"host": "fe80::1%eth0"}),
        (["[fe80::1%eth0]:6000"], {"host": "fe80::1%eth0", "port": 6000}),
        ([HOST, "-B", "192.0.2.9", "--cport", "7000"], {"bind": "192.0.2.9", "client_port": 7000}),
        ([HOST, "-4"], {"ip_version": 4}),
        ([HOST, "-6"], {"ip_version": 6}),
        ([HOST, "-M", "1400", "-N"], {"mss_bytes": 1400, "no_delay": True}),
        ([HOST, "-S", "184"], {"type_of_service": 184}),
        ([HOST, "-S", "0xb8"], {"type_of_service": 184}),
        ([HOST, "-S", "0270"], {"type_of_service": 184}),
        ([HOST, "--connect-timeout", "1500"], {"connect_timeout_ns": 1500 * NS_PER_MS}),
        ([HOST, "--connect-timeout", "2s"], {"connect_timeout_ns": 2 * NS_PER_S}),
        ([HOST, "-u", "-b", "0"], {"transport": Transport.UDP, "rate_bps": 0, "windows_bytes": (0,)}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_iperf3_users_type_is_understood(
    asked: list[IperfPlan], arguments: list[str], changes: dict[str, object]
) -> None:
    invoke(*arguments)
    assert asked == [dataclasses.replace(DEFAULT, **changes)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([HOST, "-c", HOST], "the server is given twice"),
        ([f"{HOST}:1", "-p", "2"], "the port is given twice"),
        ([f"{HOST}:x"], "'x' is not a port"),
        ([HOST, "-4", "-6"], "--ipv4 and --ipv6 exclude each other"),
        ([HOST, "-i", "5"], "--interval 5 is not possible: loadgen reports each second"),
        ([HOST, "-1"], "--one-off is given without --server"),
        (["-s", "-M", "1400"], "--set-mss cannot be combined with --server"),
        (["-s", "-c", HOST], "HOST cannot be combined with --server"),
        ([HOST, "--username", "anna"], "a login needs both"),
        ([HOST, "--password-file", "x"], "--password-file is given without --username"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_contradicts_is_refused_in_one_line(asked: list[IperfPlan], arguments: list[str], says: str) -> None:
    with pytest.raises(LoadgenError, match=re.escape(says)) as caught:
        invoke(*arguments)
    assert caught.value.exit_code == 2
    assert caught.value.hint
    assert asked == []


@pytest.mark.parametrize(("names", "takes_value"), [(names, takes_value) for names, takes_value, _ in REFUSED])
def test_each_other_option_of_iperf3_is_answered_with_the_word_to_use(
    names: tuple[str, ...], takes_value: bool
) -> None:
    for name in names:
        with pytest.raises(
            PlanError, match=rf"^{names[0]} is an option of iperf3 that loadgen does not have"
        ) as caught:
            invoke("-c", HOST, name, *(["9"] if takes_value else []))
        assert caught.value.hint


def test_the_help_is_not_longer_by_what_is_refused() -> None:
    help_text = CliRunner().invoke(app, ["iperf", "--help"]).output
    assert not any(name in help_text for names, _, _ in REFUSED for name in names if name.startswith("--"))
    assert "-B, --bind" in help_text


def test_how_long_a_bare_run_takes_is_said_before_it_starts(asked: list[IperfPlan]) -> None:
    said = " ".join(invoke(HOST).split())
    assert "40 tests of 10s take 400 s: 5 windows, 2 directions, 4 repeats." in said
    assert "--windows auto --send --repeats 1" in said


@pytest.mark.parametrize(
    "changes",
    [
        {"windows_bytes": (0,), "repeats": 1, "directions": (Direction.SEND,), "duration_ns": 3600 * NS_PER_S},
        {"duration_ns": NS_PER_S},
    ],
)
def test_one_test_and_a_short_run_need_no_warning(changes: dict[str, object]) -> None:
    assert long_run(dataclasses.replace(DEFAULT, **changes)) is None  # type: ignore[arg-type]


LOGIN = [HOST, "--username", "anna", "--rsa-public-key", "key.pem"]


def test_a_password_comes_from_a_file_and_is_in_no_plan(
    asked: list[IperfPlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "old")
    (tmp_path / "password").write_text("secret-word\nnext line\n")
    invoke(*LOGIN, "--password-file", str(tmp_path / "password"))
    assert os.environ[PASSWORD_VARIABLE] == "secret-word"
    (plan,) = asked
    assert (plan.username, plan.rsa_public_key) == ("anna", str(Path("key.pem").absolute()))
    assert "secret-word" not in str(plan.to_dict())


def test_without_a_terminal_no_password_is_asked_for(asked: list[IperfPlan]) -> None:
    with pytest.raises(PlanError, match="no password for the user 'anna'") as caught:
        invoke(*LOGIN)
    assert PASSWORD_VARIABLE in caught.value.hint
    assert asked == []


def test_a_password_file_that_cannot_be_read_is_named(asked: list[IperfPlan], tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"cannot read the password file .*none: No such file"):
        invoke(*LOGIN, "--password-file", str(tmp_path / "none"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(PlanError, match=r"it is not UTF-8 text"):
        invoke(*LOGIN, "--password-file", str(tmp_path / "binary"))
