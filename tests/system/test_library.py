"""The library plays plans as the commands do: with a record, without output, and with an end that leaves a record."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator.library import (
    NS_PER_S,
    FleetChoice,
    ForwardPlan,
    HttpPlan,
    HttpRequest,
    IperfPlan,
    PlanError,
    Progress,
    Verdict,
    play,
    play_async,
    read_record,
)
from loadgen.model.errors import TargetError
from loadgen.model.probe import Direction, Link, Mode
from tests.support.probes import serving

PAGE = Path(__file__).parents[2] / "docs" / "library.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
ADDRESS = "http://127.0.0.1:8080/"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the server that the page starts, on a free port."""
    root = tmp_path_factory.mktemp("served")
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    with process:
        try:
            found = re.search(r"port (\d+)", process.stdout.readline())
            assert found
            yield f"http://127.0.0.1:{found[1]}/"
        finally:
            process.kill()


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def http_plan(url: str, seconds: int = 60) -> HttpPlan:
    return HttpPlan(requests=(HttpRequest(url=url),), connections=2, duration_ns=seconds * NS_PER_S)


def test_a_plan_is_played_recorded_and_nothing_is_printed(
    url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seen: list[Progress] = []
    said: list[str] = []
    before = gc.get_threshold(), gc.get_freeze_count()
    result = play(http_plan(url, 2), record=tmp_path / "run", on_progress=seen.append, on_message=said.append)
    assert capfd.readouterr() == ("", "")
    assert result.numbers.total.ok > 0
    assert result.document["verdict"] == result.verdict.value
    assert read_record(tmp_path / "run").numbers == result.numbers
    assert "requests/s" in result.report()
    assert seen
    assert all(one.total_s >= 2 for one in seen)
    assert any("compiling" in line for line in said)
    assert (gc.get_threshold(), gc.get_freeze_count()) == before


def test_a_cancelled_task_leaves_a_record(url: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        def stop(now: Progress) -> None:
            if now.per_s is not None and not task.cancelling():  # a second time, it would not wait for the record
                task.cancel()

        task: asyncio.Task[Any] = asyncio.ensure_future(
            play_async(http_plan(url), record=tmp_path / "run", on_progress=stop)
        )
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    result = read_record(tmp_path / "run")
    assert result.verdict is Verdict.INTERRUPTED
    assert not result.valid
    assert result.document["verdict"] == "interrupted"


def test_a_task_that_is_cancelled_before_any_traffic_measures_nothing(url: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        task: asyncio.Task[Any] = asyncio.ensure_future(
            play_async(http_plan(url), record=tmp_path / "run", on_message=lambda _: task.cancel())
        )
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 30)

    asyncio.run(scenario())


def test_ctrl_c_leaves_a_record(url: str, tmp_path: Path) -> None:
    pressed: list[Progress] = []

    def press(now: Progress) -> None:
        if now.per_s is not None and not pressed:
            pressed.append(now)
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            play(http_plan(url), record=tmp_path / "run", on_progress=press)
    finally:
        signal.signal(signal.SIGINT, before)
    assert read_record(tmp_path / "run").verdict is Verdict.INTERRUPTED


def test_an_exception_of_a_callback_ends_the_run_and_is_raised(url: str, tmp_path: Path) -> None:
    def fail(now: Progress) -> None:
        if now.per_s is not None:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        play(http_plan(url), record=tmp_path / "run", on_progress=fail)
    assert read_record(tmp_path / "run").document["verdict"] == "interrupted"


def test_what_cannot_start_raises_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TargetError):
        play(http_plan("http://127.0.0.1:9/"))
    with pytest.raises(PlanError, match=r"one of SpecPlan, .* got str"):
        play("http://127.0.0.1/")  # type: ignore[call-overload]
    with pytest.raises(PlanError, match="IperfPlan is played from this machine"):
        play(IperfPlan(host="127.0.0.1"), fleet=FleetChoice())  # type: ignore[call-overload]
    with pytest.raises(PlanError, match="bogus"):
        play(HttpPlan(requests=(HttpRequest(url="http://127.0.0.1:9/{{bogus}}"),)))
    assert list((tmp_path / "runs").iterdir()) == []
    assert capfd.readouterr() == ("", "")

    async def nested() -> None:
        with pytest.raises(PlanError, match="inside a running event loop"):
            play(http_plan("http://127.0.0.1:9/"))

    asyncio.run(nested())


def test_network_tests_are_played_too(tmp_path: Path) -> None:
    seen: list[Progress] = []

    async def scenario() -> Any:
        async with serving() as served:
            plan = IperfPlan(
                host="127.0.0.1",
                port=served.port,
                windows_bytes=(0,),
                directions=(Direction.SEND,),
                repeats=1,
                duration_ns=NS_PER_S,
            )
            return await play_async(plan, record=tmp_path / "iperf", on_progress=seen.append)

    result = asyncio.run(scenario())
    assert result.numbers.rows[0].mbit_per_s > 0
    assert seen
    plan = ForwardPlan(
        links=(Link.LOOPBACK,),
        modes=(Mode.DIRECT,),
        windows_bytes=(65536,),
        flows=(),
        duration_ns=NS_PER_S // 2,
        omit_ns=0,
        repeats=1,
        latency_ns=NS_PER_S // 4,
    )
    assert play(plan, record=tmp_path / "forward").document["kind"] == "forward"


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("example", [one for one in EXAMPLES if "pytest" not in one], ids=lambda text: text[:40])
def test_an_example_of_the_page_runs(example: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(example.replace(ADDRESS, url), str(PAGE), "exec"), {"__name__": "example"})
    assert list(tmp_path.rglob("run.json"))


def test_the_example_of_a_test_runs(url: str, tmp_path: Path) -> None:
    """On a busy machine, the run is INVALID, and the example's test says so."""
    (example,) = (one for one in EXAMPLES if "pytest" in one)
    (tmp_path / "test_example.py").write_text(example.replace(ADDRESS, url))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_example.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PAGE.parents[1]), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout or "AssertionError: <INVALID" in done.stdout, done.stdout + done.stderr
