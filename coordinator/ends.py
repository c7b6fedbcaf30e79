"""The child processes of a network run: a probe at each end, and a proxy between the ends.  Each process does one task
at a time.

A child process ends when this process ends: its standard input is closed, and it has a parent-death signal
(loadgen.probe.process, loadgen.proxy.process).
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from deploy.lab.namespace import HERE, Inside
from loadgen.host import frames
from loadgen.measure.forwarding import HostReport
from loadgen.measure.throughput import ProbeResult, Tick
from loadgen.model.errors import FleetError, LoadgenError, PlanError, TargetError
from loadgen.model.plain import from_plain, to_plain
from loadgen.model.probe import Mode, ProbeTest
from loadgen.model.units import NS_PER_S

_START_TIMEOUT_S = 20.0
_ANSWER_TIMEOUT_S = 20.0
_TEST_GRACE_S = 60.0  # the probe itself gives up on a silent peer long before this time
_STOP_TIMEOUT_S = 1.0
_STDERR_LINES = 20

OnTick = Callable[[Tick], None]


class StoppedError(Exception):
    """Error: the test was stopped on request."""


class End:
    """A child process as a context manager: the process runs inside the `async with` block.

    Raises FleetError when the process does not start, or ends by itself.
    """

    module = ""

    def __init__(self, name: str, *, inside: Inside = HERE, environment: Mapping[str, str] | None = None) -> None:
        """`name` is used in messages.  `environment` is added to the environment of this process."""
        self.name = name
        self._inside = inside
        self._environment = {**os.environ, **(environment or {})}
        self._process: asyncio.subprocess.Process
        self._listening: asyncio.Task[None]
        self._said: collections.deque[str] = collections.deque(maxlen=_STDERR_LINES)

    async def __aenter__(self) -> Self:
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._inside.prefix,
                sys.executable,
                "-P",  # a child must not import modules from the user's working directory
                "-m",
                self.module,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                pass_fds=self._inside.descriptors,
                env=self._environment,
            )
        except OSError as error:  # no file descriptors, processes or memory left
            raise FleetError(f"the {self.name} cannot be started: {error.strerror}") from error
        self._listening = asyncio.create_task(self._read_stderr())
        try:
            await self._next("hello", _START_TIMEOUT_S)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    @property
    def pid(self) -> int:
        """The pid of the process."""
        return self._process.pid

    @property
    def is_lost(self) -> bool:
        """Whether the process has ended by itself."""
        return self._process.returncode is not None

    def send(self, message: dict[str, Any]) -> None:
        """Send a message.  Does nothing when the process has ended: waiting for the answer raises then."""
        assert self._process.stdin is not None
        if not self.is_lost and not self._process.stdin.is_closing():
            self._process.stdin.write(frames.encode(message))

    async def _ask(self, message: dict[str, Any], answer: str, timeout_s: float, on_tick: OnTick | None = None) -> Any:
        """Send `message`, and return the reply of type `answer`.

        Raises the error that the process reports (TargetError, PlanError or StoppedError), and FleetError when the
        process does not answer in time.
        """
        self.send(message)
        return await self._next(answer, timeout_s, on_tick)

    async def _next(self, answer: str, timeout_s: float, on_tick: OnTick | None = None) -> dict[str, Any]:
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(timeout_s):
                while (message := await frames.receive(self._process.stdout)) is not None:
                    if message["is"] == answer:
                        return message
                    if message["is"] == "failed":
                        raise _failure(message)
                    if message["is"] == "tick" and on_tick is not None:
                        on_tick(from_plain(Tick, message["tick"]))
        except TimeoutError:
            raise FleetError(f"the {self.name} did not answer within {timeout_s:g} s") from None
        except (frames.FrameError, KeyError) as error:
            raise FleetError(f"the {self.name} sent something unreadable: {error}") from error
        raise FleetError(f"the {self.name} has ended: {await self.why_lost()}")

    def kill(self) -> None:
        """Kill the process (SIGKILL); returns when the process has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def wait_lost(self) -> None:
        """Wait until the process ends by itself.  Always raises FleetError, which says how the process ended."""
        await self._process.wait()
        raise FleetError(f"the {self.name} has ended: {await self.why_lost()}")

    async def why_lost(self) -> str:
        """Return how the process ended, or that it closed its output."""
        try:
            code = await asyncio.wait_for(self._process.wait(), _STOP_TIMEOUT_S)
            await asyncio.wait_for(asyncio.shield(self._listening), _STOP_TIMEOUT_S)
        except TimeoutError:
            return "it closed its output"
        last = f"; last line on stderr: {self._said[-1]}" if self._said else ""
        return (f"killed by signal {-code}" if code < 0 else f"exited with code {code}") + last

    async def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        while line := await self._process.stderr.read(4096):
            self._said.extend(part for part in line.decode(errors="replace").splitlines() if part)

    async def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_TIMEOUT_S)
        except TimeoutError:
            self.kill()
            await self._process.wait()
        await self._listening


class ProbeEnd(End):
    """One end of a network test: it serves tests, or runs tests against a server."""

    module = "loadgen.probe.process"

    def __init__(self, name: str, *, inside: Inside = HERE, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(name, inside=inside, environment=environment)
        self._asked = 0
        self._stopped = False

    async def serve(self, host: str, port: int = 0) -> int:
        """Start to serve tests.  Returns the port.  Raises PlanError when the process cannot listen at this address."""
        answer = await self._ask({"do": "serve", "host": host, "port": port}, "listening", _ANSWER_TIMEOUT_S)
        return int(answer["port"])

    async def run(self, test: ProbeTest, host: str, port: int, on_tick: OnTick | None = None) -> ProbeResult:
        """Run one test.  Raises StoppedError after :meth:`stop`, and TargetError when the other end fails."""
        result = await self.run_or_cut(test, host, port, on_tick)
        if result.cut:
            raise StoppedError if self._stopped else TargetError(result.cut)
        return result

    async def run_or_cut(self, test: ProbeTest, host: str, port: int, on_tick: OnTick | None = None) -> ProbeResult:
        """The same, but a test that ended in the middle is returned if enough of it is known (`cut`)."""
        if self._stopped:
            raise StoppedError
        request = {"do": "run", "id": self._number(), "test": to_plain(test), "host": host, "port": port}
        expected_s = (test.omit_ns + test.duration_ns) / NS_PER_S
        answer = await self._ask(request, "result", expected_s + _TEST_GRACE_S, on_tick)
        return from_plain(ProbeResult, answer["result"])

    async def report(self, host: str, port: int) -> HostReport:
        """Return the report of the proxy host at `host` and `port`.  Raises TargetError."""
        request = {"do": "ask", "id": self._number(), "host": host, "port": port}
        answer = await self._ask(request, "report", _ANSWER_TIMEOUT_S)
        return from_plain(HostReport, answer["report"])

    def stop(self) -> None:
        """Stop the running test, if there is one.  No further test can be run."""
        self._stopped = True
        self.send({"do": "stop"})

    def _number(self) -> int:
        self._asked += 1
        return self._asked


class ProxyEnd(End):
    """The process of a proxy host."""

    module = "loadgen.proxy.process"

    async def host(
        self,
        *,
        host: str,
        port: int = 0,
        connect_host: str,
        connect_port: int,
        modes: Sequence[Mode],
        windows_bytes: Sequence[int],
    ) -> tuple[int, HostReport]:
        """Start the proxy services.  Returns the port of its reports, and the first report.  Raises PlanError."""
        request = {
            "do": "host",
            "host": host,
            "port": port,
            "connect_host": connect_host,
            "connect_port": connect_port,
            "modes": [mode.value for mode in modes],
            "windows_bytes": list(windows_bytes),
        }
        answer = await self._ask(request, "listening", _ANSWER_TIMEOUT_S)
        return int(answer["port"]), from_plain(HostReport, answer["report"])


def _failure(message: dict[str, Any]) -> LoadgenError | StoppedError:
    text, hint = message["message"], message["hint"]
    match message["whose"]:
        case "stopped":
            return StoppedError(text)
        case "plan":
            return PlanError(text, hint=hint)
        case "target":
            return TargetError(text, hint=hint)
        case _:
            return FleetError(text, hint=hint)
