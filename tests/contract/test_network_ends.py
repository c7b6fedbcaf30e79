"""The coordinator's side of a network run's child processes: any child gives an answer or a one-line error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from coordinator import ends
from coordinator.ends import ProbeEnd, ProxyEnd, StoppedError
from loadgen.measure.forwarding import NO_REPORT, HostReport, Service
from loadgen.measure.throughput import Tick
from loadgen.model.errors import FleetError, PlanError, TargetError
from loadgen.model.plain import to_plain
from loadgen.model.probe import Mode, ProbeTest
from tests.support.cli import alive

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
HELLO = [{"is": "hello", "pid": 1, "version": "1"}]
TICK = Tick(start_ns=0, end_ns=10**9, omitted=False, sent_bytes=5, received_bytes=0)
REPORT = HostReport(
    version="1", at_ns=1, cpu_ns=2, memory_bytes=3, nics=(), services=(Service(mode=Mode.COPY, window_bytes=0, port=9),)
)
TEST = ProbeTest()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ends, "_STOP_TIMEOUT_S", 0.3)


class Fake(ProbeEnd):
    module = "tests.support.fake_end"


class FakeProxy(ProxyEnd):
    module = "tests.support.fake_end"


def environment(*script: Any) -> dict[str, str]:
    return {"FAKE_END": json.dumps(script), "PYTHONPATH": str(ROOT)}


def with_end(script: tuple[Any, ...], use: Callable[[Fake], Awaitable[T]]) -> T:
    """Call `use` with a child that plays `script`: a step for its start, and then a step for each message."""

    async def run() -> T:
        async with Fake("sink", environment=environment(*script)) as end:
            return await use(end)

    return asyncio.run(run())


def failed(whose: str) -> list[dict[str, Any]]:
    return [{"is": "failed", "id": 1, "whose": whose, "message": "no luck", "hint": "try again"}]


def test_a_server_reports_its_port() -> None:
    listening = [{"is": "listening", "host": "h", "port": 4711}]
    assert with_end((HELLO, listening), lambda end: end.serve("h")) == 4711


def test_a_proxy_host_reports_its_services() -> None:
    async def run() -> tuple[int, HostReport]:
        said = [{"is": "listening", "host": "h", "port": 8, "report": to_plain(REPORT)}]
        async with FakeProxy("proxy", environment=environment(HELLO, said)) as end:
            return await end.host(host="h", connect_host="s", connect_port=1, modes=[Mode.COPY], windows_bytes=[0])

    assert asyncio.run(run()) == (8, REPORT)


def test_reports_are_requested_one_after_the_other() -> None:
    def answer(report: HostReport) -> list[dict[str, Any]]:
        return [{"is": "report", "id": 1, "report": to_plain(report)}]

    async def twice(end: Fake) -> list[HostReport]:
        return [await end.report("h", 1), await end.report("h", 1)]

    assert with_end((HELLO, answer(REPORT), answer(NO_REPORT)), twice) == [REPORT, NO_REPORT]


@pytest.mark.parametrize(("whose", "error"), [("target", TargetError), ("plan", PlanError), ("else", FleetError)])
def test_an_error_is_blamed_on_the_named_end(whose: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="no luck") as caught:
        with_end((HELLO, failed(whose)), lambda end: end.run(TEST, "h", 1))
    assert getattr(caught.value, "hint", "") == "try again"


def test_ticks_arrive_before_the_end_of_their_test() -> None:
    seen: list[Tick] = []
    ticks = [{"is": "tick", "id": 1, "tick": to_plain(TICK)}] * 2
    with pytest.raises(StoppedError):
        with_end((HELLO, [*ticks, *failed("stopped")]), lambda end: end.run(TEST, "h", 1, seen.append))
    assert seen == [TICK, TICK]


def test_a_stopped_end_plays_no_more_tests() -> None:
    async def stop_and_run(end: Fake) -> None:
        end.stop()
        await end.run(TEST, "h", 1)

    with pytest.raises(StoppedError):
        with_end((HELLO, "sleep"), stop_and_run)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (("die",), "the sink has ended: killed by signal 9"),
        (("exit",), "the sink has ended: exited with code 7; last line on stderr: it is too dark here"),
        ((HELLO, "die"), "the sink has ended: killed by signal 9"),
        ((HELLO, "babble"), "the sink sent something unreadable"),
        ((HELLO, "mumble"), "the sink sent something unreadable"),
        ((HELLO, "close"), "the sink has ended: it closed its output"),
    ],
)
def test_a_failed_child_is_named_with_the_reason(script: tuple[Any, ...], why: str) -> None:
    with pytest.raises(FleetError) as caught:
        with_end(script, lambda end: end.serve("h"))
    assert caught.value.message.startswith(why)


def test_a_silent_child_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ends, "_ANSWER_TIMEOUT_S", 0.1)
    with pytest.raises(FleetError, match=r"the sink did not answer within 0.1 s"):
        with_end((HELLO, "sleep"), lambda end: end.serve("h"))


def test_leaving_the_context_ends_a_child_that_does_not_react() -> None:
    async def pid(end: Fake) -> int:
        end.stop()
        assert alive(end.pid)
        return end.pid

    assert not alive(with_end((HELLO, "sleep"), pid))


def test_a_lost_child_accepts_no_more_messages() -> None:
    async def lose(end: Fake) -> bool:
        end.kill()
        with pytest.raises(FleetError):
            await end.wait_lost()
        end.stop()
        return end.is_lost

    assert with_end((HELLO, "sleep"), lose)


def test_a_module_that_cannot_run_reports_the_reason() -> None:
    class Missing(ProbeEnd):
        module = "loadgen.no_such_module"

    async def run() -> None:
        async with Missing("source"):
            pass

    with pytest.raises(
        FleetError, match=r"the source has ended: exited with code 1; last line on stderr: .*no_such_module"
    ):
        asyncio.run(run())
