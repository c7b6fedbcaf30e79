"""The reference server: answers every request of a SPECweb99-style load, as one aiohttp application.

A web server in front of the application may serve the static files itself and forward only `/dyn/` and `/cgi/`.
Files are read in the event loop: they are in the page cache, and a thread costs several times as much as the read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from loadgen import __version__
from workloads.specweb99 import ads, cgi, files, page, urls
from workloads.specweb99.postlog import PostRecord
from workloads.specweb99.store import AdStore, PostLog

CGI_SCRIPT = Path(__file__).with_name("cgi.sh")
"""The script that the CGI operation runs; it needs a POSIX shell and cat."""

_SOFTWARE = f"loadgen/{__version__}"
_MAX_BODY_BYTES = 4096  # a POST has about 70
_Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppConfig:
    """The settings of one server.

    `docroot` contains the file set; the server keeps its POST log and ad tables in `workdir`, which no other server
    uses.  `static` says whether it serves the static files, too.
    """

    docroot: Path
    workdir: Path
    cgi_script: Path = CGI_SCRIPT
    static: bool = True


def vm_app(docroot: Path, workdir: Path, static: bool) -> web.Application:
    """The application of a VM, as :attr:`workloads.api.ServerFiles.app` describes."""
    return create_app(AppConfig(docroot=docroot, workdir=workdir, static=static))


def create_app(config: AppConfig) -> web.Application:
    """The application; it starts no process and opens no file before its first request."""
    server = _Server(config)
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    app.router.add_get(urls.DYNAMIC_GET, server.explained(server.standard_get))
    app.router.add_get(urls.DYNAMIC_CAD, server.explained(server.cad_get))
    app.router.add_post(urls.DYNAMIC_POST, server.explained(server.post))
    app.router.add_get(urls.DYNAMIC_CGI, server.explained(server.cgi_get))
    app.router.add_get(urls.COMMAND, server.explained(server.command))
    if config.static:
        app.router.add_get(f"{urls.URL_ROOT}{{path:.*}}", server.static)
    return app


class _PageError(Exception):
    """A dynamic operation failed; the reply is its page, with the message in place of the file."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Server:
    """The request handlers and their common state."""

    def __init__(self, config: AppConfig) -> None:
        self._root = str(config.docroot)
        self._script = config.cgi_script
        self._log = PostLog(config.workdir)
        self._ads = AdStore(config.workdir)

    def explained(self, handler: _Handler) -> _Handler:
        """`handler`, with each error turned into a page and a cookie that explain it."""

        async def handle(request: web.Request) -> web.Response:
            try:
                return await handler(request)
            except _PageError as error:
                status, message = error.status, str(error)
            except (OSError, ValueError) as error:
                status, message = 500, f"{type(error).__name__}: {error}"
            except web.HTTPRequestEntityTooLarge:
                status, message = 413, f"the request is larger than {_MAX_BODY_BYTES} bytes"
            return self._page(request, message.encode(), cookie=ads.MISSED_COOKIE, status=status)

        return handle

    async def static(self, request: web.Request) -> web.Response:
        """Answer a static GET with the file."""
        if urls.parse_file_path(request.raw_path) is None:
            raise web.HTTPNotFound
        try:
            content = self._read(request.raw_path)
        except FileNotFoundError as error:
            raise web.HTTPNotFound from error
        return web.Response(body=content, content_type="text/html")

    async def standard_get(self, request: web.Request) -> web.Response:
        """Answer a standard dynamic GET with the file in the page."""
        path, _ = self._file(_query(request))
        return self._page(request, self._content(path))

    async def cad_get(self, request: web.Request) -> web.Response:
        """Answer a CAD GET: the file in the page, with the ad for the cookie in its tags and in a new cookie."""
        path, (_, class_, _) = self._file(_query(request))
        user, last_ad = self._cookie(request)
        found = self._ads.search(user, last_ad, int(time.time()))
        if found is None:
            raise _PageError(500, "no advertisement matches")
        content = self._content(path)
        if files.TAGS[class_]:
            content = _substitute(content, found[0])
        return self._page(request, content, cookie=ads.found_cookie(*found))

    async def post(self, request: web.Request) -> web.Response:
        """Answer a POST: append it to the log, and return the file that it names in the page."""
        body = await request.read()
        fields = urls.parse_post_body(body)
        if fields is None:
            raise _PageError(400, "the body does not have the five fields of a POST")
        *file, client = fields
        user, _ = self._cookie(request)
        path = urls.file_path(*file)
        content = self._content(path)
        self._log.append(
            PostRecord(
                number=0,
                time_s=int(time.time()),
                pid=os.getpid(),
                directory=file[0],
                class_=file[1],
                num=file[2],
                client=client,
                name=path,
                pid_again=os.getpid(),
                user_id=ads.FIRST_USER + user,
            )
        )
        return self._page(request, content, cookie=ads.user_cookie(user), query=body.decode("latin-1"))

    async def cgi_get(self, request: web.Request) -> web.Response:
        """Answer a GET through CGI: a new process prints the file in the page."""
        environment = {
            "GATEWAY_INTERFACE": "CGI/1.1",
            "DOCUMENT_ROOT": self._root,
            "PATH": os.defpath,
            "QUERY_STRING": _query(request),
            "REMOTE_ADDR": request.remote or "",
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": request.path,
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_SOFTWARE": _SOFTWARE,
        }
        try:
            reply = await cgi.run(self._script, environment)
        except cgi.CgiError as error:
            raise _PageError(500, str(error)) from error
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)

    async def command(self, request: web.Request) -> web.Response:
        """Answer the commands Reset and Fetch."""
        query = _query(request)
        if query == urls.FETCH.partition("?")[2]:
            return self._page(request, self._log.read())
        tables = urls.parse_reset(query, int(time.time()))
        if tables is None:
            raise _PageError(400, "there is no such command")
        self._log.reset()
        self._ads.write(tables)
        return self._page(request, b"reset")

    def _file(self, path: str) -> tuple[str, tuple[int, int, int]]:
        file = urls.parse_file_path(path)
        if file is None:
            raise _PageError(400, "the query string does not name a file of the file set")
        return path, file

    def _cookie(self, request: web.Request) -> tuple[int, int]:
        cookie = ads.parse_request_cookie(request.headers.get("Cookie", ""), self._ads.users())
        if cookie is None:
            raise _PageError(400, "the cookie does not name a user and an advertisement")
        return cookie

    def _content(self, path: str) -> bytes:
        try:
            return self._read(path)
        except FileNotFoundError as error:
            raise _PageError(404, "there is no such file") from error

    def _read(self, path: str) -> bytes:
        """The content of a file; parse_file_path must have accepted `path`."""
        handle = os.open(self._root + path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(handle, os.fstat(handle).st_size)  # one read returns the whole of a regular file
        finally:
            os.close(handle)

    def _page(
        self, request: web.Request, content: bytes, *, cookie: str = "", status: int = 200, query: str | None = None
    ) -> web.Response:
        body = page.render(
            content,
            software=_SOFTWARE,
            remote=request.remote or "",
            script=request.path,
            query=_query(request) if query is None else query,
        )
        headers = {"Set-Cookie": cookie} if cookie else None
        return web.Response(status=status, body=body, content_type="text/html", headers=headers)


def _query(request: web.Request) -> str:
    """The query string as it was sent, without decoding."""
    return request.raw_path.partition("?")[2]


def _substitute(content: bytes, ad: int) -> bytes:
    """`content` with the name of the ad in every tag; the length stays the same."""
    return content.replace(files.TAG_OPEN + files.TAG_TEXT, files.TAG_OPEN + ads.tag_text(ad).encode())
