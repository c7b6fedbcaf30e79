"""The application of `loadgen web`: lists records, opens them, and compares them.  Nothing is written."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode

from aiohttp import web

from coordinator.output.groups import LETTERS, compare_records
from coordinator.output.judged import read_judged
from coordinator.output.terminal.compare_report import print_comparison
from coordinator.output.web.drawn import drawn
from coordinator.output.web.guard import Guard, guarded
from coordinator.output.web.live import add_static
from coordinator.output.web.shelf import Listed, Shelf, key_of
from coordinator.output.web.templates import render
from coordinator.output.web.words import page_of, plain_console, report_in_words, saying, words_of
from coordinator.output.web.worker import Worker
from coordinator.record.header import RecordError
from coordinator.record.reader import Judge
from loadgen.model.errors import LoadgenError

_ON_A_PAGE = 100
_MAX_COMPARED = len(LETTERS)
_COMPARISON_WIDTH = 100


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
    worker = Worker(app, "records")

    def add(path: str, show: Callable[[_Query], str | web.Response], title: str) -> None:
        async def handle(request: web.Request) -> web.Response:
            query = _Query(request)
            return await worker.make(lambda: _shown(show, query, title), lambda: request.transport is not None)

        app.router.add_get(path, handle)

    add("/", lambda query: _list(shelf, query), "Records")
    add("/record", lambda query: _record(shelf, judges, query), "Record")
    add("/report", lambda query: _report(shelf, judges, query), "Report")
    add("/compare", lambda query: _compare(shelf, judges, query), "Comparison")
    add_static(app)
    return app


def _shown(show: Callable[[_Query], str | web.Response], query: _Query, title: str) -> web.Response:
    """A page.  Whatever is wrong with a record is one line."""
    try:
        found = show(query)
    except RecordError as error:
        return saying(title, words_of(error), status=404)
    except LoadgenError as error:
        return saying(title, words_of(error), status=422)
    except Exception as error:  # noqa: BLE001 - a record may be of any content, and the page must say so
        return saying(title, f"This cannot be shown: {type(error).__name__}: {error}", status=422)
    return page_of(found) if isinstance(found, str) else found


def _list(shelf: Shelf, query: _Query) -> str:
    listing = shelf.all()
    every = listing.records
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
        left_out=listing.left_out,
        page=page,
        pages=pages,
        link=_link,
    )


def _record(shelf: Shelf, judges: Mapping[str, Judge], query: _Query) -> str:
    key = query.one("run")
    path = shelf.find(key)
    judged = read_judged(path, judges)
    return render(
        "record",
        title=str(path.relative_to(shelf.root)) if path != shelf.root else str(path),
        verdict=judged.result.verdict.value,
        kind=judged.header.kind,
        cut=judged.cut,
        text=report_in_words(judged),
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
    when = {key: shelf.one(key).started_at for key in keys}
    keys.sort(key=lambda key: (when[key], key))  # the oldest is what the others are compared with
    wrong, stream = "", io.StringIO()
    try:
        found = compare_records([shelf.find(key) for key in keys], judges, allow=allow)
    except RecordError:
        raise
    except LoadgenError as error:
        wrong = words_of(error)
    else:
        print_comparison(plain_console(stream, _COMPARISON_WIDTH), found)
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
