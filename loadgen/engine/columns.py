"""The operation tape as Python lists, one entry per row: indexing a numpy array would box each value again."""

from __future__ import annotations

import numpy as np

from loadgen.engine.body import BodySpec
from loadgen.model.units import NS_PER_MS
from loadgen.schedule.optape import FIRST_STATUS_SET, OpTape, statuses_of

_ANY_SUCCESS = frozenset(range(200, 400))  # the statuses accepted where the tape names none


class TapeColumns:
    """The columns of a tape that connections read, each indexed by row."""

    __slots__ = (
        "_check_of",
        "_checks",
        "_specs",
        "_strings",
        "checked",
        "cookies",
        "flags",
        "lanes",
        "lines",
        "literals",
        "next_rows",
        "repeats",
        "rests",
        "right_statuses",
        "targets",
        "templates",
        "think_ns",
        "values",
    )

    def __init__(self, tape: OpTape) -> None:
        strings = [tape.strings[i] for i in range(len(tape.strings))]
        ops = tape.ops
        self.next_rows: list[int] = ops["next"].tolist()
        self.lines = [strings[i] for i in ops["line"].tolist()]
        self.rests = [strings[i] for i in ops["rest"].tolist()]
        self.literals = [strings[i] for i in ops["literal"].tolist()]
        self.cookies = [strings[i] for i in ops["cookie"].tolist()]
        self.targets: list[int] = ops["target"].tolist()
        self.templates: list[int] = ops["template"].tolist()
        self.think_ns: list[int] = (ops["think_ms"].astype(np.int64) * NS_PER_MS).tolist()
        self.values = tape.values
        self.lanes = tape.lanes
        statuses = {status: frozenset([status]) for status in np.unique(ops["status"]).tolist()} | {0: _ANY_SUCCESS}
        statuses |= {FIRST_STATUS_SET + k: one for k, one in enumerate(statuses_of(tape.status_sets))}
        self.right_statuses = [statuses[status] for status in ops["status"].tolist()]
        self.flags: list[int] = ops["flags"].tolist()
        self.checked: list[bool] = (tape.checks["content_bytes"][ops["check"]] >= 0).tolist()
        # (head, length, status in the flags) of the last good reply to the row.  A later reply with the same head and
        # length is good and leaves its connection open, whatever its body; connections fill this in only where bodies
        # are unchecked.
        self.repeats: list[tuple[bytes, int, int]] = [(b"", -1, 0)] * len(ops)
        self._check_of: list[int] = ops["check"].tolist()
        self._specs: list[BodySpec | None] = [None] * len(tape.checks)
        self._strings = tape.strings
        self._checks = tape.checks

    def spec(self, row: int) -> BodySpec:
        """The expected body of the reply to `row`; decoded on first use."""
        index = self._check_of[row]
        spec = self._specs[index]
        if spec is None:
            spec = self._specs[index] = BodySpec.decode(self._checks[index], self._strings)
        return spec
