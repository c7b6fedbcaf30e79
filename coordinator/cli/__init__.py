"""The command line.  stdout carries only results; everything else goes to stderr."""

from __future__ import annotations

import contextlib
import signal
import sys
import traceback

import rich_click as click
from click.exceptions import Abort, ClickException, Exit

from coordinator.cli.collect import collect_command
from coordinator.cli.doctor import doctor
from coordinator.cli.fileset import fileset
from coordinator.cli.fleet import fleet
from coordinator.cli.forward import forward
from coordinator.cli.http import http
from coordinator.cli.iperf import iperf
from coordinator.cli.lab import lab
from coordinator.cli.proxy import proxy
from coordinator.cli.serve import serve
from coordinator.cli.show import show
from coordinator.cli.spec import spec
from coordinator.cli.worker import worker
from coordinator.output.streams import abandon_stdout, open_missing_streams, printing
from loadgen import __version__
from loadgen.model.errors import ExitCode, LoadgenError

_HELP = click.RichHelpConfiguration(
    # An option and what it takes in one column: at 80 columns there is no room for more beside the help.
    options_table_column_types=["required", "opt_all_metavar", "help"],
    append_metavars_help_string="{}",
    max_width=100,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.rich_config(help_config=_HELP)
@click.version_option(__version__, prog_name="loadgen")
def app() -> None:
    """How many web-serving VMs does this host carry, how fast is its network, and what does it forward?

    spec drives web servers until requests stop conforming, iperf measures TCP and UDP between two ends, forward
    a proxy between two NICs. Each says whether its own measurement may be believed.

    Exit codes: 0 conforming, 1 not conforming, 2 usage, 3 INVALID (the generator was the bottleneck, or something
    disturbed the measurement), 4 DEGRADED (a worker was lost), 130 interrupted.
    """


for command in (spec, http, iperf, forward, proxy, show, collect_command, fleet, worker, lab, serve, fileset, doctor):
    app.add_command(command)


@app.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    For this session: eval "$(loadgen completion bash)". For all: put that line into ~/.bashrc.
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    with printing():
        click.echo(kind(app, {}, "loadgen", "_LOADGEN_COMPLETE").source())


def _complain(message: str, hint: str = "") -> None:
    with contextlib.suppress(OSError, AttributeError):  # stderr may be gone, or None
        sys.stderr.write(f"loadgen: {message}\n" + (f"hint: {hint}\n" if hint else ""))


def main() -> int:
    """Run the command line; the exit code (loadgen.model.errors.ExitCode)."""
    open_missing_streams()
    try:
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
    except (BrokenPipeError, SystemExit):  # whoever read our output has gone (SystemExit: click and rich say it so)
        abandon_stdout()
        return 128 + signal.SIGPIPE
    except Exception:  # noqa: BLE001 - the last line of defence, and it says so
        traceback.print_exc()
        _complain("this is a bug of loadgen, not of your plan; please report it with the lines above")
        return int(ExitCode.INTERNAL)
    return int(code) if isinstance(code, int) else 0
