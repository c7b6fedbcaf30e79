"""The command line.  stdout carries only results; all other output goes to stderr."""

from __future__ import annotations

import contextlib
import signal
import sys

import click
from click.exceptions import Abort, ClickException, Exit

from coordinator.cli.commands import COMMANDS
from coordinator.cli.lazy import LazyGroup
from coordinator.cli.panels import CONTEXT
from coordinator.output.streams import abandon_stdout, blaming_stdout, open_missing_streams
from loadgen import __version__
from loadgen.model.errors import ExitCode, LoadgenError


@click.group(
    cls=LazyGroup,
    entries=COMMANDS,
    context_settings=CONTEXT,
)
@click.version_option(__version__, prog_name="loadgen")
def app() -> None:
    """Measure how many web-serving VMs a host carries, how fast its network is, and what it forwards.

    spec drives web servers until requests stop conforming, iperf measures TCP and UDP between two ends, forward
    measures a proxy between two NICs. Each result says whether the measurement can be trusted.

    Exit codes: 0 conforming, 1 not conforming, 2 usage error, 3 INVALID (the load generator was the bottleneck, or
    something disturbed the measurement), 4 DEGRADED (a load machine was lost), 130 interrupted.
    """


def _complain(message: str, hint: str = "") -> None:
    with contextlib.suppress(OSError, AttributeError):  # stderr may be closed, or None
        sys.stderr.write(f"loadgen: {message}\n" + (f"hint: {hint}\n" if hint else ""))


def main() -> int:
    """Run the command line and return the exit code (loadgen.model.errors.ExitCode)."""
    open_missing_streams()
    try:
        with blaming_stdout():
            code = app.main(prog_name="loadgen", standalone_mode=False)
    except Exit as error:
        return error.exit_code
    except ClickException as error:
        context = getattr(error, "ctx", None)
        _complain(error.format_message(), f"see {context.command_path} --help" if context else "")
        return int(ExitCode.USAGE)
    except (Abort, KeyboardInterrupt):
        _complain("interrupted")
        return int(ExitCode.INTERRUPTED)
    except LoadgenError as error:
        _complain(error.message, error.hint)
        return int(error.exit_code)
    except (BrokenPipeError, SystemExit):
        abandon_stdout()  # the reader of stdout has closed it; click reports this as SystemExit(1)
        return 128 + signal.SIGPIPE
    except Exception:  # noqa: BLE001 - the last handler: reports the error as a bug
        import traceback

        traceback.print_exc()
        _complain("this is a bug in loadgen, not in the plan; please report it with the lines above")
        return int(ExitCode.INTERNAL)
    return int(code) if isinstance(code, int) else 0
