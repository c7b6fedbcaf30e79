"""The reference server: makes the pages, and serves the downloads where no web server in front does."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from workloads.fileset import FOLDER
from workloads.support import downloads, pages


def vm_app(docroot: Path, workdir: Path, static: bool) -> web.Application:
    """The application of a VM, as :attr:`workloads.api.ServerFiles.app` describes; it keeps nothing in `workdir`."""
    app = web.Application()
    app.router.add_get(f"{pages.ROOT}{{page}}", _page)
    if static:
        app.router.add_get(f"/{FOLDER}/{{path:.*}}", _Downloads(docroot).get)
    return app


async def _page(request: web.Request) -> web.Response:
    """Answer with the page that the path names."""
    found = pages.parse_path(request.raw_path)
    if found is None:
        raise web.HTTPNotFound
    return web.Response(body=pages.render(*found), content_type="text/html")


class _Downloads:
    """Serves the files of a document root."""

    def __init__(self, docroot: Path) -> None:
        self._root = docroot

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Answer with the file that the path names, which is sent as the reader takes it."""
        if not downloads.is_path(request.raw_path):
            raise web.HTTPNotFound
        file = self._root / request.raw_path.removeprefix("/")
        if not file.is_file():
            raise web.HTTPNotFound
        return web.FileResponse(file, headers={"Content-Type": "application/octet-stream"})
