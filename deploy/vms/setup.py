"""Files and limits of web servers on this machine, for the drivers that start them here."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from deploy.servers.base import Setup, Vm, WebServer
from loadgen.model.errors import PlanError


def write_files(vm: Vm, setup: Setup) -> None:
    """Make the directory of a VM with the files that its server needs.  Raises OSError."""
    vm.workdir.mkdir()
    for directory in setup.directories:
        (vm.workdir / directory).mkdir()
    for name, text in setup.files.items():
        (vm.workdir / name).write_bytes(os.fsencode(text))  # configurations contain paths, which are bytes


def check_file_limit(server: WebServer, connections: int) -> None:
    """Check the limit of open files now, because a server that runs out of them only stops answering.

    Raises PlanError when `connections` need more files in one process of `server` than the hard limit permits.
    """
    needed = server.files_needed(connections)
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if needed > hard_limit:
        raise PlanError(
            f"{connections} connections need {needed} open files in a server, but the hard limit is {hard_limit}",
            hint="use fewer connections per VM, or raise the limit (as root: ulimit -Hn)",
        )


def last_log_lines(workdir: Path) -> str:
    """The last line of each log of a VM's processes."""
    ends = []
    for log in sorted(workdir.glob("*.log")):
        lines = log.read_text(errors="replace").splitlines()
        ends += [f"{log.stem}: {line}" for line in lines[-1:]]
    return "; ".join(ends)


def read_log(workdir: Path, program: str) -> str:
    """What a program of a VM has printed until now; its log holds a megabyte at most."""
    try:
        return (workdir / f"{program}.log").read_text(errors="replace")
    except OSError:
        return ""
