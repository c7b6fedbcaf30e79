"""An independent check of replies: the simplest implementation of the comments of CHECK_DTYPE."""

from __future__ import annotations

from loadgen.schedule.optape import OpTape


def wrong_with(tape: OpTape, row: int, body: bytes) -> str:
    """Return the error in `body` as the reply to an operation of the tape; "" if there is none."""
    op = tape.ops[row]
    check = tape.checks[op["check"]]
    content = body
    if check["anchor"]:
        _, found, content = body.partition(tape.strings[int(check["anchor"])])
        if not found:
            return "no anchor"
    size = int(check["content_bytes"])
    suffix = tape.strings[int(check["suffix"])]
    if len(content) != size + len(suffix):
        return f"{len(content)} bytes behind the anchor, not {size} + {len(suffix)}"
    if content[size:] != suffix:
        return "wrong suffix"
    content = content[:size]
    prefix = tape.strings[int(check["prefix"])]
    if not content.startswith(prefix):
        return "wrong prefix"
    period = tape.strings[int(check["period"])]
    for j, at in enumerate(range(len(prefix), size, int(check["stride_bytes"]))):
        if content[at] != period[j % len(period)]:
            return f"wrong validation byte {j}"
    literal = tape.strings[int(op["literal"])]
    if literal:
        places = [int(at) for at in check["literal_at"] if at >= 0]
        if not places:
            return "a literal without a place"
        for at in places:
            if content[at : at + len(literal)] != literal:
                return f"wrong literal at {at}"
    return ""
