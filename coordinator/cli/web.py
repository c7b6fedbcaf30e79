"""`loadgen web`: recorded runs in a web browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from coordinator.cli.options import DIRECTORY
from coordinator.cli.panels import command, option
from coordinator.cli.watch_options import LISTEN
from coordinator.starting import end_in_order
from loadgen.host.paths import is_directory
from loadgen.model.errors import PlanError

if TYPE_CHECKING:
    from coordinator.output.web.listening import Address


@command()
@click.argument("directory", type=DIRECTORY, default=Path("runs"))
@option(
    "--listen",
    type=LISTEN,
    metavar="ADDRESS:PORT",
    default="127.0.0.1:8089",
    show_default=True,
    help="Address of the pages; :PORT means the loopback address, and port 0 any free port. On other addresses, the "
    "pages need the token in the URL that is printed.",
)
@option(
    "--token",
    is_flag=True,
    help="Ask for a token on the loopback address, too. Without it, everybody who is logged in to this machine can "
    "read the records there, whatever the permissions of their files are.",
)
def web(directory: Path, listen: Address, token: bool) -> int:
    """Browse recorded runs in a web browser, until Ctrl-C: list, filter, open and compare them.

    Shows all records below DIRECTORY (by default, runs), and only reads them.
    """
    import uvloop

    if not is_directory(directory):
        raise PlanError(f"there is no directory {directory}", hint="name a directory that has records below it")
    end_in_order()
    uvloop.run(_serve(directory, listen, token))
    return 0


async def _serve(directory: Path, address: Address, token: bool) -> None:
    import asyncio

    from coordinator.kinds.catalog import judges
    from coordinator.output.stderr import speaking
    from coordinator.output.web.browser import records_app
    from coordinator.output.web.guard import Guard
    from coordinator.output.web.listening import listen
    from coordinator.output.web.site import Site
    from coordinator.run.interrupts import until_signalled

    with speaking() as say:
        async with until_signalled() as signalled:
            await asyncio.sleep(0)  # a signal before this, while modules were imported, ends the command here
            listening = listen(address)
            guard = Guard.of(listening, with_token=True, on_loopback=token)
            with listening.socket:
                async with Site(records_app(directory, judges(), guard), listening):
                    say(f"records below {directory}: {guard.url(listening)}  (Ctrl-C ends the pages)")
                    await signalled.wait()
