"""Options that say how engines send: the same for every command that plays some."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import rich_click as click

from loadgen.model.sending import ENGINES, TIMESTAMPS

F = TypeVar("F", bound=Callable[..., Any])


def source_option(panel: str) -> Callable[[F], F]:
    """--source."""
    return click.option(
        "--source",
        metavar="ADDRESS,...",
        panel=panel,
        help="Connect from these addresses of the load machine, in turn.  [default: as the kernel chooses]",
    )


def engine_options(panel: str) -> Callable[[F], F]:
    """--engine and --timestamps."""

    def add(command: F) -> F:
        stamped = click.option(
            "--timestamps",
            type=click.Choice(list(TIMESTAMPS)),
            panel=panel,
            help="When a reply was there: by the kernel's stamp, or when the engine woke up.  [default: auto]",
        )(command)
        return click.option(
            "--engine", type=click.Choice(list(ENGINES)), panel=panel, help="Which one.  [default: auto]"
        )(stamped)

    return add


def sending(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given of these options, as a plan names it; None for what was not."""
    return {
        "sources": tuple(given["source"].split(",")) if given["source"] else None,
        "engine": given["engine"],
        "timestamps": given["timestamps"],
    }
