"""Pages that say one sentence, and reports as text for pages."""

from __future__ import annotations

import io
from typing import Any, TextIO

from aiohttp import web
from rich.console import Console

from coordinator.output.judged import Judged
from coordinator.output.text import REPORTS
from coordinator.output.web.templates import render
from loadgen.model.errors import LoadgenError

_WIDTH = 80


def page_of(html: str, status: int = 200) -> web.Response:
    """A page as the reply to a request."""
    return web.Response(status=status, text=html, content_type="text/html")


def saying(title: str, text: str, *, link: str = "/", status: int = 200) -> web.Response:
    """A page that says one sentence, with a link to another page if `link` is not ""."""
    return page_of(render("words", title=title, text=text, link=link), status)


def words_of(error: LoadgenError) -> str:
    """An error with its hint, in one line."""
    return f"{error.message} ({error.hint})" if error.hint else error.message


def plain_console(stream: TextIO, width: int = _WIDTH) -> Console:
    """Writes text without colours, whatever the environment says about the terminal of the command."""
    return Console(file=stream, width=width, force_terminal=False)


def report_in_words(judged: Judged[Any, Any]) -> str:
    """The report on a run as text.  Raises LoadgenError when there is nothing to say."""
    stream = io.StringIO()
    REPORTS[judged.header.kind](plain_console(stream), judged)
    return stream.getvalue()
