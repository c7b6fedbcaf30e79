"""The reply readers in Python and in C behind one interface, so that tests can compare them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from loadgen.engine.body import BodyCheck, BodySpec
from loadgen.engine.http1 import MORE, ReplyReader
from loadgen.schedule.optape import OpTape

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Read:
    """The results of a reader for a stream: `fed` bytes of the stream, until `result`."""

    result: int
    fed: int
    status: int
    body_bytes: int
    reusable: bool
    started: bool
    cookie_right: bool
    verdict: int
    surplus: bool = False
    wrong: bytes = b""


class Reading(Protocol):
    def read(self, row: int, pieces: Iterable[bytes], *, close: bool = True) -> Read: ...


class PythonReading:
    """The Python reader: loadgen.engine.http1 with loadgen.engine.body."""

    def __init__(self, tape: OpTape) -> None:
        self._tape = tape
        self._specs = [BodySpec.decode(check, tape.strings) for check in tape.checks]
        self._literals = [tape.strings[i] for i in tape.ops["literal"].tolist()]
        self._cookies = [tape.strings[i] for i in tape.ops["cookie"].tolist()]
        self._checks = tape.ops["check"].tolist()
        self._reader, self._check = ReplyReader({}), BodyCheck()

    def read(self, row: int, pieces: Iterable[bytes], *, close: bool = True) -> Read:
        reader, check = self._reader, self._check
        check.begin(self._specs[self._checks[row]], self._literals[row])
        reader.begin(check)
        result, fed = MORE, 0
        for piece in pieces:
            result = reader.feed(piece)
            fed += len(piece)
            if result != MORE:
                break
        started = reader.started
        if result == MORE and close:
            result = reader.eof()
        cookie = self._cookies[row]
        # Without a head there is no cookie, and the reader may still hold the cookie of the reply before.
        right = not cookie or (reader.status > 0 and reader.set_cookie() == cookie)
        return Read(
            result,
            fed,
            reader.status,
            reader.body_bytes,
            reader.reusable,
            started,
            right,
            int(check.verdict()),
            reader.surplus,
            reader.wrong,
        )


class CompiledReading:
    """The compiled reader, loadgen.engine.compiled; with `skipping`, bytes that need no check are not passed to it."""

    def __init__(self, tape: OpTape, *, skipping: bool = False) -> None:
        from loadgen.engine.compiled._core import Reader
        from loadgen.engine.compiled.player import arrays_of

        self._reader = Reader(arrays_of(tape, 1), _PIECE_BYTES)
        self._skipping = skipping

    def read(self, row: int, pieces: Iterable[bytes], *, close: bool = True) -> Read:
        reader = self._reader
        reader.begin(row)
        result, fed = MORE, 0
        for piece in pieces:
            skip = min(len(piece), reader.unchecked_ahead) if self._skipping else 0
            if skip:
                result = reader.skip(skip)
                fed += skip
                piece = piece[skip:]
            if result == MORE and piece:
                result = reader.feed(piece, len(piece))
                fed += len(piece)
            if result != MORE:
                break
        started = reader.facts[3]
        if result == MORE and close:
            result = reader.eof()
        status, body_bytes, reusable, _, right, surplus, wrong = reader.facts
        return Read(result, fed, status, body_bytes, reusable, started, right, reader.verdict, surplus, wrong)
