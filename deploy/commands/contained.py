"""The first process of a container: runs the commands of one place (`python -m deploy.commands.contained DIRECTORY`).

It connects to a unix socket in DIRECTORY, which the environment makes and mounts into the container.  When loadgen
dies in whatever way, the kernel closes the connection, this process ends, and with it the container.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.commands.serving import Lines, serve, write
from deploy.commands.wire import Ready
from loadgen.host.limits import raise_open_files

SOCKET, LOG = "socket", "log"
"""The names of the unix socket and of the file for messages in the directory of a place."""

WORK = "/loadgen-work"
"""The work directory in the container, a directory of its image."""


def main() -> None:
    """Run the commands of one place, until the connection ends."""
    directory = Path(sys.argv[1])
    _log_to(directory / LOG)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(directory / SOCKET))
        raise_open_files()
        gc.freeze()
        descriptor = connection.fileno()
        lines = Lines(descriptor)
        os.environ.clear()
        os.environ.update(json.loads(next(lines, b"{}")))
        write(descriptor, Ready(cgroups=Path("/proc/self/cgroup").read_text()).encode())
        serve(lines, descriptor, Path(WORK))


def encode_environment(variables: Mapping[str, str]) -> bytes:
    """The first line for the process: the variables of its commands' environment, which the engine need not know."""
    return json.dumps(dict(variables)).encode() + b"\n"


def _log_to(path: Path) -> None:
    """Write the messages of this process to a file: an engine removes its own log with the container."""
    log_fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for standard_fd in (1, 2):
        os.dup2(log_fd, standard_fd)


if __name__ == "__main__":
    main()
