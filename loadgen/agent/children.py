"""Engine processes as children of this process: started at once, driven by an event loop later.

Starting an engine takes longer than anything else at the beginning of a run, and needs nothing of the run.  A command
can therefore start engines before it imports what plays them.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

_POLL_S = 0.005


def start_engine(mark: str = "") -> subprocess.Popen[bytes]:
    """Start an engine process with pipes; `mark` appears in its command line.  Raises OSError.

    Call this from the main thread: the kernel kills the engine when the thread that started it ends.
    """
    return start_child("loadgen.engine", mark)


def start_child(module: str, *arguments: str, pass_fds: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """Start `python -m module` with pipes and with the descriptors `pass_fds`, as :func:`start_engine` does."""
    return subprocess.Popen(
        [
            sys.executable,
            "-P",  # a child must not import modules from the user's working directory
            "-m",
            module,
            *arguments,
        ],
        pass_fds=pass_fds,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
    )


class EarlyEngines:
    """Up to `count` engine processes that start now; an agent takes them over one by one.

    A context manager that ends the processes that no agent took.  Where the machine cannot start one, there are fewer
    of them: the agent then starts the others itself, and reports why it cannot.
    """

    def __init__(self, count: int = 0) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        with contextlib.suppress(OSError):
            for _ in range(count):
                self._processes.append(start_engine())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
        while (left := self.take()) is not None:
            left.communicate()

    def take(self) -> subprocess.Popen[bytes] | None:
        """Return a process that was not taken yet; the caller must end it.  None when there is none."""
        return self._processes.pop(0) if self._processes else None


class EngineChild:
    """A started engine process on the running event loop."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        stdin: asyncio.WriteTransport,
        outputs: Sequence[asyncio.ReadTransport],
        stdout: asyncio.StreamReader,
        stderr: asyncio.StreamReader,
    ) -> None:
        self._process = process
        self._stdin = stdin
        self._outputs = outputs
        self.stdout = stdout
        self.stderr = stderr

    @classmethod
    async def of(cls, process: subprocess.Popen[bytes]) -> EngineChild:
        """Take over `process`.  When this call fails or is cancelled, it ends the process."""
        loop, stdout, stderr = asyncio.get_running_loop(), asyncio.StreamReader(), asyncio.StreamReader()
        outputs: list[asyncio.ReadTransport] = []
        try:
            for reader, pipe in ((stdout, process.stdout), (stderr, process.stderr)):
                output, _ = await loop.connect_read_pipe(functools.partial(asyncio.StreamReaderProtocol, reader), pipe)
                outputs.append(output)
            stdin, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, process.stdin)
        except BaseException:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
            for output in outputs:
                output.close()
            raise
        return cls(process, stdin, outputs, stdout, stderr)

    @property
    def pid(self) -> int:
        """The process id (pid) of the engine process."""
        return self._process.pid

    def send(self, frame: bytes) -> None:
        """Write `frame` to the process, unless its input is closed."""
        if not self._stdin.is_closing():
            self._stdin.write(frame)

    def close_input(self) -> None:
        """Ask the process to end."""
        self._stdin.close()

    def close(self) -> None:
        """Close the pipes of a process that has ended; unread data is lost."""
        self._stdin.close()
        for output in self._outputs:
            output.close()

    def kill(self) -> None:
        """End the process, if it still runs."""
        self._process.kill()

    async def wait(self) -> int:
        """Wait for the end; returns the exit code, or minus the number of the signal that ended the process."""
        while (code := self._process.poll()) is None:  # noqa: ASYNC110 - the kernel sets no asyncio.Event
            await asyncio.sleep(_POLL_S)
        return code
