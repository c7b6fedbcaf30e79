"""An application worker: a process that the warden forks to serve the dynamic operations of one VM.

This code is apart from the warden's, which must not create an event loop before it forks.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import uvloop
from aiohttp import web

from deploy.servers.base import BACKLOG, KEEP_ALIVE_S
from deploy.wire import AppWorker

MakeApp = Callable[[Path, Path, bool], web.Application]
"""Makes an application from a document root, a directory that it may write to, and whether it serves the files, too."""


def run_worker(worker: AppWorker, make_app: MakeApp) -> None:
    """Serve the application as `worker` says until this process is killed."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(worker, make_app))


async def _serve(worker: AppWorker, make_app: MakeApp) -> None:
    app = make_app(Path(worker.docroot), Path(worker.workdir), worker.static)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=KEEP_ALIVE_S)
    await runner.setup()
    if worker.unix_socket:
        await web.UnixSite(runner, worker.unix_socket, backlog=BACKLOG).start()
    elif worker.listening_fd:
        await web.SockSite(runner, socket.socket(fileno=worker.listening_fd), backlog=BACKLOG).start()
    else:
        await web.TCPSite(runner, worker.host, worker.port, backlog=BACKLOG, reuse_address=True).start()
    await asyncio.Future()
