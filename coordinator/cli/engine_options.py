"""Options about the engines, the same for every command that uses engine processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from coordinator.cli.panels import option
from loadgen.model.sending import EngineKind, Timestamps

F = TypeVar("F", bound=Callable[..., Any])

_PANEL = "Engines"


def source_option(panel: str) -> Callable[[F], F]:
    """The option --source, in the help panel `panel`."""
    return option(
        "--source",
        metavar="ADDRESS,...",
        panel=panel,
        help="Addresses of the load machine to connect from, in turn.  [default: the kernel's choice]",
    )


def engine_options(default: str) -> Callable[[F], F]:
    """The options --engines, --engine, --timestamps, --no-canary; `default` is the help of the first one's default."""
    options = (
        option(
            "--engines",
            type=int,
            metavar="N",
            panel=_PANEL,
            help="Engine processes that make the load, on each machine: 1 to the number of connections.  "
            f"[default: {default}]",
        ),
        option(
            "--engine",
            type=click.Choice([kind.value for kind in EngineKind]),
            panel=_PANEL,
            help="Engine to use; auto takes the compiled engine where it can play the run.  [default: auto]",
        ),
        option(
            "--timestamps",
            type=click.Choice([kind.value for kind in Timestamps]),
            panel=_PANEL,
            help="Arrival time of a reply: the kernel's time stamp (kernel), or when the engine woke up (loop); auto "
            "takes the most accurate that the engine has.  [default: auto]",
        ),
        option(
            "--canary/--no-canary",
            default=None,
            panel=_PANEL,
            help="Measure what each engine adds to response times: one more connection, 24 requests/s, to a responder "
            "on the load machine whose answers take a known time.  [default: canary]",
        ),
    )

    def add(command: F) -> F:
        for add_option in reversed(options):
            command = add_option(command)
        return command

    return add


def sending(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan fields that these options set, by name; None where an option is not given."""
    return {
        "sources": tuple(given["source"].split(",")) if given["source"] else None,
        "engine": EngineKind(given["engine"]) if given["engine"] else None,
        "timestamps": Timestamps(given["timestamps"]) if given["timestamps"] else None,
        "canary": given["canary"],
    }
