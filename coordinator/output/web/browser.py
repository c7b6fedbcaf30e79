"""The application of `loadgen web`: lists records, opens them, and compares them.  Nothing is written."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode

from aiohttp import web
from rich.console import Console

from coordinator.output.groups import LETTERS, compare_records
from coordinator.output.judged import read_judged
from coordinator.output.terminal.compare_report import print_comparison
from coordinator.output.text import write_text
from coordinator.output.web.drawn import drawn
from coordinator.output.web.guard import Guard, guarded
from coordinator.output.web.live import add_static
from coordinator.output.web.shelf import MAX_RECORDS, Listed, Shelf, key_of
from coordinator.output.web.templates import render
from coordinator.record.header import RecordError
from coordinator.record.reader import Judge
from loadgen.model.errors import LoadgenError

_ON_A_PAGE = 100
_MAX_COMPARED = len(LETTERS)


class _Query:
    """The query of a request.  A name need not be UTF-8."""

    def __init__(self, request: web.Request) -> None:
        self._pairs = parse_qsl(request.rel_url.raw_query_string, errors="surrogateescape", max_num_fields=1000)

    def one(self, name: str) -> str:
        """The first value of this name; "" when there is none."""
        return next(iter(self.all(name)), "")

    def all(self, name: str) -> list[str]:
        """All values of this name, in their order."""
        return [value for key, value in self._pairs if key == name]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filter:
    """Which records are shown: those that hold the text, and are of the kind and verdict."""

    text: str
    kind: str
    verdict: str
    parts: bool

    def fits(self, one: Listed) -> bool:
        """Whether a record is shown."""
        words = f"{one.name} {one.kind} {one.verdict} {one.why} {one.started_at}".lower()
        return (
            (self.parts or not one.inside)
            and (not self.kind or one.kind == self.kind)
            and (not self.verdict or one.verdict == self.verdict)
            and all(word in words for word in self.text.lower().split())
        )

    def query(self, page: int) -> str:
        """The query of another page of the same list."""
        parts = {"parts": "on"} if self.parts else {}
        asked = {"text": self.text, "kind": self.kind, "verdict": self.verdict, "page": str(page), **parts}
        return urlencode(asked, errors="surrogateescape")


def records_app(root: Path, judges: Mapping[str, Judge], guard: Guard) -> web.Application:
    """The application that shows the records below `root`; `judges` are those of cut runs, by kind."""
    app, shelf = guarded(guard), Shelf(root)
    # One at a time, beside the loop: reading a record may take seconds, and all of it is Python.
    worker = ThreadPoolExecutor(1, "records")

    def add(path: str, show: Callable[[_Query], str | web.Response], title: str) -> None:
        async def handle(request: web.Request) -> web.Response:
            query = _Query(request)
            status, found = await asyncio.get_running_loop().run_in_executor(worker, _shown, show, query, title)
            if isinstance(found, web.Response):
                return found
            return web.Response(status=status, text=found, content_type="text/html")

        app.router.add_get(path, handle)

    async def close(_: web.Application) -> None:
        worker.shutdown(wait=False, cancel_futures=True)

    add("/", lambda query: _list(shelf, query), "Records")
    add("/record", lambda query: _record(shelf, judges, query), "Record")
    add("/report", lambda query: _report(shelf, judges, query), "Report")
    add("/compare", lambda query: _compare(shelf, judges, query), "Comparison")
    add_static(app)
    app.on_cleanup.append(close)
    return app


def _shown(show: Callable[[_Query], str | web.Response], query: _Query, title: str) -> tuple[int, str | web.Response]:
    """The status and the text of a page, or the whole reply.  Whatever is wrong with a record is one line."""
    try:
        return 200, show(query)
    except RecordError as error:
        return 404, _refusal(title, error)
    except LoadgenError as error:
        return 422, _refusal(title, error)
    except Exception as error:  # noqa: BLE001 - a record may be of any content, and the page must say so
        text = f"This cannot be shown: {type(error).__name__}: {error}"
        return 422, render("words", title=title, text=text, link="/")


def _refusal(title: str, error: LoadgenError) -> str:
    return render("words", title=title, text=f"{error.message}{f' ({error.hint})' if error.hint else ''}", link="/")


def _list(shelf: Shelf, query: _Query) -> str:
    every = shelf.all()
    chosen = _Filter(
        text=query.one("text"), kind=query.one("kind"), verdict=query.one("verdict"), parts=bool(query.one("parts"))
    )
    fitting = [one for one in every if chosen.fits(one)]
    pages = max(1, -(-len(fitting) // _ON_A_PAGE))
    asked = query.one("page")
    page = min(pages, max(1, int(asked[:9]) if asked.isascii() and asked.isdecimal() else 1))
    return render(
        "list",
        title="Records",
        root=str(shelf.root),
        records=fitting[(page - 1) * _ON_A_PAGE : page * _ON_A_PAGE],
        chosen=chosen,
        kinds=sorted({one.kind for one in every if one.kind}),
        verdicts=sorted({one.verdict for one in every}),
        found=len(fitting),
        cut=len(every) >= MAX_RECORDS,
        page=page,
        pages=pages,
        link=_link,
    )


def _record(shelf: Shelf, judges: Mapping[str, Judge], query: _Query) -> str:
    key = query.one("run")
    path = shelf.find(key)
    stream = io.StringIO()
    judged = read_judged(path, judges)
    write_text(judged, stream)
    return render(
        "record",
        title=str(path.relative_to(shelf.root)) if path != shelf.root else str(path),
        verdict=judged.result.verdict.value,
        kind=judged.header.kind,
        cut=judged.cut,
        text=stream.getvalue(),
        runs=shelf.below(key),
        link=_link,
        report=f"/report?{urlencode({'run': key})}",
    )


def _report(shelf: Shelf, judges: Mapping[str, Judge], query: _Query) -> web.Response:
    return drawn([read_judged(shelf.find(query.one("run")), judges)])


def _compare(shelf: Shelf, judges: Mapping[str, Judge], query: _Query) -> str:
    keys = list(dict.fromkeys(query.all("run")))
    allow = tuple(field for text in query.all("allow") for field in text.replace(",", " ").split())
    if not 2 <= len(keys) <= _MAX_COMPARED:
        raise LoadgenError(
            f"{len(keys)} records were chosen, but 2 to {_MAX_COMPARED} can be compared",
            hint="mark them in the list of records",
        )
    when = {one.key: one.started_at for one in shelf.all()}
    keys.sort(key=lambda key: (when.get(key, ""), key))  # the oldest is what the others are compared with
    wrong, stream = "", io.StringIO()
    try:
        found = compare_records([shelf.find(key) for key in keys], judges, allow=allow)
    except RecordError:
        raise
    except LoadgenError as error:
        wrong = f"{error.message}{f' ({error.hint})' if error.hint else ''}"
    else:
        print_comparison(Console(file=stream, width=100), found)
    return render(
        "compare",
        title="Comparison",
        groups=[(letter, unquote(key, errors="surrogateescape")) for letter, key in zip(LETTERS, keys, strict=False)],
        keys=keys,
        allow=" ".join(allow),
        wrong=wrong,
        text=stream.getvalue(),
        link=_link,
    )


def _link(name: str) -> str:
    """The link to the page of a record."""
    return f"/record?{urlencode({'run': key_of(name)})}"
