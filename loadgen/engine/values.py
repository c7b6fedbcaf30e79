"""Writes requests from templates (loadgen.schedule.values): the definition that compiled/values.c follows."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.schedule.values import PieceKind, Values, draw


class Filler:
    """Numbers the requests of engine number `part` of `parts` that have values, and writes them.

    `wall_ns` is the clock of times in requests: ns since 1970.
    """

    def __init__(
        self, values: Values | None, *, part: int, parts: int, wall_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._values = values
        self._next = part
        self._parts = parts
        self._wall_ns = wall_ns

    def write(self, template: int, host_line: bytes, connection: int) -> bytes:
        """The next request, of that template, on the connection with that number."""
        values = self._values
        assert values is not None
        number, self._next = self._next, self._next + self._parts
        wall_ns = self._wall_ns()
        parts: list[bytes] = []
        length_at = body_from = -1
        begin, end = int(values.templates[template]), int(values.templates[template + 1])
        for at, piece in enumerate(values.pieces[begin:end]):
            match PieceKind(int(piece["kind"])):
                case PieceKind.TEXT:
                    parts.append(values.strings[int(piece["text"])])
                case PieceKind.HOST:
                    parts.append(host_line)
                case PieceKind.NUMBER:
                    parts.append(b"%d" % number)
                case PieceKind.UUID:
                    high, low = draw(values.seed, number, 2 * at), draw(values.seed, number, 2 * at + 1)
                    parts.append(str(uuid.UUID(int=high << 64 | low, version=4)).encode())
                case PieceKind.RANDOM:
                    offset = draw(values.seed, number, 2 * at) * int(piece["span"]) >> 64
                    parts.append(b"%d" % (int(piece["low"]) + offset))
                case PieceKind.SECONDS:
                    parts.append(b"%d" % (wall_ns // NS_PER_S))
                case PieceKind.MILLISECONDS:
                    parts.append(b"%d" % (wall_ns // NS_PER_MS))
                case PieceKind.NANOSECONDS:
                    parts.append(b"%d" % wall_ns)
                case PieceKind.CONNECTION:
                    parts.append(b"%d" % connection)
                case PieceKind.COLUMN:
                    parts.append(values.strings[int(piece["text"]) + values.row_of(number)])
                case PieceKind.LENGTH:
                    length_at = len(parts)
                    parts.append(b"")
                case PieceKind.BODY:
                    body_from = len(parts)
        if length_at >= 0:
            parts[length_at] = b"%d" % sum(map(len, parts[body_from:]))
        return b"".join(parts)
