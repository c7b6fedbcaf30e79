"""The canary of an engine: one more connection, to a responder of loadgen that notes the truth about each request.

The connection plays one operation again and again, on a schedule of its own: operation k is due k periods after the
first one, in every kind of loop.  What the engine adds to its response time, it adds to those of the load.  Records of
the canary are never counted with those of the load.  Both engines follow these rules.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from loadgen.model.shard import Shard
from loadgen.model.units import NS_PER_MS
from loadgen.schedule.optape import CHECK_DTYPE, KEEP_ALIVE, OP_DTYPE, START_DTYPE, OpTape
from loadgen.schedule.strings import Strings

HOST = "127.0.0.1"
"""The address of every responder: nothing outside of the machine can reach it."""

PERIOD_NS = 41_300_000
"""24 requests a second, which cost an idle engine 0.2 % (compiled) or 0.5 % (Python) of a core.  It divides neither a
second nor a millisecond, so that the canary does not always meet the same moment of what an engine repeats."""

MAX_BEHIND_NS = 2_500 * NS_PER_MS
"""Operations that are due for longer are skipped: a responder that stops must not cause a burst when it goes on."""

HOST_LINE = f"Host: {HOST}\r\n".encode()

_LINE = b"GET /canary HTTP/1.1\r\n"
_REST = b"\r\n"
_PHASE_STEP_NS = 7_919_000  # a prime number of microseconds: engines of one machine do not send at the same time


def phase_ns(shard: Shard) -> int:
    """How long after the start of a segment the first operation of the engine that plays `shard` is due."""
    return min(shard.connections, default=0) * _PHASE_STEP_NS % PERIOD_NS


def canary_tape() -> OpTape:
    """A tape whose only operation is the canary's, to target 0.  The body of the reply is not checked."""
    ops, checks = np.zeros(1, dtype=OP_DTYPE), np.zeros(1, dtype=CHECK_DTYPE)
    ops["line"], ops["rest"], ops["status"], ops["flags"] = 1, 2, 200, KEEP_ALIVE
    checks["content_bytes"], checks["literal_at"] = -1, -1
    return OpTape(
        ops=ops,
        checks=checks,
        strings=Strings.of([b"", _LINE, _REST]),
        starts=np.zeros((1, 1), dtype=START_DTYPE),
        kinds=("canary",),
        groups=("canary",),
        kind_shares=(1.0,),
    )


def with_canary(tape: OpTape, target: int) -> OpTape:
    """`tape` with the canary's operation as one more row at its end, which no other row leads to."""
    own = canary_tape()
    ops = own.ops.copy()
    ops["line"] += len(tape.strings)
    ops["rest"] += len(tape.strings)
    ops["check"], ops["next"], ops["target"] = len(tape.checks), len(tape.ops), target
    return dataclasses.replace(
        tape,
        ops=np.concatenate([tape.ops, ops]),
        checks=np.concatenate([tape.checks, own.checks]),
        strings=Strings(
            tape.strings.data + own.strings.data,
            np.concatenate([tape.strings.offsets, own.strings.offsets[1:] + tape.strings.offsets[-1]]),
        ),
    )
