"""What the pages of a running command show, and the readers that are told of each change.

A change is written as bytes once, for all readers, and only when there are readers.  A reader that does not read is
dropped: the run never waits for a page.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from coordinator.output.judged import Judged
from coordinator.output.watched import Watched
from coordinator.output.web.pictures import picture_of, points_of, tables_of
from loadgen.model.units import NS_PER_S
from loadgen.verdict.result import Verdict

_PENDING = 16
"""Messages that a reader may be behind; a picture comes once a second, and the position twice."""
_MAX_READERS = 32
_MAX_POINTS = 1800
_LINE_POINTS = 60
_MAX_SAID = 200


class Reader:
    """One page that is open.  `abort` ends its connection at once."""

    def __init__(self, abort: Callable[[], None]) -> None:
        self._abort = abort
        self._pending: asyncio.Queue[bytes] = asyncio.Queue(_PENDING)
        self.dropped = False

    def offer(self, message: bytes) -> None:
        """Pass on a message.  A reader that is too far behind is dropped."""
        if self.dropped:
            return
        try:
            self._pending.put_nowait(message)
        except asyncio.QueueFull:
            self.dropped = True
            self._abort()

    async def next(self) -> bytes:
        """The next message, as soon as there is one."""
        return await self._pending.get()


class Board:
    """The present state of a command that plays runs.  No method raises an exception: a page must not cost a run.

    `say` is called once, with a sentence, when the pages cannot be made any more.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say_problem = say
        self._broken = False
        self._readers: set[Reader] = set()
        self._said: deque[str] = deque(maxlen=_MAX_SAID)
        self._runs: list[dict[str, Any]] = []
        self._ended: Counter[str] = Counter()
        self._between = False
        self._over: dict[str, Any] | None = None
        self.judged: Judged[Any, Any] | None = None
        self._forget("")

    def _forget(self, kind: str) -> None:
        self.kind = kind
        self._watched: Watched | None = None
        self._view: Any = None
        self._stamp = ""
        self._began_ns = time.monotonic_ns()
        self._plots: dict[str, dict[str, Any]] = {}
        self._times: list[float] = []
        self._lines: deque[tuple[float, ...]] = deque(maxlen=_LINE_POINTS)

    @property
    def watched(self) -> Watched:
        """The present moment, for the metrics: the same object until something changes."""
        if self._watched is None:
            self._watched = Watched(kind=self.kind, view=self._view, ended=dict(self._ended))
        return self._watched

    def begin(self, kind: str) -> None:
        """Another run begins."""
        with self._harmless():
            self._forget(kind)
            self._between = False
            self._tell("all", self._all)

    def update(self, view: Any) -> None:
        """The run is at this point now."""
        with self._harmless():
            self._view, self._watched = view, None
            picture = picture_of(view)
            if picture.stamp == self._stamp and self._times:
                self._tell("where", lambda: {"where": picture.where, "notices": picture.notices})
                return
            self._stamp = picture.stamp
            points = points_of(view)
            self._remember(picture.plots, points)
            self._tell("picture", lambda: self._picture(view) | {"points": points})

    def say(self, text: str) -> None:
        """A line of text for the user."""
        with self._harmless():
            self._said.append(text)
            self._tell("said", lambda: {"text": text})

    def ended(self, label: str, judged: Judged[Any, Any]) -> None:
        """A run is over."""
        with self._harmless():
            verdict = judged.result.verdict.value
            self._ended[verdict] += 1
            self._between, self._watched = True, None
            self._runs.append({"name": label, "verdict": verdict, "why": next(iter(judged.result.reasons), "")})
            self._tell("runs", lambda: {"runs": self._runs})

    def over(self, judged: Judged[Any, Any]) -> None:
        """The command has its result."""
        with self._harmless():
            self.judged = judged
            result = judged.result
            self._over = {
                "verdict": result.verdict.value,
                "bad": result.verdict is not Verdict.CONFORMING,
                "reasons": list(result.reasons),
                "record": str(judged.path),
            }
            self._tell("over", lambda: {"over": self._over})

    @contextlib.contextmanager
    def reading(self, abort: Callable[[], None]) -> Iterator[Reader | None]:
        """Inside, the reader is told of all changes; first of all that is known.  None when there are too many."""
        if len(self._readers) >= _MAX_READERS:
            yield None
            return
        reader = Reader(abort)
        reader.offer(_message("all", self._all()))
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)

    @property
    def readers(self) -> int:
        """The number of pages that are open."""
        return len(self._readers)

    def _remember(self, plots: Any, points: tuple[float, ...]) -> None:
        self._times.append(round((time.monotonic_ns() - self._began_ns) / NS_PER_S, 2))
        before = len(self._times) - 1
        for plot in plots:
            kept = self._plots.setdefault(plot.title, {"unit": plot.unit, "values": [None] * before})
            kept["unit"] = plot.unit
            kept["values"].append(plot.value)
        if len(self._times) > _MAX_POINTS:  # a longer run is shown with every second point
            del self._times[::2]
            for kept in self._plots.values():
                del kept["values"][::2]
        if points:
            self._lines.append(points)

    def _picture(self, view: Any) -> dict[str, Any]:
        at_s = self._times[-1] if self._times else 0.0
        return {"picture": picture_of(view), "tables": tables_of(view), "at_s": at_s}

    def _all(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "between": self._between,
            **({} if self._view is None else self._picture(self._view)),
            "times": self._times,
            "plots": self._plots,
            "lines": list(self._lines),
            "said": list(self._said),
            "runs": self._runs,
            "over": self._over,
        }

    def _tell(self, event: str, document: Callable[[], Any]) -> None:
        if not self._readers:
            return
        message = _message(event, document())
        for reader in tuple(self._readers):
            reader.offer(message)
            if reader.dropped:
                self._readers.discard(reader)

    @contextlib.contextmanager
    def _harmless(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a page, the run goes on
            if self._broken:
                return
            self._broken = True
            self._say_problem(f"the live page stopped, the run goes on: {type(error).__name__}: {error}")


def _message(event: str, document: Any) -> bytes:
    """An event of the server-sent events of HTML: JSON has no line breaks."""
    try:
        data = _encoder.encode(document)
    except UnicodeEncodeError:  # the names of files need not be text
        data = _encoder.encode(_as_text(msgspec.to_builtins(document)))
    return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"


def _as_text(value: Any) -> Any:
    """Plain data in which each text is one that UTF-8 can hold."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {_as_text(key): _as_text(one) for key, one in value.items()}
        case list() | tuple():
            return [_as_text(one) for one in value]
    return value


_encoder = msgspec.json.Encoder()
