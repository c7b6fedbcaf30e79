"""What was seen of failed operations, as sentences: the lines of replies, TLS alerts, status codes, surplus bytes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from loadgen.measure.cells import Cell
from loadgen.measure.codes import codes_of
from loadgen.measure.shown import Shown
from loadgen.model.outcome import Outcome
from loadgen.model.target import Target

_MOST = 8
"""How many targets are named for each kind of sentence."""

_BEGINNINGS = (
    ("\\x15\\x03", "it speaks TLS: use https://"),
    ("\\x16\\x03", "it speaks TLS: use https://"),
    ("\\x00\\x00", "it may speak HTTP/2 only: try --http2"),
    ("HTTP/2", "it may speak HTTP/2 only: try --http2"),
    ("SSH-", "it is an SSH server"),
    ("220 ", "it is a mail or FTP server"),
    ("-ERR", "it is a Redis or POP3 server"),
)
"""What the beginning of a reply that is not understood tells, as it is escaped."""


def say_seen(
    shown: Mapping[tuple[int, Outcome], Shown], targets: Sequence[Target], operations: Mapping[tuple[int, int], Cell]
) -> list[str]:
    """Notes on what the servers sent; `operations` are those of the whole run, by (window, target index)."""
    cells = _by_target(operations)
    return [
        *_some(_lines(shown, targets)),
        *_some(_silent(targets, cells)),
        *_some(_surplus(targets, cells)),
    ]


def say_statuses(targets: Sequence[Target], operations: Mapping[tuple[int, int], Cell]) -> list[str]:
    """A note with the status codes of each target that sent wrong ones; nothing without any."""
    cells = _by_target(operations)
    wrong = [
        f"{targets[number].name} " + ", ".join(f"{code} ({times:,})" for code, times in codes_of(cell.statuses).items())
        for number, cell in sorted(cells.items())
        if cell.outcomes[Outcome.BAD_STATUS] and len(cell.statuses.indexes)
    ]
    more = f"; and {len(wrong) - _MOST} more targets" if len(wrong) > _MOST else ""
    return [f"status codes where some were wrong: {'; '.join(wrong[:_MOST])}{more}"] if wrong else []


def say_codes(cell: Cell) -> str:
    """The wrong status codes in a cell, most frequent first: "404, 503"; empty if only right ones may be there."""
    if not cell.outcomes[Outcome.BAD_STATUS]:
        return ""
    found = codes_of(cell.statuses)
    bad = {code: times for code, times in found.items() if not 200 <= code < 400} or found
    return ", ".join(str(code) for code in sorted(bad, key=lambda code: (-bad[code], code))[:3])


def _by_target(operations: Mapping[tuple[int, int], Cell]) -> dict[int, Cell]:
    """The operations of each target where something was wrong, by its index."""
    found: defaultdict[int, list[Cell]] = defaultdict(list)
    for (_, number), cell in operations.items():
        found[number].append(cell)
    return {
        number: Cell.merge_all(cells)
        for number, cells in found.items()
        if any(cell.bad or cell.surplus for cell in cells)
    }


def _some(sentences: Iterator[str]) -> list[str]:
    found = list(sentences)
    return [*found[:_MOST], *([f"the same of {len(found) - _MOST} more targets"] if len(found) > _MOST else [])]


def _lines(shown: Mapping[tuple[int, Outcome], Shown], targets: Sequence[Target]) -> Iterator[str]:
    for (number, outcome), one in sorted(shown.items()):
        if number >= len(targets):
            continue
        name, text = targets[number].name, one.text
        match outcome:
            case Outcome.MALFORMED:
                hint = next((f" ({hint})" for begin, hint in _BEGINNINGS if text.startswith(begin)), "")
                yield f'{name} sent a reply that is not understood, because of "{text}"{hint}'
            case Outcome.HEAD_TOO_LARGE:
                yield f'{name} sent too large a head; the limit was reached at "{text}"'
            case Outcome.BAD_STATUS:
                yield f'{name} wants TLS: use https:// (it said "{text}")'
            case Outcome.BAD_TLS | Outcome.REFUSED | Outcome.UNREACHABLE:
                yield f"{name}: {text}"


def _silent(targets: Sequence[Target], cells: Mapping[int, Cell]) -> Iterator[str]:
    """Targets that closed every connection without a reply."""
    for number, cell in sorted(cells.items()):
        refused = int(cell.outcomes[Outcome.NO_REPLY])
        if refused and refused == cell.bad and not cell.ok and not targets[number].tls:
            yield f"{targets[number].name} closed every connection without a reply: if it wants TLS, use https://"


def _surplus(targets: Sequence[Target], cells: Mapping[int, Cell]) -> Iterator[str]:
    for number, cell in sorted(cells.items()):
        if cell.surplus:
            yield (
                f"{targets[number].name} sent bytes that no request asked for, after {cell.surplus:,} "
                f"{'reply' if cell.surplus == 1 else 'replies'}; each time the connection was closed"
            )
