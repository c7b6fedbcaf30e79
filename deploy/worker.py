"""The life of an app worker: what a process forked from the warden does.

Kept apart from the warden, which must not touch an event loop before it forks.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import uvloop
from aiohttp import web

from deploy.servers.base import BACKLOG, KEEP_ALIVE_S
from deploy.wire import AppWorker
from workloads.specweb99.app import AppConfig, create_app

_SHUTDOWN_S = 0.2
"""How long requests under way may take when it is told to end."""


def run_worker(worker: AppWorker) -> None:
    """Serve until SIGTERM."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(worker))


async def _serve(worker: AppWorker) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    app = create_app(AppConfig(docroot=Path(worker.docroot), workdir=Path(worker.workdir), static=worker.static))
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=KEEP_ALIVE_S, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        if worker.unix_socket:
            await web.UnixSite(runner, worker.unix_socket, backlog=BACKLOG).start()
        else:
            await web.TCPSite(runner, worker.host, worker.port, backlog=BACKLOG, reuse_address=True).start()
        await ended.wait()
    finally:
        await runner.cleanup()
