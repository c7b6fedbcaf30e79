"""The option --otlp: where a running command sends its metrics.  All commands that play runs have it."""

from __future__ import annotations

from typing import Any

import click

from coordinator.cli.options import Parsed
from coordinator.cli.panels import option
from coordinator.output.otlp.endpoint import parse_endpoint

_KEY = "loadgen.otlp"


def _keep(context: click.Context, _: click.Parameter, value: Any) -> None:
    context.meta[_KEY] = value or ""


otlp_option = option(
    "--otlp",
    type=Parsed("URL", parse_endpoint),
    metavar="URL",
    callback=_keep,
    expose_value=False,
    panel="Live",
    help="Send metrics to a receiver of OpenTelemetry while the command runs, by OTLP over HTTP, such as "
    "http://127.0.0.1:4318.",
)
"""The function of a command does not take the value: :func:`chosen_endpoint` has it."""


def chosen_endpoint() -> str:
    """The URL that the present command sends metrics to; "" for none."""
    context = click.get_current_context(silent=True)
    return str(context.meta.get(_KEY, "")) if context is not None else ""
