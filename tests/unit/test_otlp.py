"""Metrics by OTLP: a real receiver parses them, and no receiver, dead or silent, holds up a run."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import sys
from collections.abc import Iterator

import click
import pytest

from coordinator.cli.commands import COMMANDS
from coordinator.cli.compare import compare
from coordinator.cli.forward import forward
from coordinator.cli.iperf import iperf
from coordinator.output.live_metrics import METRICS, samples_of
from coordinator.output.otlp import sender as sending
from coordinator.output.otlp.endpoint import check_installed, parse_endpoint
from coordinator.output.otlp.exporting import exporting
from coordinator.output.otlp.sender import Sender, exporter_to
from coordinator.output.terminal.live import View
from loadgen.model.errors import PlanError
from tests.support.commands import options
from tests.support.otlp_receiver import dead, points_of, receiver, silent
from tests.support.views import run_view

LONG_S = 60.0  # no test waits for so long: it is the limit for a machine that is busy


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sending, "EVERY_S", 0.01)
    monkeypatch.setattr(sending, "_TIMEOUT_S", 0.2)
    yield
    logger = logging.getLogger("opentelemetry")
    logger.handlers.clear()
    logger.propagate = True


def sent_to(url: str, said: list[str]) -> Sender:
    endpoint = parse_endpoint(url)
    return Sender(exporter_to(endpoint), endpoint, said.append)


def test_a_receiver_gets_each_sample_of_a_view_with_name_unit_and_labels() -> None:
    view, said = run_view(3), list[str]()
    with receiver() as received:
        sender = sent_to(received.url, said)
        sender.start()
        sender.update(view)
        assert received.came.wait(LONG_S)
        sender.close(LONG_S)
    expected = {
        (one.metric.otlp, one.metric.unit, tuple(one.labels.items()), float(one.value)) for one in samples_of(view)
    }
    assert set(points_of(received.requests[0])) == expected
    assert len(received.requests) == 1  # the view did not change
    assert set(received.paths) == {"/v1/metrics"}
    assert received.resource()["service.name"] == "loadgen"
    assert said == []
    assert {name for name, *_ in expected} <= {metric.otlp for metric in METRICS}


def test_the_last_view_is_sent_when_the_command_ends() -> None:
    with receiver() as received:
        sender = sent_to(received.url, [])
        sender.start()
        for seconds in range(50):
            sender.update(run_view(1, elapsed_s=float(seconds)))
        sender.close(LONG_S)
    elapsed = [value for name, _, _, value in points_of(received.requests[-1]) if name == "loadgen.run.elapsed"]
    assert elapsed == [49.0]


@pytest.mark.parametrize("status", [404, 500])
def test_a_receiver_that_refuses_is_told_of_once(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "_AFTER_FAILURE_S", 0.01)
    said: list[str] = []
    with receiver(status) as received:
        sender = sent_to(received.url, said)
        sender.start()
        sender.update(run_view(1, elapsed_s=1.0))
        assert received.came.wait(LONG_S)
        received.came.clear()
        sender.update(run_view(1, elapsed_s=2.0))
        assert received.came.wait(LONG_S)
        sender.close(LONG_S)
    assert len(said) == 1
    assert said[0].startswith(f"the receiver of metrics at {received.url}/v1/metrics does not take them")
    assert "\n" not in said[0]


def test_a_dead_receiver_is_told_of_once_and_nothing_is_raised() -> None:
    said: list[str] = []
    sender = sent_to(dead(), said)
    sender.start()
    sender.update(run_view(1))
    sender.close(LONG_S)
    assert len(said) == 1
    assert "the run goes on" in said[0]


def failure(status: int = 200, headers: dict[str, str] | None = None) -> str:
    """What is said of a receiver that answers so."""
    said: list[str] = []
    with receiver(status, headers) as received:
        sender = sent_to(received.url, said)
        sender.start()
        sender.update(run_view(1))
        sender.close(LONG_S)
    (text,) = said
    return text


@pytest.mark.parametrize("status", [301, 302, 307, 308, 304])
def test_a_redirect_is_no_success(status: int) -> None:
    text = failure(status, {"Location": "http://user:hidden@there.example/v1/metrics"})
    assert f"it redirects to http://user:***@there.example/v1/metrics (status {status})" in text


def test_the_first_reason_is_told_and_not_that_trying_again_did_not_help() -> None:
    assert failure(503).endswith("and the run goes on: it answers 503 Service Unavailable")


def test_a_warning_of_an_export_that_succeeded_is_not_the_reason_of_a_later_failure() -> None:
    taken = iter([True, False])

    def export(_: object) -> bool:
        ok = next(taken)
        if ok:
            logging.getLogger("opentelemetry.sdk").warning("an attribute is too long")
        return ok

    said: list[str] = []
    sender = Sender(export, "http://there", said.append)
    logging.getLogger("opentelemetry").addHandler(sender._logged)
    for _ in range(2):
        sender._send(run_view(1), 0)
    assert said == ["the receiver of metrics at http://there does not take them, and the run goes on"]


def test_a_password_in_the_url_is_used_and_never_shown() -> None:
    said: list[str] = []
    with receiver(500) as received:
        sender = sent_to(received.url.replace("//", "//me:hidden@"), said)
        sender.start()
        sender.update(run_view(1))
        sender.close(LONG_S)
    assert received.authorizations == ["Basic bWU6aGlkZGVu"]
    assert said[0].startswith("the receiver of metrics at http://me:***@127.0.0.1:")
    with pytest.raises(PlanError) as caught:
        parse_endpoint("http://me:hidden@there/?a=b")
    assert "hidden" not in caught.value.message


def test_a_name_that_is_not_utf8_costs_no_message() -> None:
    view = run_view(1)
    rows = tuple(dataclasses.replace(row, name="caf\udce9") for row in view.targets)
    with receiver() as received:
        sender = sent_to(received.url, [])
        sender.start()
        sender.update(dataclasses.replace(view, targets=rows))
        sender.close(LONG_S)
    assert ("target", "caf?") in {label for _, _, labels, _ in received.points() for label in labels}


def test_an_error_in_the_export_is_told_and_not_raised() -> None:
    def broken(_: object) -> bool:
        raise RuntimeError("no\nway")

    said: list[str] = []
    sender = Sender(broken, "http://there", said.append)
    sender.start()
    sender.update(run_view(1))
    sender.close(LONG_S)
    assert said == ["the receiver of metrics at http://there does not take them, and the run goes on: RuntimeError: no"]


def test_no_update_waits_for_a_silent_receiver_and_the_end_does_not_either() -> None:
    async def play(url: str) -> list[float]:
        seen: list[float] = []

        class Seen:
            def __enter__(self) -> Seen:
                return self

            def __exit__(self, *_: object) -> None:
                return None

            def update(self, view: object) -> None:
                seen.append(view.elapsed_s)  # type: ignore[attr-defined]

        async with exporting(parse_endpoint(url), lambda _: None) as exported:
            shown: View[object] = exported(Seen())
            with shown:
                for seconds in range(200):
                    shown.update(run_view(4, elapsed_s=float(seconds)))
                    await asyncio.sleep(0)
        return seen

    with silent() as url:
        assert asyncio.run(play(url)) == [float(seconds) for seconds in range(200)]


def test_a_message_that_takes_long_to_make_is_followed_by_a_long_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.2])
    monkeypatch.setattr("time.thread_time", lambda: next(clock))

    sender = Sender(lambda _: True, "http://there", lambda _: None)
    assert sender._send(run_view(1), 0) == pytest.approx(20.0)  # 0.2 s of CPU are 1 % of 20 s


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/metrics"),
        ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/metrics"),
        ("https://otel.example/tenant", "https://otel.example/tenant/v1/metrics"),
        ("http://[::1]:4318/v1/metrics", "http://[::1]:4318/v1/metrics"),
    ],
)
def test_a_base_url_gets_the_path_of_otlp(text: str, url: str) -> None:
    assert parse_endpoint(text) == url


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1:4318", "grpc://a:4317", "http://", "http://a:0", "http://a:99999", "http://a?b=c", "http://a#b", ""],
)
def test_what_is_no_url_of_a_receiver_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(PlanError, match="is not the URL of a receiver") as caught:
        parse_endpoint(text)
    assert caught.value.hint == "write it like http://127.0.0.1:4318"


def test_without_the_extra_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    check_installed()
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PlanError, match="OpenTelemetry, which is not installed") as caught:
        check_installed()
    assert caught.value.hint.endswith("pip install '.[otlp]'")


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        (iperf, ["--server"], "--otlp cannot be combined with --server"),
        (forward, ["--role", "sink", "--listen", "127.0.0.1:1"], "--otlp cannot be combined with --role sink"),
        (compare, ["a", "b"], "--otlp need --interleave"),
    ],
)
def test_what_plays_nothing_sends_nothing(command: click.Command, words: list[str], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        command.main([*words, "--otlp", "http://127.0.0.1:4318"], standalone_mode=False)


def test_every_command_that_plays_runs_has_the_option() -> None:
    playing = {"spec", "http", "iperf", "forward", "pack", "isolate", "relative", "paper", "compare", "resume"}
    found = {name for name, entry in COMMANDS.items() if "--otlp" in set(options(entry.load()))}
    assert found == playing


def test_a_run_on_this_machine_takes_the_url(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--otlp", "http://127.0.0.1:4318", "--print-plan"]
    assert forward.main([*words, "--sink", "192.0.2.1:1", "--proxy", "192.0.2.2:1"], standalone_mode=False) == 0
    assert "otlp" not in capsys.readouterr().out
