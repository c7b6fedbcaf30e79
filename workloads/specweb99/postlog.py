"""The POST log: its format, and a check that a server kept it correctly.  Pure.

The first line is the number of records, `"%10d\\n"`; each record has 139 bytes.  The order of the records, their
numbers, and the process id that each contains twice show whether records were appended atomically (SPECweb99, see
DESIGN.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from workloads.specweb99 import files
from workloads.specweb99.urls import parse_file_path

HEADER_BYTES = 11
RECORD_BYTES = 139
EMPTY = b"%10d\n" % 0
"""The log after a Reset."""

_LACKING_LIMIT = 0.01  # the share of the good POSTs that a log may lack
_EVIDENCE = 20  # every record of a log can be wrong; the number of reported problems is limited
_RECORD = re.compile(
    rb"([ 0-9]{10}) ([ 0-9]{10}) ([ 0-9]{10}) ([ 0-9]{5}) ([ 0-9]{2}) ([ 0-9]{2}) ([ 0-9]{10})"
    rb" ([!-~ ]{60}) ([ 0-9]{10}) ([ 0-9]{10})\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostRecord:
    """One POST.  `number` counts from 1; `client` is the number in the request; `pid_again` must equal `pid`."""

    number: int
    time_s: int
    pid: int
    directory: int
    class_: int
    num: int
    client: int
    name: str
    pid_again: int
    user_id: int

    def to_bytes(self) -> bytes:
        """The record of 139 bytes."""
        return b"%10d %10d %10d %5d %2d %2d %10d %-60.60b %10d %10d\n" % (
            self.number,
            self.time_s,
            self.pid,
            self.directory,
            self.class_,
            self.num,
            self.client,
            self.name.encode("ascii", "replace"),
            self.pid_again,
            self.user_id,
        )

    @classmethod
    def parse(cls, record: bytes) -> PostRecord:
        """The inverse of :meth:`to_bytes`; raises ValueError when `record` has another format."""
        match = _RECORD.fullmatch(record)
        if match is None:
            raise ValueError("not a record of the POST log")
        number, time_s, pid, directory, class_, num, client = (int(match[i]) for i in range(1, 8))
        return cls(
            number=number,
            time_s=time_s,
            pid=pid,
            directory=directory,
            class_=class_,
            num=num,
            client=client,
            name=match[8].decode("ascii").rstrip(" "),
            pid_again=int(match[9]),
            user_id=int(match[10]),
        )


@dataclass(frozen=True, slots=True)
class PostCounts:
    """The numbers of POSTs that were sent to a server, by file class.

    `ok` counts those with a correct reply, `attempted` all that may have reached the server.  `attempted` is None when
    it is unknown, because an engine died before it reported its last requests.
    """

    ok: tuple[int, ...]
    attempted: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class LogProblem:
    """One problem of a log: a predicate of the record with number `record`, or a sentence when `record` is 0."""

    record: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PostLogReport:
    """The result of the check of one log.

    `logged` counts the valid records, by file class; `problems` contains the first 20 of `problem_count` problems.
    """

    records: int
    logged: tuple[int, ...]
    problems: tuple[LogProblem, ...]
    problem_count: int

    @property
    def ok(self) -> bool:
        """Whether the log has no problem."""
        return self.problem_count == 0


def header(records: int) -> bytes:
    """The first line of a log with this many records."""
    return b"%10d\n" % records


def check(log: bytes, posts: PostCounts) -> PostLogReport:
    """Check the format of a log and compare it with the sent requests.  Never raises, whatever `log` contains."""
    problems: list[LogProblem] = []
    records = _split(log, problems)
    logged = [0] * files.CLASSES
    last = 0
    for place, raw in enumerate(records, 1):
        try:
            record = PostRecord.parse(raw)
        except ValueError:
            problems.append(LogProblem(place, f"has a wrong format: {raw[:60]!r}"))
            continue
        if record.number <= last:
            problems.append(LogProblem(place, f"has number {record.number} after number {last}"))
        last = record.number
        if record.pid != record.pid_again:
            problems.append(
                LogProblem(place, f"was begun by process {record.pid} and ended by process {record.pid_again}")
            )
        if parse_file_path(record.name) == (record.directory, record.class_, record.num):
            logged[record.class_] += 1
        else:
            fields = f"directory {record.directory}, class {record.class_}, file {record.num}"
            problems.append(LogProblem(place, f"names {record.name!r}, but {fields}"))
    problems += _compare(logged, posts)
    return PostLogReport(
        records=len(records),
        logged=tuple(logged),
        problems=tuple(problems[:_EVIDENCE]),
        problem_count=len(problems),
    )


def _split(log: bytes, problems: list[LogProblem]) -> list[bytes]:
    first, body = log[:HEADER_BYTES], log[HEADER_BYTES:]
    records = [body[at : at + RECORD_BYTES] for at in range(0, len(body), RECORD_BYTES)]
    if not re.fullmatch(rb" *[0-9]+\n", first) or len(first) != HEADER_BYTES:
        problems.append(LogProblem(0, f"the log does not begin with the number of its records: {first!r}"))
    elif int(first) != len(records):
        problems.append(
            LogProblem(0, f"the first line of the log says {int(first)} records, but the log has {len(records)}")
        )
    return records


def _compare(logged: Sequence[int], posts: PostCounts) -> list[LogProblem]:
    problems = []
    for class_, (found, ok, sent) in enumerate(zip(logged, posts.ok, posts.attempted or logged, strict=True)):
        if found > sent:
            problems.append(LogProblem(0, f"the log has {found} POSTs of class {class_}, but only {sent} were sent"))
        if ok - found > _LACKING_LIMIT * ok:
            problems.append(
                LogProblem(0, f"the log has {found} POSTs of class {class_}, but {ok} were answered (it may lack 1 %)")
            )
    return problems
