"""The reason that is reported when a worker on a host ends."""

from __future__ import annotations

import asyncio
from typing import cast

import asyncssh
import pytest

from deploy.hosts.remote import Remote


class Ended:
    """A process that has ended, in the form of asyncssh."""

    def __init__(self, code: int, stderr: bytes) -> None:
        self.returncode = code
        self.stderr = asyncio.StreamReader()
        self.stderr.feed_data(stderr)
        self.stderr.feed_eof()

    async def wait_closed(self) -> None:
        return None


@pytest.mark.parametrize(
    ("code", "stderr", "said"),
    [
        (2, b"noise\nloadgen: nobody answers\nhint: is it running?\n", "it exited with code 2: nobody answers"),
        (70, b"Traceback\nValueError: x\nloadgen: this is a bug\n", "it exited with code 70: ValueError: x"),
        (
            127,
            b"sh: 1: not found\n",
            "loadgen is not installed there, or not at the path that was given: sh: 1: not found",
        ),
        (-9, b"", "it was killed by signal 9 (does the machine have enough memory?)"),
    ],
    ids=["refused", "bug", "missing", "killed"],
)
def test_the_reason_is_reported_without_the_hint(code: int, stderr: bytes, said: str) -> None:
    async def scenario() -> str:
        return await Remote(cast("asyncssh.SSHClientProcess[bytes]", Ended(code, stderr)), "mark").why_ended()

    assert asyncio.run(scenario()) == said
