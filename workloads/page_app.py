"""A reference server that makes pages, and serves files where no web server in front does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from workloads.fileset import FOLDER


def page_app(
    root: str,
    page: Callable[[str], bytes | None],
    *,
    docroot: Path | None,
    is_file: Callable[[str], bool],
    send: Callable[[Path], web.StreamResponse],
) -> web.Application:
    """Return the application.  `page` makes the body of the page at a path below `root`; None for a path of no page.

    `docroot`: where the files lie; None if another server serves them.  `is_file` says whether a path is that of a file
    of the workload.  `send` returns the reply with such a file, or raises FileNotFoundError.
    """

    async def get_page(request: web.Request) -> web.Response:
        body = page(request.raw_path)
        if body is None:
            raise web.HTTPNotFound
        return web.Response(body=body, content_type="text/html")

    async def get_file(request: web.Request) -> web.StreamResponse:
        if docroot is None or not is_file(request.raw_path):
            raise web.HTTPNotFound
        try:
            return send(docroot / request.raw_path.removeprefix("/"))
        except FileNotFoundError:
            raise web.HTTPNotFound from None

    app = web.Application()
    app.router.add_get(f"{root}{{page}}", get_page)
    app.router.add_get(f"/{FOLDER}/{{path:.*}}", get_file)
    return app
