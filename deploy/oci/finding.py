"""The container engine that a driver or an environment uses: one that runs here, or podman as a service of ours."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.limits.groups import Groups, device_node
from deploy.oci.engine import find_socket
from deploy.oci.service import find_podman
from loadgen.model.errors import PlanError
from loadgen.model.limits import VmLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The socket of an engine that runs; where it is "", the program podman, which has to be started as a service.

    `disk` is the device node whose rate is limited, "" for none.
    """

    socket: str
    podman: str
    disk: str


def find_engine(user: str, limits: VmLimits) -> Found:
    """Find an engine that can set these limits, for `user`, such as "the VM driver oci".

    Raises PlanError when there is no container engine or no Python package for it, or when this machine has no
    controller for a limit.
    """
    socket = find_socket()
    podman = find_podman()
    if not socket and podman is None:
        raise PlanError(
            f"{user} needs a container engine: no socket of Docker or podman answers, and podman is not installed",
            hint="install podman (Debian: apt-get install podman), or start Docker",
        )
    if not socket and limits.given and os.geteuid() != 0:
        raise PlanError(
            f"podman cannot limit VMs without root ({', '.join(limits.given)})",
            hint="run loadgen as root, or leave out the limits",
        )
    disk = Path(tempfile.gettempdir())
    Groups(limits, disk=disk)  # checks that this machine has the controllers
    node = device_node(disk) if limits.disk_bytes_per_s is not None else ""
    return Found(socket=socket, podman=podman or "", disk=node)
