"""A `loadgen worker` that runs on a host: its messages, and what is said when it does not start or ends."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import signal
from typing import Any

import asyncssh

from loadgen.host import frames
from loadgen.model.errors import FleetError

_HELLO_TIMEOUT_S = 20.0  # the program may be read from a remote file system
_END_TIMEOUT_S = 1.0
_STDERR_LINES = 20
_SMALL_BYTES = 1 << 16  # only the messages with parts of a spool are longer
_PRINTED_BYTES = 1 << 16
_SHOWN_CHARS = 160
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # exit codes of shells
_BUG = 70

_HELLO = b"\xa2is\xa5hello"
"""How the first message of a worker begins, after 4 bytes of length and 1 that says that it is a map (msgpack)."""

_BEFORE_HELLO = 5
_SECRET = b"PRIVATE KEY"


class Remote:
    """A `loadgen worker` that runs on a host.  `pid` is its pid there, and that of its process group."""

    def __init__(self, process: asyncssh.SSHClientProcess[bytes], mark: str) -> None:
        self._process = process
        self.mark = mark
        self.pid = 0
        self._printed = b""
        self._last_words: collections.deque[str] = collections.deque(maxlen=_STDERR_LINES)
        self._draining = asyncio.create_task(self._drain())
        self._output = _Output(process)

    async def read_hello(self) -> str:
        """Wait until the program has started.  Returns what was printed before, by start-up files of the shell.

        Raises FleetError when it does not start; the message has what the machine printed instead.
        """
        try:
            async with asyncio.timeout(_HELLO_TIMEOUT_S):
                self._printed = await self._output.until_hello()
                message = await self.receive(_SMALL_BYTES)
        except TimeoutError:
            self._printed = self._output.so_far
            printed = f"; the machine printed {self.printed!r}" if self.printed else ""
            raise FleetError(f"loadgen did not start there within {_HELLO_TIMEOUT_S:g} s{printed}") from None
        if message is None:
            raise FleetError(await self.why_ended())
        pid = message.get("pid")
        if message.get("is") != "hello" or type(pid) is not int or pid < 2:
            raise FleetError(f"the program that answers there is not loadgen: {message!r:.80}")
        self.pid = pid
        return self.printed

    @property
    def printed(self) -> str:
        """What the machine printed before loadgen started, as one short line."""
        if _SECRET in self._printed:
            return "what loadgen had sent to it"
        words = " ".join(self._printed.decode(errors="replace").split())
        text = "".join(char if char.isprintable() else "." for char in words)
        return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"

    async def receive(self, max_bytes: int = frames.MAX_FRAME_BYTES) -> dict[str, Any] | None:
        """The next message of the program; None when it has ended.  Raises FleetError for output in another format."""
        try:
            return await frames.receive(self._output, max_bytes)
        except frames.FrameError as error:
            raise FleetError(
                f"its output can't be read ({error}): does another program print something there?"
            ) from error
        except (asyncssh.Error, OSError):
            return None  # the connection was lost

    def tell(self, message: dict[str, Any]) -> None:
        """Send the program a message.  When it has ended this does nothing, and :meth:`receive` returns None."""
        with contextlib.suppress(OSError, asyncssh.Error):
            self._process.stdin.write(frames.encode(message))

    def end_input(self) -> None:
        """End the input of the program, which then ends."""
        with contextlib.suppress(OSError, asyncssh.Error):  # the program or the connection has ended
            self._process.stdin.write_eof()

    async def wait_ended(self) -> None:
        """Wait until the program or the connection has ended."""
        await self._process.wait_closed()

    async def why_ended(self) -> str:
        """A sentence about the end of the program."""
        try:
            async with asyncio.timeout(_END_TIMEOUT_S):
                await self._process.wait_closed()
                await asyncio.shield(self._draining)
        except TimeoutError:
            return "it closed its output"
        code = self._process.returncode
        if code is None:
            return "the SSH connection to it was lost"
        said = f": {words}" if (words := self._words(code)) else ""
        if code in (_NOT_FOUND, _NOT_EXECUTABLE):
            return f"loadgen is not installed there, or not at the path that was given{said}"
        ended = f"it was killed by signal {-code}" if code < 0 else f"it exited with code {code}"
        if code == -signal.SIGKILL:
            ended += " (does the machine have enough memory?)"
        if self.pid == 0 and self.printed:
            return (
                f"{ended}{said}; the machine printed {self.printed!r} instead of starting loadgen: may the account run "
                "commands there (its login shell, ForceCommand)?"
            )
        return ended + said

    async def close(self) -> None:
        """Close the channel to the program.  Further calls do nothing."""
        self._process.close()
        self._draining.cancel()
        await asyncio.gather(self._draining, return_exceptions=True)

    def _words(self, code: int) -> str:
        """What the program said last.  Hints are for users who call the program by hand."""
        words = [line for line in self._last_words if not line.startswith("hint: ")]
        if code == _BUG and len(words) > 1:
            del words[-1]  # it refers to the lines above, of which the last one is the error
        return words[-1].removeprefix("loadgen: ").strip() if words else ""

    async def _drain(self) -> None:
        """Read stderr of the program until its end: a program whose stderr is not read blocks."""
        with contextlib.suppress(asyncssh.Error, OSError):
            while part := await self._process.stderr.read(4096):
                self._last_words.extend(line for line in part.decode(errors="replace").splitlines() if line.strip())


class _Output:
    """The output of the program, as a source of frames: what was read to find the first one is read again."""

    def __init__(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self._process = process
        self.so_far = b""

    async def until_hello(self) -> bytes:
        """Return what comes before the first message; everything if there is none."""
        while (at := self.so_far.find(_HELLO)) < _BEFORE_HELLO:
            part = b""
            with contextlib.suppress(asyncssh.Error, OSError):
                part = await self._process.stdout.read(4096)
            if not part or len(self.so_far) > _PRINTED_BYTES:
                at = len(self.so_far) + _BEFORE_HELLO
                break
            self.so_far += part
        before, self.so_far = self.so_far[: at - _BEFORE_HELLO], self.so_far[at - _BEFORE_HELLO :]
        return before

    async def readexactly(self, n: int, /) -> bytes:
        """The next `n` bytes.  Raises asyncio.IncompleteReadError at the end of the output."""
        found, self.so_far = self.so_far[:n], self.so_far[n:]
        return found + await self._process.stdout.readexactly(n - len(found)) if len(found) < n else found
