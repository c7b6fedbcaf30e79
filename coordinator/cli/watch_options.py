"""The options --web, --metrics and --otlp: where a running command is to be seen.  All that play runs have them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from coordinator.cli.options import Parsed
from coordinator.cli.panels import decoded, option
from coordinator.output.otlp.endpoint import parse_endpoint
from loadgen.model.errors import PlanError

F = TypeVar("F", bound=Callable[..., Any])

_PANEL = "Live"


class _Listen(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """ADDRESS:PORT at which this machine is to listen."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the Address of a text."""
        from coordinator.output.web.listening import Address, parse_listen

        if isinstance(value, Address):
            return value
        spelled = param.opts[0] if param is not None else ""
        try:
            return parse_listen(decoded(value), spelled)
        except PlanError as error:
            self.fail(f"{error.message} (for example 127.0.0.1:8089)", param, ctx)


LISTEN = _Listen()


def watch_options(command: F) -> F:
    """Add the options; the command takes their values as one argument `watch`, a Watch."""

    @functools.wraps(command)
    def with_watch(**given: Any) -> Any:
        from coordinator.output.web.watch import Watch

        watch = Watch(web=given.pop("web"), metrics=given.pop("metrics"), otlp=given.pop("otlp") or "")
        return command(**given, watch=watch)

    sent: Any = option(
        "--otlp",
        type=Parsed("URL", parse_endpoint),
        metavar="URL",
        panel=_PANEL,
        help="Send metrics to a receiver of OpenTelemetry while the command runs, by OTLP over HTTP, such as "
        "http://127.0.0.1:4318.",
    )(with_watch)
    added: Any = option(
        "--metrics",
        type=LISTEN,
        metavar="ADDRESS:PORT",
        panel=_PANEL,
        help="Serve metrics for Prometheus at http://ADDRESS:PORT/metrics while the command runs, to everybody who can "
        "reach the address; :PORT means the loopback address.",
    )(sent)
    return option(  # type: ignore[no-any-return]
        "--web",
        type=LISTEN,
        metavar="ADDRESS:PORT",
        panel=_PANEL,
        help="Serve a live page, which stays until Ctrl-C when the run is over; :PORT means the loopback address. On "
        "other addresses, the page needs the token in the URL that is printed.",
    )(added)
