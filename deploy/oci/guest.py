"""The first process of a container: a warden inside it (`python -m deploy.oci.guest DIRECTORY APP`).

Commands and events pass through two named pipes in DIRECTORY, which the driver makes and mounts into the container.
The driver holds their other ends.  When it dies in whatever way, the kernel closes those, the warden ends, and with it
the container.  So no container engine has to notice the death of loadgen.
"""

from __future__ import annotations

import gc
import os
import pkgutil
import sys
from pathlib import Path

from deploy.oci.pipes import CGROUPS, COMMANDS, EVENTS, LOG
from deploy.warden import Warden
from deploy.worker import MakeApp
from loadgen.host.limits import raise_open_files


def main() -> None:
    """Run the warden of one container."""
    directory = Path(sys.argv[1])
    _log_to(directory / LOG)
    (directory / CGROUPS).write_text(Path("/proc/self/cgroup").read_text())
    commands_fd = os.open(directory / COMMANDS, os.O_RDONLY | os.O_NONBLOCK)
    events_fd = os.open(directory / EVENTS, os.O_WRONLY | os.O_NONBLOCK)  # fails if the driver has died
    make_app: MakeApp | None = pkgutil.resolve_name(sys.argv[2]) if sys.argv[2] else None
    raise_open_files()
    gc.freeze()
    Warden(directory, make_app, commands_fd, events_fd).run()


def _log_to(path: Path) -> None:
    """Write the messages of this process to a file: an engine removes its own log with the container."""
    log_fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for standard_fd in (1, 2):
        os.dup2(log_fd, standard_fd)


if __name__ == "__main__":
    main()
