"""The applications of a running command: its page with server-sent events, and its metrics."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

from aiohttp import web

from coordinator.output.catalog import write
from coordinator.output.judged import read_judged
from coordinator.output.prometheus import content_type, write_metrics
from coordinator.output.web.board import Board, Reader
from coordinator.output.web.guard import Guard, guarded
from coordinator.output.web.templates import render
from loadgen.model.errors import LoadgenError

_STATIC = Path(__file__).parent / "static"
_FILES = {"style.css": "text/css", "live.js": "text/javascript"}
_ALIVE_S, _WRITE_S = 15.0, 20.0
_ALIVE = b": still here\n\n"


def page_app(board: Board, guard: Guard) -> web.Application:
    """The page of a running command, its events, and the report when it is over."""
    app = guarded(guard)

    async def live(_: web.Request) -> web.Response:
        return web.Response(text=render("live", title="Live"), content_type="text/html")

    async def events(request: web.Request) -> web.StreamResponse:
        return await _stream(board, request)

    async def text(_: web.Request) -> web.Response:
        return web.Response(text=await asyncio.to_thread(_text, board), content_type="text/html")

    async def report(_: web.Request) -> web.Response:
        return await asyncio.to_thread(_report, board)

    app.router.add_get("/", live)
    app.router.add_get("/events", events, allow_head=False)
    app.router.add_get("/text", text)
    app.router.add_get("/report", report)
    add_static(app)
    return app


def metrics_app(board: Board, guard: Guard) -> web.Application:
    """The metrics of a running command."""
    app = guarded(guard)

    async def metrics(request: web.Request) -> web.Response:
        form = content_type(request.headers.get("Accept", ""))
        body = await asyncio.to_thread(lambda: write_metrics(board.watched, form).encode())
        return web.Response(body=body, headers={"Content-Type": form})

    async def about(_: web.Request) -> web.Response:
        text = render("words", title="Metrics", text="Metrics for Prometheus are served at this path:", link="/metrics")
        return web.Response(text=text, content_type="text/html")

    app.router.add_get("/metrics", metrics)
    app.router.add_get("/", about)
    add_static(app)
    return app


def add_static(app: web.Application) -> None:
    """Add the files that pages refer to."""
    kept = {name: (_STATIC / name).read_bytes() for name in _FILES}

    async def static(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in kept:
            raise web.HTTPNotFound
        return web.Response(body=kept[name], content_type=_FILES[name], charset="utf-8")

    app.router.add_get("/static/{name}", static)


async def _stream(board: Board, request: web.Request) -> web.StreamResponse:
    transport = request.transport
    if transport is None:
        raise ConnectionResetError
    with board.reading(transport.abort) as reader:
        if reader is None:
            return web.Response(status=503, text="Too many pages are open.\n")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        await _pass_on(reader, response)
        transport.abort()  # nothing waits until the reader has taken what was written already
        return response


async def _pass_on(reader: Reader, response: web.StreamResponse) -> None:
    """Write the messages of a reader until its connection ends, or does not take them."""
    try:
        while not reader.dropped:
            try:
                async with asyncio.timeout(_ALIVE_S):
                    message = await reader.next()
            except TimeoutError:
                message = _ALIVE
            async with asyncio.timeout(_WRITE_S):
                await response.write(message)
    except (ConnectionError, TimeoutError):
        return


def _text(board: Board) -> str:
    """The page of the report as text."""
    if board.judged is None:
        return render("words", title="Report", text="The run is not over yet.", link="/")
    stream = io.StringIO()
    try:
        write(board.judged, "text", stream)
    except LoadgenError as error:
        return render("words", title="Report", text=error.message, link="/")
    return render("text", title="Report", text=stream.getvalue(), up="/", up_name="Live page")


def _report(board: Board) -> web.Response:
    """The report with plots, made from the record, which has the plan without its secrets."""
    text = "The run is not over yet."
    if board.judged is not None:
        from coordinator.output.web.drawn import drawn  # most runs are over before anybody asks for this

        try:
            return drawn([read_judged(board.judged.path, {})])
        except Exception as error:  # noqa: BLE001 - the record may be incomplete, because the disk was full
            text = f"The report cannot be drawn: {error}"
    return web.Response(text=render("words", title="Report", text=text, link="/"), content_type="text/html")
