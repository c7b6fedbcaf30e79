"""Options of `loadgen forward`: the plan that they make, and combinations that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from coordinator.cli import app
from coordinator.cli.forward import _TAKES, forward
from coordinator.experiment.performance import Session
from loadgen.model.errors import LoadgenError
from loadgen.model.probe import ForwardPlan, Link, Mode
from loadgen.model.units import NS_PER_MS, NS_PER_S

K = 1024


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collects the calls instead of running them: plans and notes of sessions, and the arguments of roles."""
    calls: list[Any] = []

    def run_session(session: Session) -> int:
        calls.append((session.experiment.shown, session.notes))
        return 0

    monkeypatch.setattr("coordinator.experiment.session.run_session", run_session)
    monkeypatch.setattr("deploy.lab.network.why_not", lambda: "")
    monkeypatch.setattr("coordinator.kinds.forward.roles.be_sink", lambda *given: given)
    monkeypatch.setattr("coordinator.kinds.forward.roles.be_proxy", lambda *given, **named: (given, named))
    monkeypatch.setattr("uvloop.run", calls.append)
    return calls


def run(*arguments: str) -> None:
    done = CliRunner().invoke(app, ["forward", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def refused(*arguments: str) -> tuple[str, str]:
    """Return the message and the hint of a refusal."""
    done = CliRunner().invoke(app, ["forward", *arguments])
    if isinstance(done.exception, LoadgenError):
        assert int(done.exception.exit_code) == 2
        assert "\n" not in done.exception.message
        return done.exception.message, done.exception.hint
    assert done.exit_code == 2, done.output
    return done.stderr, ""


def test_as_root_the_default_is_a_gigabit_lab(asked: list[Any]) -> None:
    run()
    assert asked == [(ForwardPlan(), ())]


def test_without_root_the_default_is_loopback_with_a_reason(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.lab.network.why_not", lambda: "that takes root")
    run()
    ((plan, notes),) = asked
    assert plan.links == (Link.LOOPBACK,)
    assert "that takes root" in notes[0]


def test_options_are_in_the_plan(asked: list[Any]) -> None:
    run(
        *("--lab", "10g,none", "--windows", "64K,auto", "--modes", "splice,direct", "--flows", "1,4"),
        *("--duration", "500ms", "--omit", "100ms", "--repeats", "1", "--at-least", "900M"),
    )
    assert asked[0][0] == ForwardPlan(
        links=(Link.TEN_GIGE, Link.NONE),
        windows_bytes=(64 * K, 0),
        modes=(Mode.SPLICE, Mode.DIRECT),
        flows=(1, 4),
        duration_ns=500 * NS_PER_MS,
        omit_ns=100 * NS_PER_MS,
        latency_ns=500 * NS_PER_MS,
        repeats=1,
        at_least_bps=900_000_000,
    )


@pytest.mark.usefixtures("asked")
def test_the_result_goes_where_the_options_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions: list[Session] = []

    def run_session(session: Session) -> int:
        sessions.append(session)
        return 0

    monkeypatch.setattr("coordinator.experiment.session.run_session", run_session)
    out, html = tmp_path / "run", tmp_path / "report.html"
    for role in ((), ("--role", "source", "--sink", "192.0.2.2:5201")):
        run(*role, "--out", str(out), "--html", str(html), "--json", "--otlp", "http://127.0.0.1:4318")
        session = sessions.pop()
        assert (session.out, session.html, session.form) == (out, html, "json")
        assert session.watch.otlp


def test_a_run_on_this_machine_takes_each_option_that_is_not_of_a_role() -> None:
    """An option that the command has, and that no role takes, would always be refused."""
    of_roles = {"role", "listen", "connect"}
    spelled = {one.opts[0].removeprefix("--").replace("-", "_") for one in forward.params}
    assert spelled - of_roles == set(_TAKES[None])


def test_long_tests_do_not_make_the_latency_test_longer(asked: list[Any]) -> None:
    run("--duration", "1m")
    assert asked[0][0].latency_ns == 2 * NS_PER_S


@pytest.mark.parametrize("role", [(), ("--role", "source")])
def test_the_role_source_measures_real_machines(role: tuple[str, ...], asked: list[Any]) -> None:
    run(*role, "--sink", "192.0.2.2:5201", "--proxy", "[2001:db8::1]:5202")
    assert asked == [(ForwardPlan(links=(Link.REAL,), sink="192.0.2.2:5201", proxy="[2001:db8::1]:5202"), ())]


def test_without_a_proxy_only_the_direct_path_is_measured(asked: list[Any]) -> None:
    run("--sink", "192.0.2.2:5201")
    assert asked[0][0].modes == (Mode.DIRECT,)


def test_a_sink_and_a_proxy_listen_at_the_given_address(asked: list[Any]) -> None:
    run("--role", "sink", "--listen", "192.0.2.2:5201")
    assert asked.pop()[:2] == ("192.0.2.2", 5201)
    run("--role", "proxy", "--listen", "0.0.0.0:0", "--connect", "192.0.2.2:5201", "--windows", "128K")
    given, named = asked.pop()
    assert given == ("0.0.0.0", 0)
    assert (named["connect_host"], named["connect_port"]) == ("192.0.2.2", 5201)
    assert (named["modes"], named["windows_bytes"]) == ((Mode.SPLICE, Mode.COPY), (128 * K, 64 * K))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--lab fast", "'fast' is not one of gige, 10g, none, loopback"),
        ("--lab gige,gige", "gige is given twice"),
        ("--lab real", "'real' is not one of"),
        ("--modes proxy", "'proxy' is not one of direct, splice, copy"),
        ("--windows 0", "is not a window"),
        ("--flows 0", "must be positive"),
        ("--flows 5000", "flows must be 1 to 1024"),
        ("--duration 1ms", "duration must be at least 100ms, got 1ms"),
        ("--repeats 0", "repeats must be 1 to 100"),
        ("--sink 192.0.2.2", "is not HOST:PORT"),
        ("--proxy 192.0.2.1:1", "need --sink, and --proxy"),
        ("--lab gige --sink 192.0.2.2:1", "--lab cannot be combined with --proxy or --sink"),
        ("--sink 192.0.2.2:1 --modes splice", "go through a proxy"),
        ("--listen 127.0.0.1:1", "--listen cannot be combined with a run on this machine"),
        ("--connect 127.0.0.1:1", "--connect cannot be combined with a run"),
        ("--role source", "--role source needs --sink"),
        ("--role source --lab gige --sink 192.0.2.2:1", "--lab cannot be combined with --role source"),
        ("--role sink", "--role sink needs --listen"),
        ("--role sink --listen 127.0.0.1:1 --connect 127.0.0.1:2", "--connect cannot be combined with --role sink"),
        ("--role sink --listen 127.0.0.1:1 --json", "--json cannot be combined with --role sink"),
        ("--role sink --listen 127.0.0.1:1 --out x", "--out cannot be combined with --role sink"),
        ("--role sink --listen 127.0.0.1:1 --html x.html", "--html cannot be combined with --role sink"),
        ("--role proxy --connect 127.0.0.1:2", "--role proxy needs --listen"),
        ("--role proxy --listen 127.0.0.1:1", "--role proxy needs --connect"),
        (
            "--role proxy --listen 127.0.0.1:1 --connect 127.0.0.1:2 --modes direct",
            "--modes direct has no work for a proxy",
        ),
        (
            "--role proxy --listen 127.0.0.1:1 --connect 127.0.0.1:2 --at-least 1M",
            "--at-least cannot be combined with --role proxy",
        ),
    ],
)
def test_contradictory_options_are_refused_in_one_line(arguments: str, said: str, asked: list[Any]) -> None:
    message, _ = refused(*arguments.split())
    assert said in " ".join(message.split()).replace("│ ", "")
    assert asked == []
