"""The common fields of the documents of all kinds of runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from loadgen.measure.events import EngineReady
from loadgen.verdict.canary import CanaryRow

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Index = Annotated[int, Meta(ge=0)]
Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Texts = dict[str, str]
ErrorCounts = dict[str, Positive]
Verdict = Annotated[
    Literal["conforming", "not conforming", "INVALID", "DEGRADED", "interrupted", "unfinished"],
    Meta(
        description="INVALID: the load generator was the bottleneck, so the run says nothing about the servers. "
        "unfinished: the run has not ended, or it was killed."
    ),
]
ExitCode = Annotated[
    Literal[0, 1, 3, 4, 130] | None, Meta(description="Exit code of the command; null when unfinished.")
]


class Check(Struct, kw_only=True):
    """One comparison of a measured value with a limit; a number that is not finite is null."""

    name: str
    value: float | None
    limit: float | None
    ok: bool
    unit: str
    relation: Annotated[Literal["<=", "<", ">=", ">"], Meta(description="ok means: value relation limit.")]
    detail: str


class Trust(Struct, kw_only=True):
    """Whether the run's own measurements allow a verdict."""

    valid: Annotated[bool | None, Meta(description="Null when unfinished.")]
    checks: list[Check]


CanaryRows = Annotated[
    list[CanaryRow],
    Meta(
        description="What each engine adds to response times, by window: its canary's requests, as the engine and the "
        "responder saw them, in milliseconds. Absent without canaries."
    ),
]


StoppedEarly = Annotated[
    str,
    Meta(
        description="Why the run of a search was stopped before its planned end: its verdict was certain. Else absent."
    ),
]


class Environment(Struct, kw_only=True):
    """The machine, the software and the command of the run."""

    host: str
    kernel: str
    architecture: str
    distribution: str
    cpu: str
    cores: Count
    cores_usable: Annotated[int, Meta(ge=0, description="Cores on which the process may run.")]
    memory_bytes: Count
    load_average: Annotated[
        list[float],
        Meta(min_length=3, max_length=3, description="Over 1, 5 and 15 minutes, before the run."),
    ]
    open_files_limit: Annotated[int, Meta(ge=-1, description="The soft limit; -1 means no limit.")]
    sysctls: Texts
    python: str
    libraries: Texts
    loadgen: str
    git_commit: Annotated[
        str, Meta(description="Empty when loadgen did not run from a checkout; +changes at the end: uncommitted ones.")
    ]
    command_line: list[str]
    server: Annotated[
        dict[str, Any],
        Meta(description="The deployment's description of the web server: kind, version, configuration."),
    ]


class DrivenTarget(Struct, kw_only=True):
    """A server that was driven."""

    name: str
    host: str
    port: Port
    weight: Positive
    tls: Annotated[bool | UnsetType, Meta(description="Whether it was driven by HTTPS.")] = UNSET


class LoadMachine(Struct, kw_only=True):
    """A machine that made load."""

    name: str
    workers: Annotated[list[str], Meta(description="Its engine processes.")]
    cores: Positive
    open_files: int
    address: Annotated[str, Meta(description="Where commands reach its agent; empty for the coordinator's machine.")]
    memory_bytes: int
    kernel: str
    python: str
    loadgen: str
    sysctls: Texts
    spool: Annotated[str, Meta(description="Directory that keeps the measurements until the coordinator has them.")]
    spool_free_bytes: int
    offset_ns: Annotated[int, Meta(description="Its CLOCK_MONOTONIC minus the coordinator's.")]
    error_ns: Annotated[int, Meta(ge=0, description="The true offset is within this distance of offset_ns.")]


class Placement(Struct, kw_only=True):
    """The assignment of connections to workers."""

    workers: list[str]
    worker_of_connection: Annotated[list[Index], Meta(description="Index into workers, by connection number.")]


class Fleet(Struct, kw_only=True):
    """The load machines of a run."""

    way: Literal["local", "ssh", "scheduler", "join"]
    run_id: Annotated[str, Meta(description="The agents' name for the run; empty for a sweep as a whole.")]
    machines: list[LoadMachine]
    missing: Annotated[Texts, Meta(description="Machines that were asked for and did not play, and why.")]
    hosts: Annotated[list[dict[str, Any]], Meta(description="How to reach the machines by SSH again.")]
    choice: Annotated[
        dict[str, Any] | UnsetType,
        Meta(description="The user's choice of load machines; empty for this machine. No secrets."),
    ] = UNSET
    engines: Annotated[
        list[EngineReady] | UnsetType, Meta(description="The engine of each worker; empty while it is not known.")
    ] = UNSET
    start_skew_ns: Annotated[
        dict[str, Count], Meta(description="By iteration: time from the first worker's start to the last one's.")
    ]
    placement: Placement


class ErrorDocument(Struct, kw_only=True, tag_field="kind", tag="error"):
    """A command with --json that failed before it had a result prints this; no record holds it."""

    error: Annotated[str, Meta(description="What was wrong, in one line.")]
    hint: Annotated[str, Meta(description="What to do about it; may be empty.")]
    exit_code: Annotated[int, Meta(ge=1, le=255, description="Exit code of the command.")]


class Document(Struct, kw_only=True, tag_field="kind"):
    """The common fields of the documents of all kinds."""

    schema_version: Literal[1]
    started_at: Moment
    finished_at: Moment | None
    verdict: Verdict
    exit_code: ExitCode
    reasons: Annotated[list[str], Meta(description="The sentences behind the verdict, most important first.")]
    environment: Environment
