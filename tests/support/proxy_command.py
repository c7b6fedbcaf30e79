"""Starts `loadgen proxy` as a separate process."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.cli import LOADGEN, environment
from tests.support.proxies import (
    PATIENCE_S,
    connect,
)


class Started:
    """A running `loadgen proxy`; `address` is the address on which it listens."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        assert process.stderr is not None
        self.opening = process.stderr.readline().decode()
        found = re.search(r"proxy: (.*):(\d+) forwards to", self.opening)
        assert found, self.opening
        self.address = (found[1], int(found[2]))

    def client(self, **changes: int) -> socket.socket:
        return connect(socket.AF_INET, self.address, **changes)

    def drain(self, number: int = signal.SIGTERM) -> str:
        """Send a signal; returns the line that it prints when it has stopped accepting."""
        self.process.send_signal(number)
        assert self.process.stderr is not None
        while line := self.process.stderr.readline().decode():
            if "a second signal" in line:
                return line
        raise AssertionError("it has ended")

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Send a signal and wait for the end; returns the exit code, stdout and the rest of stderr."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out.decode(), err.decode()


@contextlib.contextmanager
def started(
    upstream: socket.socket | int, tmp_path: Path, *options: str, prefix: tuple[str, ...] = ()
) -> Iterator[Started]:
    """Run `loadgen proxy` on a free port; it is killed if the test has not ended it."""
    port = upstream if isinstance(upstream, int) else upstream.getsockname()[1]
    argv = [*prefix, LOADGEN, "proxy", "--listen", ":0", "--connect", f"127.0.0.1:{port}", *options]
    process = subprocess.Popen(
        argv,
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            yield Started(process)
        finally:
            if process.poll() is None:
                process.kill()
