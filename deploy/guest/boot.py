"""What a guest runs first: the initramfs, which mounts its disks, and the script that starts its web server.

The kernel gives the words `lg_...=` of its command line to both scripts as environment variables.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.guest.archive import pack
from deploy.guest.kernel import Kernel
from deploy.guest.libraries import libraries_of
from deploy.servers.base import find_binary
from loadgen.model.errors import PlanError

DOCROOT = Path("/docroot")
"""The document root in a guest."""

WORKDIR = Path("/run/vm")
"""The directory of the web server in a guest."""

START = "/loadgen/start"
"""The script on the first disk that starts the web server."""

SAID = "loadgen: "
"""The beginning of the lines that the scripts print."""

PROBE = "lg_probe=1"
"""With this word on its command line, a guest prints :data:`BOOTED` and ends."""

BOOTED = SAID + "booted"

_FIRST_TOOLS = ("sh", "mount", "mkdir", "insmod", "chroot", "sleep")
START_TOOLS = ("sh", "ip", "cat", "sleep")
"""The programs that the script at :data:`START`, and the CGI script of the application, run."""

_PACKAGES = {"insmod": "kmod", "ip": "iproute2", "mke2fs": "e2fsprogs", "setpriv": "util-linux"}

_FAIL = f"""\
fail() {{
    echo "{SAID}$1"
    sleep 1  # until the console has printed it
    echo b >/proc/sysrq-trigger
}}
"""

# The order of virtio disks is not fixed, so the script looks for the one with the start script.
_INIT = """\
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
{fail}
for module in {modules}; do
    insmod "/modules/$module" || fail "the module $module was not loaded"
done
if [ -n "$lg_probe" ]; then
    echo "{booted}"
    echo b >/proc/sysrq-trigger
fi
tries=3000  # a VM without CPU is given up by the driver, and not here
until [ -b /dev/vda ] && [ -b /dev/vdb ]; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || fail "the disks did not appear"
    sleep 0.1
done
mount -t ext4 -o ro /dev/vda /first || fail "a disk was not mounted"
mount -t ext4 -o ro /dev/vdb /second || fail "a disk was not mounted"
base=/first files=/second
[ -e "$base{start}" ] || base=/second files=/first
mount -t tmpfs -o mode=755 tmpfs /written
mkdir /written/upper /written/work
mount -t overlay -o "lowerdir=$base,upperdir=/written/upper,workdir=/written/work" overlay /new ||
    fail "the file system was not mounted"
mount --bind "$files" /new{docroot}
mount -n --move /dev /new/dev
mount -t proc proc /new/proc
mount -t sysfs sys /new/sys
exec chroot /new {start}
"""

_START = """\
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ LANG=C.UTF-8
{fail}
run() {{
    name=$1
    shift
    "$@"
    fail "$name exited with status $?"
}}
echo "$lg_name" >/proc/sys/kernel/hostname
ulimit -n {open_files}
ip -batch - <<END || fail "the network was not set up"
link set lo up
link set eth0 up
addr add $lg_address dev eth0
route add $lg_gateway dev eth0
route add default via $lg_gateway dev eth0
END
{commands}
wait
"""

_OPEN_FILES = 1 << 20  # fs.nr_open of Linux, the most that a process may have


def initramfs(kernel: Kernel) -> bytes:
    """The first file system of a guest.  Raises PlanError when a program that it needs is not installed."""
    tools = {name: find_tool(name) for name in _FIRST_TOOLS}
    libraries = set().union(*map(libraries_of, tools.values()))
    init = _INIT.format(
        fail=_FAIL,
        modules=" ".join(path.name for path in kernel.modules),
        booted=BOOTED,
        start=START,
        docroot=DOCROOT,
    )
    files = {
        "/init": init.encode(),
        **{f"/bin/{name}": Path(path).read_bytes() for name, path in tools.items()},
        **{path: Path(path).read_bytes() for path in sorted(libraries)},
        **{f"/modules/{path.name}": path.read_bytes() for path in kernel.modules},
    }
    return pack(files, ("/dev", "/proc", "/first", "/second", "/written", "/new"))


def start_script(programs: Mapping[str, Sequence[str]], environment: Mapping[str, str], awaited: str = "") -> str:
    """The script that starts these programs (name, command line); when one ends, the guest ends.

    All but the first one wait for the file `awaited`.
    """
    exports = [f"export {shlex.quote(f'{name}={value}')}" for name, value in environment.items()]
    commands = [f"run {shlex.join([name, *argv])} &" for name, argv in programs.items()]
    if awaited:  # a web server that cannot reach its application logs each request
        commands.insert(1, f"until [ -e {shlex.quote(awaited)} ]; do sleep 0.1; done")
    return _START.format(fail=_FAIL, open_files=_OPEN_FILES, commands="\n".join([*exports, *commands]))


def find_tool(name: str) -> str:
    """The path of a program for guests or for making them.  Raises PlanError when it is not installed."""
    found = find_binary(name)
    if found is None:
        raise PlanError(
            f"VMs under QEMU need the program {name}", hint=f"install it (Debian: {_PACKAGES.get(name, 'coreutils')})"
        )
    return found
