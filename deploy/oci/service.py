"""podman as a service of one deployment: started for it, in namespaces of its own, and ended with it.

The service and all containers are in one PID namespace and one mount namespace.  When the first process of the PID
namespace ends, the kernel ends all others, and removes the mounts with the last of them.  Its storage is in the
directory of the deployment.  So no container, mount or image outlives the deployment, also after SIGKILL.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from deploy.servers.base import find_binary
from loadgen.model.errors import PlanError, TargetError

SOCKET = "engine.sock"
"""The name of the service's socket in its directory."""

_LISTENS_S = 30.0
_AGAIN_S = 0.02
_SOCKET_PATH_BYTES = 107  # of the kernel, `sun_path` of unix(7)

_CONTAINERS_CONF = """\
[containers]
default_ulimits = []
cgroups = "{cgroups}"
pids_limit = 0
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
num_locks = {locks}
"""

_STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{directory}/root"
runroot = "{directory}/runroot"
"""

# - In the hybrid mode of cgroups, crun refuses to work unless the hierarchy of version 2 is hidden.
# - podman keeps its locks in /dev/shm, and a cache in /var/lib/containers.
# - The first process of a PID namespace has no default action for signals.
_SCRIPT = """\
set -e
trap 'exit 0' TERM
cd {directory}
mkdir low up work over run
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs /dev/shm
[ ! -d /sys/fs/cgroup/unified ] || mount -t tmpfs tmpfs /sys/fs/cgroup/unified
[ ! -d /var/lib/containers ] || mount -t tmpfs tmpfs /var/lib/containers
driver=vfs
if mount -t overlay -o lowerdir=low,upperdir=up,workdir=work overlay over; then umount over; driver=overlay; fi
export HOME={directory} TMPDIR={directory}{rootless}
export CONTAINERS_CONF={directory}/containers.conf CONTAINERS_STORAGE_CONF={directory}/storage.conf
{podman} --log-level=error --storage-driver $driver --tmpdir {directory}/run --runtime-flag root={directory}/run/oci \\
    system service --time 0 unix://{directory}/{socket} &
wait $!
"""


def find_podman() -> str | None:
    """The path of podman; None where it is not installed."""
    return find_binary("podman")


def prepare_service(podman: str, directory: Path, containers: int) -> tuple[str, ...]:
    """Make the directory of a podman service for so many containers; returns its name and command line.

    Without root, it runs in a user namespace, in which the containers have no cgroups.  Raises OSError.
    """
    root = os.geteuid() == 0
    directory.mkdir()
    conf = _CONTAINERS_CONF.format(cgroups="enabled" if root else "disabled", locks=2048 + 2 * containers)
    (directory / "containers.conf").write_text(conf)
    (directory / "storage.conf").write_text(_STORAGE_CONF.format(directory=directory))
    rootless = "" if root else " _CONTAINERS_USERNS_CONFIGURED=done"  # the user namespace is there; podman makes none
    script = _SCRIPT.format(
        directory=shlex.quote(str(directory)), podman=shlex.quote(podman), socket=SOCKET, rootless=rootless
    )
    return ("podman", *_unshare(root=root), "/bin/sh", "-c", script)


async def until_it_listens(socket: Path) -> None:
    """Wait until a service accepts connections at its socket.  Raises PlanError or TargetError."""
    check_socket_path(socket)
    try:
        async with asyncio.timeout(_LISTENS_S):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_unix_connection(str(socket))
                    writer.close()
                    await writer.wait_closed()
                    return
                await asyncio.sleep(_AGAIN_S)
    except TimeoutError:
        raise TargetError(f"podman did not start as a service within {_LISTENS_S:g} s") from None


def check_socket_path(socket: Path) -> None:
    """Check that the path of a unix socket is short enough for the kernel.  Raises PlanError."""
    if len(os.fsencode(socket)) > _SOCKET_PATH_BYTES:
        raise PlanError(
            f"the path of a unix socket may have at most {_SOCKET_PATH_BYTES} bytes, but {socket} has more",
            hint="set TMPDIR to a directory with a shorter path",
        )


def _unshare(*, root: bool) -> Sequence[str]:
    unshare = find_binary("unshare") or "unshare"
    user = () if root else ("--user", "--map-root-user")
    return (unshare, *user, "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
