"""`loadgen http --find` against a server that fails from a known number of requests on, stopped and continued.

How busy the machine is decides how many runs are valid, and nothing else here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.support.cli import LOADGEN, environment

SERVED = 22
"""The server answers this many requests of a run.  A run lasts one second: 20 requests/s conform, and 24 do not."""

SEARCH = (
    *("http", "--find", "rate", "--rate", "16/s", "--find-max", "24", "--find-step", "4", "--find-repeats", "1"),
    *("--slo", "errors<1%", "--duration", "1s", "-c", "4", "--engines", "1", "--out", "search"),
)


class Server:
    """Answers the first requests of a run with 200 and the others with 503; a run has ended when none is connected."""

    def __init__(self) -> None:
        self._connected = 0
        self._requests = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connected += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await reader.readuntil(b"\r\n\r\n"):
                self._requests += 1
                status = b"200 OK" if self._requests <= SERVED else b"503 Service Unavailable"
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nok")
        writer.close()
        self._connected -= 1
        if not self._connected:
            self._requests = 0


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """Yield the URL of a server."""
    server = await asyncio.start_server(Server().serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def start(directory: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        LOADGEN,
        *arguments,
        cwd=directory,
        env=environment(directory / "cache"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def until_second_run(process: asyncio.subprocess.Process) -> None:
    """Wait until the traffic of the second run is prepared."""
    assert process.stderr is not None
    runs = 0
    async for line in process.stderr:
        runs += b"compiling" in line
        if runs == 2:
            return
    raise AssertionError("the search ended before its second run")


def document(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "search" / "run.json").read_text())
    return found


def test_a_search_that_is_stopped_says_what_it_knows_and_is_continued(tmp_path: Path) -> None:
    asyncio.run(asyncio.wait_for(_stopped_and_continued(tmp_path), 120))


async def _stopped_and_continued(tmp_path: Path) -> None:
    async with serving() as url:
        first = await start(tmp_path, *SEARCH, url)
        try:
            await until_second_run(first)
            first.send_signal(signal.SIGINT)
            out, _ = await first.communicate()
        finally:
            if first.returncode is None:
                first.kill()
        assert first.returncode == 130
        report = out.decode()
        assert "The highest rate at which the objectives hold" in report
        assert "the search is not over: " in report
        begun = document(tmp_path)
        assert begun["steps"][0]["value"] == 16
        kept = (tmp_path / "search" / "rate-16" / "run.json").read_bytes()

        again = await start(tmp_path, "resume", "search")
        try:
            out, said = await again.communicate()
        finally:
            if again.returncode is None:
                again.kill()
        assert "runs that are used again: rate-16" in said.decode()
        assert (tmp_path / "search" / "rate-16" / "run.json").read_bytes() == kept

    ended = document(tmp_path)
    assert again.returncode == ended["exit_code"]
    assert ended["steps"][0] == begun["steps"][0]
    assert len(ended["steps"]) > 1
    conforming = [step["value"] for step in ended["steps"] if step["verdict"] == "conforming"]
    assert all(value <= 20 for value in conforming)
    assert ended["capacity"]["value"] in (0, *conforming)
    assert "the search is not over" not in out.decode()
