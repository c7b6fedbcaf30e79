"""The application of VMs whose server is an application and nothing else: it serves the one file of a packing."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web


def make_app(docroot: Path, workdir: Path, static: bool) -> web.Application:
    """Serve the files below `docroot`; a server in front serves them itself unless `static`."""
    app = web.Application()
    if static:
        app.router.add_static("/", docroot)
    return app
