"""The applications of a running command: its page with server-sent events, and its metrics."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web

from coordinator.output.judged import read_judged
from coordinator.output.prometheus import content_type
from coordinator.output.web.board import Board, Reader
from coordinator.output.web.guard import Guard, guarded
from coordinator.output.web.metrics import Metrics
from coordinator.output.web.templates import render
from coordinator.output.web.words import page_of, report_in_words, saying, words_of
from coordinator.output.web.worker import Worker
from coordinator.record.reader import load
from loadgen.model.errors import LoadgenError

_STATIC = Path(__file__).parent / "static"
_FILES = {"style.css": "text/css", "live.js": "text/javascript"}
_ALIVE_S, _WRITE_S = 2.0, 20.0
_ALIVE = b"event: alive\ndata: {}\n\n"
"""Without a change, the page is told in this way that loadgen is still there."""
_FULL = b"event: full\ndata: {}\n\n"


def page_app(board: Board, guard: Guard) -> web.Application:
    """The page of a running command, its events, and the report when it is over."""
    app = guarded(guard)
    worker = Worker(app, "pages")

    async def live(_: web.Request) -> web.Response:
        return page_of(render("live", title="Live"))

    async def events(request: web.Request) -> web.StreamResponse:
        return await _stream(board, request)

    async def text(request: web.Request) -> web.Response:
        return await worker.make(lambda: _text(board), lambda: request.transport is not None)

    async def report(request: web.Request) -> web.Response:
        return await worker.make(lambda: _report(board), lambda: request.transport is not None)

    app.router.add_get("/", live)
    app.router.add_get("/events", events, allow_head=False)
    app.router.add_get("/text", text)
    app.router.add_get("/report", report)
    add_static(app)
    return app


def metrics_app(board: Board, guard: Guard) -> web.Application:
    """The metrics of a running command."""
    app = guarded(guard)
    written = Metrics(board, Worker(app, "metrics"))

    async def metrics(request: web.Request) -> web.Response:
        form = content_type(request.headers.get("Accept", ""))
        return web.Response(body=await written.text(form), headers={"Content-Type": form})

    async def about(_: web.Request) -> web.Response:
        return saying("Metrics", "Metrics for Prometheus are served at this path:", link="/metrics")

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
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    with board.reading(transport.abort) as reader:
        await response.prepare(request)
        if reader is None:
            await response.write(_FULL)
            return response
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


def _text(board: Board) -> web.Response:
    """The page of the report as text."""
    if board.judged is None:
        return saying("Report", "The run is not over yet.")
    try:
        text = report_in_words(board.judged)
    except LoadgenError as error:
        return saying("Report", words_of(error))
    return page_of(render("text", title="Report", text=text, up="/", up_name="Live page"))


def _report(board: Board) -> web.Response:
    """The report with plots, made from the record, which has the plan without its secrets."""
    if board.judged is None:
        return saying("Report", "The run is not over yet.")
    from coordinator.output.web.drawn import drawn  # most runs are over before anybody asks for this

    path = board.judged.path
    try:
        record = load(path)
        if not record.finished:  # the disk was full
            text = f"The record {path} is incomplete: it has no result. The report as text has it:"
            return saying("Report", text, link="/text")
        return drawn([read_judged(path, {})])
    except LoadgenError as error:
        return saying("Report", f"The report cannot be drawn: {words_of(error)}")
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the record, the page says so
        return saying("Report", f"The report cannot be drawn: {type(error).__name__}: {error}")
