"""The reference server: makes the pages, and serves the images where no web server in front does."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from workloads.banking import images, pages
from workloads.fileset import FOLDER


def vm_app(docroot: Path, workdir: Path, static: bool) -> web.Application:
    """The application of a VM, as :attr:`workloads.api.ServerFiles.app` describes; it keeps nothing in `workdir`."""
    app = web.Application()
    app.router.add_get(f"{pages.ROOT}{{page}}", _page)
    if static:
        app.router.add_get(f"/{FOLDER}/{{path:.*}}", _Images(docroot).get)
    return app


async def _page(request: web.Request) -> web.Response:
    """Answer with the page that the path names."""
    found = pages.parse_path(request.raw_path)
    if found is None:
        raise web.HTTPNotFound
    return web.Response(body=pages.render(*found), content_type="text/html")


class _Images:
    """Serves the files of a document root; they are small, and read in the event loop."""

    def __init__(self, docroot: Path) -> None:
        self._root = docroot

    async def get(self, request: web.Request) -> web.Response:
        """Answer with the image that the path names."""
        if not images.is_path(request.raw_path):
            raise web.HTTPNotFound
        try:
            body = (self._root / request.raw_path.removeprefix("/")).read_bytes()
        except FileNotFoundError:
            raise web.HTTPNotFound from None
        return web.Response(body=body, content_type="application/octet-stream")
