"""The process `loadgen worker`: an agent of a load machine, started by hand or told its task on standard input.

Messages on standard input and output (frames of loadgen.host.frames):

in:   serve {...} or collect {...}.  The end of the input ends the process.
      After collect with `delete`: received {sha256}
out:  hello {pid, version}, then for collect: spool {data} ... end {bytes, sha256}
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from loadgen import __version__
from loadgen.agent import spool as spools
from loadgen.agent.bootstrap import PATIENCE_S, Collect, Serve, read_bootstrap
from loadgen.agent.extra import require_fleet
from loadgen.host import frames
from loadgen.model.errors import FleetError, PlanError
from loadgen.model.port_range import parse_ports

PART_BYTES = 4 << 20
"""The largest part of a spool in one frame."""

_BOOTSTRAP_TIMEOUT_S = 30.0
_BOOTSTRAP_MAX_BYTES = 1 << 20
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def obey() -> None:
    """Do the task that standard input gives, until the input ends.  Raises PlanError, FleetError."""
    if os.getpgrp() != os.getpid():
        os.setsid()  # so that killing our process group ends everything
    reader = await _standard_input()
    try:
        async with asyncio.timeout(_BOOTSTRAP_TIMEOUT_S):
            task = read_bootstrap(await frames.receive(reader, _BOOTSTRAP_MAX_BYTES))
    except TimeoutError:
        raise PlanError(f"no task arrived on standard input within {_BOOTSTRAP_TIMEOUT_S:g} s") from None
    except frames.FrameError as error:
        raise PlanError(f"the task on standard input cannot be read: {error}") from error
    if isinstance(task, Collect):
        _say({"is": "hello", "pid": os.getpid(), "version": __version__})
        await _collect(task, reader)
        return
    require_fleet("a load machine")
    until = asyncio.Event()
    with _signals(until):
        _say({"is": "hello", "pid": os.getpid(), "version": __version__})
        watching = asyncio.create_task(_watch(reader, until))
        try:
            await serve(task, until, source="")
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def join(
    task: Serve, *, source: str, patience_s: float, cores: int, say: Callable[[str], None] = lambda text: None
) -> bool:
    """Run as an agent until the coordinator ends.  Returns True if a signal ended it instead.

    `source` is the file of the certificate, for messages.  `patience_s` is how long to wait for the coordinator.
    `cores` is the number of engine processes; 0 means as many as the coordinator wants, or one for each core.  `say`
    gets the reason why it waits.
    Raises PlanError, FleetError.
    """
    until = asyncio.Event()
    with _signals(until):
        await serve(task, until, source=source, patience_s=patience_s, cores=cores, say=say)
    return until.is_set()


async def serve(
    task: Serve,
    until: asyncio.Event,
    *,
    source: str,
    patience_s: float | None = None,
    cores: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Run as an agent until `until` is set or the coordinator ends.  Raises PlanError, FleetError."""
    from loadgen.agent.credentials import parse
    from loadgen.agent.dask.join import be_agent
    from loadgen.agent.dask.security import security

    credentials = parse(task.credentials, source) if task.credentials else None
    await be_agent(
        task.scheduler,
        name=task.name,
        bind=task.bind,
        security=security(credentials),
        until=until,
        spool=task.spool,
        cores=cores,
        patience_s=PATIENCE_S if patience_s is None else patience_s,
        ports=parse_ports(task.ports) if task.ports else None,
        dates=credentials.dates if credentials is not None else "",
        say=say,
    )


async def _collect(task: Collect, reader: frames.Reader) -> None:
    path = spools.spool_path(_directory(task.spool), task.run_id, task.name)
    try:
        with path.open("rb") as file:
            if spools.is_written(file):
                raise FleetError(f"its agent still serves run {task.run_id}; try again when that run has ended")
            digest = await asyncio.to_thread(_send, file)
    except FileNotFoundError:
        raise FleetError(f"there is no spool of {task.name} in run {task.run_id} here ({path})") from None
    except BrokenPipeError:
        raise
    except OSError as error:
        raise FleetError(f"the spool {path} cannot be read: {error.strerror}") from error
    if task.delete:
        with contextlib.suppress(frames.FrameError):
            if await frames.receive(reader, _BOOTSTRAP_MAX_BYTES) == {"do": "received", "sha256": digest}:
                spools.remove(path)


def _directory(spool: str) -> Path:
    return Path(spool).expanduser() if spool else spools.default_directory(os.environ)


def _send(file: BinaryIO) -> str:
    """Send a whole spool in frames.  Returns its SHA-256."""
    digest, size = hashlib.sha256(), 0
    while data := file.read(PART_BYTES):
        digest.update(data)
        size += len(data)
        _say({"is": "spool", "data": data})
    _say({"is": "end", "bytes": size, "sha256": digest.hexdigest()})
    return digest.hexdigest()


def _say(message: dict[str, Any]) -> None:
    sys.stdout.buffer.write(frames.encode(message))
    sys.stdout.buffer.flush()


async def _standard_input() -> asyncio.StreamReader:
    mode = os.fstat(0).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        raise PlanError(
            "standard input must be a pipe that gives this worker its task",
            hint="to start a worker by hand, use --join",
        )
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    return reader


async def _watch(reader: asyncio.StreamReader, until: asyncio.Event) -> None:
    """Set `until` when the input ends, because then the parent process has ended."""
    with contextlib.suppress(OSError):
        while await reader.read(4096):
            pass
    until.set()


@contextlib.contextmanager
def _signals(until: asyncio.Event) -> Iterator[None]:
    """Inside, a signal to end sets `until`, so that traffic is stopped and the last reports are kept."""
    loop = asyncio.get_running_loop()
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, until.set)
    try:
        yield
    finally:
        for number in _STOP_SIGNALS:
            loop.remove_signal_handler(number)
