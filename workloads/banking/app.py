"""The reference server: makes the pages, and serves the images where no web server in front does."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from workloads.banking import images, pages
from workloads.page_app import page_app


def vm_app(docroot: Path, workdir: Path, static: bool) -> web.Application:
    """The application of a VM, as :attr:`workloads.api.ServerFiles.app` describes; it keeps nothing in `workdir`."""
    files = docroot if static else None
    return page_app(pages.SITE.root, _page, docroot=files, is_file=images.is_path, send=_image)


def _page(path: str) -> bytes | None:
    found = pages.SITE.parse_path(path)
    return None if found is None else pages.render(*found)


def _image(file: Path) -> web.StreamResponse:
    """The image, which is small and is read in the event loop."""
    return web.Response(body=file.read_bytes(), content_type="application/octet-stream")
