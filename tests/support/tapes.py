"""Small tapes for tests, with known operations and known bodies of replies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadgen.schedule.optape import (
    CHECK_DTYPE,
    CLOSE_AFTER,
    EMBEDDED,
    KEEP_ALIVE,
    OP_DTYPE,
    START_DTYPE,
    OpTape,
    StringsBuilder,
)

STRIDE = 64
PERIOD = b"abcdefg"


@dataclass(frozen=True, slots=True)
class Op:
    """One row: its path, the size of the reply's body, and the other expectations."""

    method: str = "GET"
    path: str = "/x"
    size: int = 1000
    status: int = 200
    cookie: bytes = b""
    literal: bytes = b""
    literal_at: int = -1
    anchor: bytes = b""
    suffix: bytes = b""
    close: bool = False
    kind: int = 0
    group: int = 0
    target: int = 0
    think_ms: int = 0
    embedded: bool = False  # an object of the page before it


def content(path: str, size: int, literal: bytes = b"", literal_at: int = -1) -> bytes:
    """The body of a correct reply to `path`: a header line, then filler with a validation byte every STRIDE bytes."""
    head = f"{size:9d} {path}\n".encode()
    body = bytearray(head + b"." * max(0, size - len(head)))[:size]
    for j, at in enumerate(range(len(head), size, STRIDE)):
        body[at] = PERIOD[j % len(PERIOD)]
    if literal_at >= 0:
        body[literal_at : literal_at + len(literal)] = literal
    return bytes(body)


def make_tape(ops: Sequence[Op], connections: int, *, segments: int = 1, spread_ns: int = 0, lanes: int = 0) -> OpTape:
    """A tape of `ops`; every connection starts at row 0, connection c after c * spread_ns."""
    pages = [i for i, op in enumerate(ops) if not op.embedded]
    following = dict(zip(pages, [*pages[1:], pages[0]], strict=True))
    strings = StringsBuilder()
    rows = np.zeros(len(ops), dtype=OP_DTYPE)
    checks = np.zeros(len(ops), dtype=CHECK_DTYPE)
    for i, op in enumerate(ops):
        end = b"Connection: close\r\n\r\n" if op.close else b"\r\n"
        rows[i] = (
            strings.add(f"{op.method} {op.path}?size={op.size} HTTP/1.1\r\n".encode()),
            strings.add(end),
            i,
            strings.add(op.cookie),
            strings.add(op.literal),
            following.get(i, i),
            op.target,
            op.status,
            op.kind,
            op.group,
            (CLOSE_AFTER if op.close else KEEP_ALIVE) | EMBEDDED * op.embedded,
            0,
            op.think_ms,
        )
        prefix = f"{op.size:9d} {op.path}\n".encode()[: op.size]
        checks[i] = (
            strings.add(op.anchor),
            op.size,
            strings.add(prefix),
            strings.add(PERIOD),
            STRIDE,
            strings.add(op.suffix),
            (op.literal_at, -1),
        )
    starts = np.zeros((segments, connections), dtype=START_DTYPE)
    starts["delay_ns"] = np.arange(connections) * spread_ns
    return OpTape(rows, checks, strings.build(), starts, ("only",), ("get", "other"), (1.0,), lanes=lanes)
