"""The supervisor of one place (`python -m deploy.commands.supervisor`): makes the place, and runs commands in it.

Messages (:mod:`deploy.commands.wire`) come on standard input, answers go to standard output.  The end of the input
means "remove the place": all processes below the supervisor are ended, and its directory is removed.  The kernel closes
the input when the process that started the supervisor dies in whatever way.

In a box, commands are run by the first process of the box, a child of the supervisor: when it ends, the kernel ends all
others in the box.  On this machine itself, the supervisor runs them; it is the parent of all orphans below it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from deploy.box.box import Box
from deploy.box.build import build
from deploy.box.namespaces import children_in_new_pid_namespace
from deploy.commands.serving import Lines, serve, write
from deploy.commands.wire import Open, Ready
from deploy.limits.removal import remove_groups
from deploy.oci.groups import remove_run
from deploy.proc import become_subreaper, children_of, fork_child, why_no_process
from deploy.run_directory import make_run_directory, remove_leftovers
from loadgen.host.limits import raise_open_files

_IN, _OUT, _ERR = 0, 1, 2
_BOX_WORK = "/loadgen-work"
"""The work directory of a box, in its own layer over the base."""

_TERM_S, _KILL_S = 3.0, 5.0
_AGAIN_S = 0.01
_PASSABLE = 0o711  # a command may change its user, and must still find its work directory


def main() -> None:
    """Run a supervisor until its input ends."""
    become_subreaper()
    raise_open_files()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the end of the input is the sign to end
    gc.freeze()
    lines = Lines(_IN)
    opening = Open.decode(next(lines, Open().encode()))
    remove_leftovers()
    directory = make_run_directory()
    try:
        if opening.box is None:
            _serve_here(lines, directory)
        else:
            _serve_in_box(lines, directory, opening.box)
    finally:
        _end_all(asked=not opening.hurried)
        shutil.rmtree(directory, ignore_errors=True)
        if opening.box is not None:
            remove_groups(opening.box.groups)
        if opening.cgroups:
            remove_run(opening.cgroups)


def _serve_here(lines: Lines, directory: Path) -> None:
    directory.chmod(_PASSABLE)
    work = directory / "work"
    work.mkdir()
    write(_OUT, Ready(directory=str(work)).encode())
    serve(lines, _OUT, work)


def _serve_in_box(lines: Lines, directory: Path, box: Box) -> None:
    """Let the first process of a new box run the commands, and wait for its end."""
    place = directory / "box"
    place.mkdir()
    own = replace(box, directory=str(place), hidden=str(directory))
    commands, answers = os.dup(_IN), os.dup(_OUT)

    def be_first() -> None:
        try:
            build(own)
            work = Path(_BOX_WORK)
            work.mkdir(exist_ok=True)
        except (OSError, RuntimeError) as error:
            write(answers, Ready(problem=str(error)).encode())
            return
        lines.descriptor = commands
        write(answers, Ready().encode())
        serve(lines, answers, work)

    try:
        with children_in_new_pid_namespace():
            first = fork_child(_ERR, be_first, (commands, answers))
    except OSError as error:  # not permitted, or out of processes
        write(_OUT, Ready(problem=why_no_process(error)).encode())
        return
    os.waitpid(first, 0)


def _end_all(*, asked: bool) -> None:
    """End all processes below this one by SIGKILL; those that are asked before get SIGTERM and some seconds to obey."""
    for number, left_s in ((signal.SIGTERM, _TERM_S if asked else 0.0), (signal.SIGKILL, _KILL_S)):
        deadline = time.monotonic() + left_s
        told: set[int] = set()
        while (pids := children_of(os.getpid())) and time.monotonic() < deadline:
            for pid in pids:
                if pid not in told or number == signal.SIGKILL:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                told.add(pid)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            time.sleep(_AGAIN_S)


if __name__ == "__main__":
    main()
    sys.exit(0)
