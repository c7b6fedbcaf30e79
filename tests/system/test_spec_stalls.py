"""`loadgen spec` against servers that stand still (SIGSTOP) for a known part of the measured window."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.servers.builtin import find as find_builtin
from deploy.vms.local import LocalVms
from tests.support.cli import LOADGEN, environment
from tests.support.vms import descendants, vm_request
from workloads.specweb99 import files, fileset

CONNECTIONS = 2
WARMUP_S, WINDOW_S = 4, 6


@pytest.fixture(scope="module")
def docroot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fileset")
    fileset.ensure(root, files.directories(CONNECTIONS))
    return root


@asynccontextmanager
async def servers(docroot: Path, count: int) -> AsyncIterator[tuple[list[int], list[int]]]:
    """Ports and process ids of `count` servers."""
    before = set(descendants(os.getpid()))
    async with LocalVms(find_builtin(), vm_request([docroot] * count, connections=CONNECTIONS)) as vms:
        pids = [pid for pid in descendants(os.getpid()) if pid not in before]
        yield [target.port for target in vms.targets], pids


@contextmanager
def standing_still(pids: Sequence[int]) -> Iterator[None]:
    """Stop the processes, and let them go on in any case."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


async def spec(directory: Path, ports: Sequence[int], pids: Sequence[int], *, from_s: float, to_s: float) -> Any:
    """run.json of a run whose servers `pids` stand still from `from_s` to `to_s` after the window opens."""
    targets = directory / "targets.toml"
    targets.write_text(
        "".join(f'[[target]]\nname = "t{i}"\nhost = "127.0.0.1"\nport = {port}\n' for i, port in enumerate(ports))
    )
    arguments = (
        f"spec --targets {targets} --connections {CONNECTIONS} --iterations 1 --engines 1 --timeout 60s "
        f"--warmup {WARMUP_S}s --duration {WINDOW_S}s --ramp-up 500ms --ramp-down 1s --json --out {directory / 'run'}"
    )
    process = await asyncio.create_subprocess_exec(
        LOADGEN,
        *arguments.split(),
        env=environment(directory),
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    while b"warm" not in (line := await process.stderr.readline()):
        assert line, "the run ended before its warm-up"
    await asyncio.sleep(WARMUP_S + from_s)
    with standing_still(pids):
        await asyncio.sleep(to_s - from_s)
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    return json.loads(out)


def test_one_vm_that_stands_still_for_the_whole_window_is_found_among_21(docroot: Path, tmp_path: Path) -> None:
    """95.2 % of all connections conform."""

    async def scenario() -> Any:
        async with servers(docroot, 20) as (good, _), servers(docroot, 1) as (bad, pids):
            return await spec(tmp_path, [*good, *bad], pids, from_s=-2, to_s=WINDOW_S + 2)

    document = asyncio.run(scenario())
    if document["verdict"] == "INVALID":
        pytest.skip(f"the machine is too busy: {document['reasons'][0]}")
    assert document["verdict"] == "not conforming"
    assert document["targets"][20]["conforming"] == 0
    assert any("t20: 0 of 2 connections conformed" in reason for reason in document["reasons"])


def test_a_stall_across_the_opening_of_the_window_is_seen(docroot: Path, tmp_path: Path) -> None:
    async def scenario() -> Any:
        async with servers(docroot, 8) as (ports, pids):
            return await spec(tmp_path, ports, pids, from_s=-3, to_s=3)

    document = asyncio.run(scenario())
    if document["verdict"] == "INVALID":
        pytest.skip(f"the machine is too busy: {document['reasons'][0]}")
    assert document["verdict"] == "not conforming"
    # A connection that crosses the stall within the line time of a large file does not notice it.
    assert document["conforming_connections"] <= 10, document["reasons"]
