"""The task of a worker process: one message on its standard input, after which the input stays open."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from loadgen.model.errors import PlanError
from loadgen.model.plain import from_plain, to_plain

PATIENCE_S = 20.0
"""How long a machine may take from the first attempt to reach it until it has answered hello."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """The task to be machine `name` of the coordinator whose scheduler is at an address like tls://192.0.2.1:4711.

    `credentials` is the PEM text of a certificate; without it, nothing is encrypted.  `bind` is the address to listen
    at; "" means the one from which the coordinator is reached.  `spool` is the directory for spools; "" means the usual
    one.  `ports` are the ports at which it may listen, like 15000-15100; "" means any.
    """

    name: str
    scheduler: str
    credentials: str = field(default="", repr=False)
    bind: str = ""
    spool: str = ""
    ports: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collect:
    """The task to send the spool of machine `name` in a run; with `delete`, it is deleted once it was received."""

    run_id: str
    name: str
    spool: str = ""
    delete: bool = False


def bootstrap(task: Serve | Collect) -> dict[str, Any]:
    """Return the message that gives a worker this task."""
    given = {name: value for name, value in to_plain(task).items() if value}  # so that another version can read it
    return {"do": "serve" if isinstance(task, Serve) else "collect", **given}


def read_bootstrap(message: dict[str, Any] | None) -> Serve | Collect:
    """Read what :func:`bootstrap` returned.  Raises PlanError if it is missing or malformed."""
    if message is None:
        raise PlanError("standard input ended before a task arrived")
    told = dict(message)
    match told.pop("do", None):
        case "serve":
            return from_plain(Serve, told, "serve")
        case "collect":
            return from_plain(Collect, told, "collect")
        case other:
            raise PlanError(f"{other!r:.40} is not a task of a worker")
