"""An engine that stands still, as on a machine whose cores are taken away, does not blame servers for its own time."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.contract.test_engine_contract import run
from tests.support import scripted
from tests.support.engines import ENGINES
from tests.support.scripted import ScriptedServer, Writer
from tests.support.vms import within

TIMEOUT_NS = 600 * NS_PER_MS


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_a_reply_that_came_while_the_engine_stood_still_is_no_time_out(engine: str) -> None:
    """It came in time, and waits to be read when the engine finds that the time is over."""
    pids: list[int] = []

    async def answered_in_a_standstill(path: str, size: int, writer: Writer) -> bool:
        os.kill(pids[0], signal.SIGSTOP)
        assert await asyncio.to_thread(within, 30, lambda: is_stopped(pids[0]))
        await scripted.good(path, size, writer)
        await writer.drain()
        await asyncio.sleep(2 * TIMEOUT_NS / NS_PER_S)
        os.kill(pids[0], signal.SIGCONT)
        return True

    async def scenario() -> bytes:
        async with ScriptedServer(answered_in_a_standstill) as server:
            words = (sys.executable, "-m", "tests.support.one_operation", engine, str(server.port), str(TIMEOUT_NS))
            playing = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
            pids.append(playing.pid)
            try:
                out, _ = await playing.communicate()
            finally:
                if playing.returncode is None:
                    playing.kill()
            return out

    assert run(scenario).split() == [b"OK"]
