"""The options about the addresses of names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from coordinator.cli.panels import option
from loadgen.model.sending import IpVersion, Resolve

F = TypeVar("F", bound=Callable[..., Any])


def resolve_options(panel: str) -> Callable[[F], F]:
    """The options --resolve, -4 and -6, in the help panel `panel`."""
    options = (
        option(
            "--resolve",
            type=click.Choice([kind.value for kind in Resolve]),
            panel=panel,
            help="Addresses of a name to connect to: all that accept connections, in turn, or only the first of them.  "
            "[default: all]",
        ),
        option("-4", "ip_version", flag_value="4", default=None, panel=panel, help="Use only IPv4 addresses."),
        option("-6", "ip_version", flag_value="6", panel=panel, help="Use only IPv6 addresses."),
    )

    def add(command: F) -> F:
        for add_option in reversed(options):
            command = add_option(command)
        return command

    return add


def resolving(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan fields that these options set, by name; None where an option is not given."""
    return {
        "resolve": Resolve(given["resolve"]) if given["resolve"] else None,
        "ip_version": IpVersion(given["ip_version"]) if given["ip_version"] else None,
    }
