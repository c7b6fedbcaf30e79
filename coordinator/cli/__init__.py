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
from coordinator.output.streams import (
    abandon_stdout,
    accept_all_text,
    blaming_stdout,
    open_missing_streams,
    print_document,
)
from coordinator.starting import wants_json
from loadgen import __version__
from loadgen.model.errors import ExitCode, LoadgenError


@click.group(
    cls=LazyGroup,
    entries=COMMANDS,
    context_settings=CONTEXT,
)
@click.version_option(__version__, prog_name="loadgen")
def app() -> None:
    """Measure how many web-serving VMs a host carries, how fast servers answer, and how fast a network and a proxy are.

    spec loads many web servers at once and counts the connections that conform, http loads any URLs, iperf measures TCP
    and UDP between two ends, forward measures a proxy between two NICs. Each result says whether the measurement can be
    trusted.

    Exit codes: 0 conforming, or valid when nothing was required; 1 not conforming; 2 usage error; 3 INVALID (the load
    generator was the bottleneck, or something disturbed the measurement); 4 DEGRADED (a load machine or an engine was
    lost); 70 a bug of loadgen; 130 interrupted.
    """


_MOST_CHARACTERS = 1_000  # of a message, whose wrong value may be of any length


def _complain(message: str, hint: str = "", *, stopped: bool = False) -> None:
    """Say what was wrong.  A command that the user has stopped ends soon, although nobody may read stderr."""
    text = f"loadgen: {_one_line(message)}" + (f"\nhint: {hint}" if hint else "")
    if stopped:
        from coordinator.output.stderr import say_once

        say_once(text)
        return
    with contextlib.suppress(OSError, AttributeError):  # stderr may be closed, or None
        sys.stderr.write(f"{text}\n")


def _one_line(message: str) -> str:
    """The message without the secrets of the command line, and without what would move the cursor of a terminal."""
    from loadgen.model.secrets import mask_text  # most commands say nothing here, and start faster without it

    joined = " ".join(line.strip() for line in mask_text(message).splitlines())  # click lists choices in lines
    if len(joined) > _MOST_CHARACTERS:
        joined = f"{joined[: _MOST_CHARACTERS // 2]} … {joined[-_MOST_CHARACTERS // 2 :]}"
    return "".join(char if char.isprintable() or "\udc80" <= char <= "\udcff" else repr(char)[1:-1] for char in joined)


def _fail(code: int, message: str, hint: str = "", *, after_result: bool = False) -> int:
    """Say on stderr what was wrong; with --json, also on stdout, unless a result was printed.  Returns `code`."""
    _complain(message, hint, stopped=code == ExitCode.INTERRUPTED)
    if not after_result and wants_json(sys.argv[1:]):
        document = {"kind": "error", "error": _one_line(message), "hint": hint, "exit_code": code}
        with contextlib.suppress(LoadgenError, OSError):  # stderr has the message, whatever stdout is
            print_document(document)
    return code


def main() -> int:
    """Run the command line and return the exit code (loadgen.model.errors.ExitCode)."""
    open_missing_streams()
    accept_all_text()
    try:
        with blaming_stdout():
            code = app.main(prog_name="loadgen", standalone_mode=False)
    except Exit as error:
        return error.exit_code
    except ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f"see {context.command_path} --help" if context else ""
        return _fail(int(ExitCode.USAGE), error.format_message(), hint)
    except (Abort, KeyboardInterrupt):
        return _fail(int(ExitCode.INTERRUPTED), "interrupted")
    except LoadgenError as error:
        return _fail(int(error.exit_code), error.message, error.hint, after_result=error.after_result)
    except (BrokenPipeError, SystemExit):
        abandon_stdout()  # the reader of stdout has closed it; click reports this as SystemExit(1)
        return 128 + signal.SIGPIPE
    except Exception as error:  # noqa: BLE001 - the last handler: reports the error as a bug
        from coordinator.faults import as_error

        def write(text: str) -> None:
            with contextlib.suppress(OSError, AttributeError):
                sys.stderr.write(text)

        found = as_error(error, write)
        return _fail(int(found.exit_code), found.message, found.hint)
    return int(code) if isinstance(code, int) else 0
