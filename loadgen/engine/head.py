"""The head of a reply: which of its lines are understood, its canonical form, and what it says about the body.

A client may be lenient (RFC 9112): a line may end in LF alone (2.2), white space may stand before the colon of a field
(5.1), a field may be folded over several lines (5.2), any white space may separate the parts of the status line (4),
and all fields of one name are one list.  What is not understood even so is known as soon as its line is complete.
"""

from __future__ import annotations

import re

HEAD_END = re.compile(rb"\n\r*\n")
"""The end of the last line of a head, and the empty line after it."""

MAX_SHOWN_BYTES = 120
"""How much is kept of a line that is not understood."""

_STATUS = rb"HTTP/1\.([0-9])[ \t\v\f]+([0-9]{3})((?:[ \t\v\f][^\r\n]*)?)\r*\n"
_PLAIN = re.compile(rb"HTTP/1\.[0-9] [0-9]{3}(?: [^\r\n]*)?\r\n(?:[^\x00-\x20:]+:[^\r\n]*\r\n)*")
_STATUS_LINE = re.compile(_STATUS)
_FIELD_LINES = re.compile(rb"(?:(?:[ \t]|[^\x00-\x20:]+[ \t]*:)[^\r\n]*\r*\n)*")
_STATUS_BEGUN = re.compile(
    rb"HTTP/1\.(?:[0-9](?:[ \t\v\f]+(?:[0-9]{1,2}|[0-9]{3}(?:[ \t\v\f][^\r\n]*)?\r*)?)?)?", re.DOTALL
)
_BARE_CR = re.compile(rb"\r+[^\r\n]")
_FOLD = re.compile(rb"\r*\n(?=[ \t])")
_LINE_END = re.compile(rb"\r*\n")
_SPACE_BEFORE_COLON = re.compile(rb"(?<=\n)([^\x00-\x20:]+)[ \t]+:")
_VERSION = b"HTTP/1."


def wrong_line(lines: bytes, *, first: bool) -> bytes | None:
    """The first of these complete lines of a head that is not understood; None if all are.

    `first`: the first line is a status line.
    """
    at = 0
    if first:
        status = _STATUS_LINE.match(lines)
        if status is None or status[2] < b"100" or status[2] == b"101":  # nobody asked to switch protocols
            return line_at(lines, 0)
        at = status.end()
    found = _FIELD_LINES.match(lines, at)
    assert found is not None
    return None if found.end() == len(lines) else line_at(lines, found.end())


def may_go_on(part: bytes, *, first: bool) -> bool:
    """Whether an unfinished line can become one that is understood; `first`: it is the status line."""
    if not first:
        return _BARE_CR.search(part) is None
    if len(part) < len(_VERSION):
        return _VERSION.startswith(part)
    return _STATUS_BEGUN.fullmatch(part) is not None


def canonical(raw: bytes) -> bytes | None:
    """The head with one line for each field, each ended by CRLF; None if a line is not understood.

    `raw` holds all lines of the head, without the empty line.
    """
    if _PLAIN.fullmatch(raw) and raw[9:12] >= b"100" and raw[9:12] != b"101":
        return raw
    if wrong_line(raw, first=True) is not None:
        return None
    unfolded = _FOLD.sub(lambda found: b" " * len(found[0]), raw)
    status = _STATUS_LINE.match(unfolded)
    assert status is not None
    start = b"HTTP/1.%s %s%s\r\n" % (status[1], status[2], status[3])
    return start + _LINE_END.sub(b"\r\n", _SPACE_BEFORE_COLON.sub(rb"\1:", unfolded)[status.end() :])


def line_at(data: bytes, at: int) -> bytes:
    """The beginning of the line at `at`, without its end."""
    end = data.find(b"\n", at)
    return data[at : len(data) if end < 0 else end].rstrip(b"\r")[:MAX_SHOWN_BYTES]


def wants_tls(data: bytes) -> bytes:
    """The line of an error page that says that the port expects TLS; empty if there is none."""
    at = max(data.find(word) for word in (b"HTTPS", b"SSL-enabled"))
    return line_at(data, max(data.rfind(b"\n", 0, at) + 1, at - MAX_SHOWN_BYTES // 2)) if at >= 0 else b""


def values_of(head: bytes, name: bytes) -> list[bytes]:
    """The values of the fields `name` ("\\r\\nname:") in a lower-cased canonical head: those of all lines, as one list.

    No values if there is no such field; an empty field has an empty value.
    """
    at = head.find(name)
    values: list[bytes] = []
    while at >= 0:
        at += len(name)
        values += [value.strip() for value in head[at : head.find(b"\r\n", at)].split(b",")]
        at = head.find(name, at)
    return values


def length_of(values: list[bytes]) -> int | None:
    """The body length that the values of Content-Length say: all must be the same number.  None if they are wrong."""
    length = -1
    for value in values:
        digits = value.lstrip(b"0") or value[:1]
        if not value.isdigit() or len(digits) > 18 or length not in (-1, int(digits)):
            return None
        length = int(digits)
    return length


def wrong_length(head: bytes, name: bytes) -> int:
    """The offset in `head` of the line with which the fields `name` stop to agree on one length."""
    at = head.find(name)
    end = head.find(b"\r\n", at + 2)
    while length_of(values_of(head[: end + 2], name)) is not None:
        at = head.find(name, end)
        end = head.find(b"\r\n", at + 2)
    return at + 2


def is_chunked(values: list[bytes]) -> bool | None:
    """Whether the last of the transfer codings is chunked; None if they are wrong (RFC 9112, 6.1 and 7)."""
    times = values.count(b"chunked")
    if times > 1 or any(value.partition(b";")[0].strip() == b"chunked" != value for value in values):
        return None
    return values[-1] == b"chunked"
