"""The requests of a tape, which are written in HTTP/1.1, as header fields and body of HTTP/2."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.engine.http1 import IDEMPOTENT

_OF_THE_CONNECTION = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"te"}
)
"""Header fields that HTTP/2 forbids (RFC 9113, section 8.2.2)."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `fields` are the pseudo-header fields and the header fields, in order."""

    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    idempotent: bool

    @classmethod
    def of(cls, request: bytes, authority: bytes, *, tls: bool) -> Request:
        """The form of `request`, which has no Host header, or one that takes the place of `authority`."""
        head, _, body = request.partition(b"\r\n\r\n")
        line, *lines = head.split(b"\r\n")
        method, _, target = line.rpartition(b" HTTP/")[0].partition(b" ")
        fields = []
        for text in lines:
            name, _, value = text.partition(b":")
            name, value = name.strip().lower(), value.strip()
            if name == b"host":
                authority = value
            elif name and name not in _OF_THE_CONNECTION:
                fields.append((name, value))
        return cls(
            fields=(
                (b":method", method),
                (b":scheme", b"https" if tls else b"http"),
                (b":authority", authority),
                (b":path", target),
                *fields,
            ),
            body=body,
            idempotent=method in IDEMPOTENT,
        )


NOTHING = Request(fields=(), body=b"", idempotent=False)
"""Stands for the request of a slot that has not begun any."""
