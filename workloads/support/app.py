"""The reference server: makes the pages, and serves the downloads where no web server in front does."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from workloads.page_app import page_app
from workloads.support import downloads, pages


def vm_app(docroot: Path, workdir: Path, static: bool) -> web.Application:
    """The application of a VM, as :attr:`workloads.api.ServerFiles.app` describes; it keeps nothing in `workdir`."""
    files = docroot if static else None
    return page_app(pages.SITE.root, _page, docroot=files, is_file=downloads.is_path, send=_download)


def _page(path: str) -> bytes | None:
    found = pages.SITE.parse_path(path)
    return None if found is None else pages.SITE.render(*found)


def _download(file: Path) -> web.StreamResponse:
    """The file, which is sent as the reader takes it."""
    if not file.is_file():
        raise FileNotFoundError(file)
    return web.FileResponse(file, headers={"Content-Type": "application/octet-stream"})
