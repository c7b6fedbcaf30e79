"""Makes load machines that are reached over SSH, each in its own network namespace, and web servers in another one.

      hub ────────┬──── m1 ────┐        198.18.0.0/24: hub .1, m1 .11, m2 .12, ...
    (loadgen)     ├──── m2 ────┤        198.19.0.0/24: hub .2, m1 .11, m2 .12, ..., the servers .1
                  └──── m3 ────┤
      hub ─────────────────────┴──── middle (servers)

`loadgen` is started in the hub.  Both networks are bridges in the middle, so a machine can be cut off from the
coordinator (packets are lost, none is refused) while it still reaches the servers.  The namespaces have no names, and
nothing is made in the namespace of the tests: a namespace is gone when its last process ends, and each process ends
with its parent.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import asyncssh
import pytest
import tomli_w

from deploy.lab.namespace import Namespace
from deploy.lab.network import why_not
from loadgen.model.plan import Server
from tests.support.cli import LOADGEN, Done, environment
from tests.support.sshd import Endpoint, write_server, write_user

T = TypeVar("T")

HUB, SERVERS = "198.18.0.1", "198.19.0.1"
"""The address at which machines reach the coordinator, and the address of the web servers."""

UNKNOWN, CHANGED, REFUSING, SILENT = "unknown", "changed", "refusing", "silent"
"""Hosts that cannot be used.  Three are the first machine at other addresses, where its host key is not known, is not
the known one, or where no user's key is accepted.  At the fourth address, packets are dropped."""

_BAD = {UNKNOWN: "198.18.0.51", CHANGED: "198.18.0.52", REFUSING: "198.18.0.53", SILENT: "198.18.0.99"}
_TOOLS = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "prlimit": "util-linux",
    "sshd": "openssh-server",
}
_ADMIN_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
_FIRST_PORT = 2201


def _tool(name: str) -> str:
    return shutil.which(name, path=_ADMIN_PATH) or name


def _why_not() -> str:
    if missing := sorted(name for name in _TOOLS if not shutil.which(name, path=_ADMIN_PATH)):
        packages = sorted({_TOOLS[name] for name in missing})
        return f"{' and '.join(missing)} must be installed ({', '.join(packages)}; make debian does it)"
    if reason := why_not():
        return reason
    with contextlib.suppress(OSError):  # without PAM, sshd refuses users whose account is locked
        for line in Path("/etc/shadow").read_text().splitlines():
            if line.startswith("root:!"):
                return "the account root is locked"
    return ""


REASON = _why_not()

needs_machines = pytest.mark.skipif(
    bool(REASON) and os.environ.get("CI") != "true", reason=REASON or "machines can be made"
)

_SERVING = """
import asyncio, sys
from pathlib import Path
import tomli_w
from deploy.vms.api import VmRequest
from deploy.vms.catalog import choose
from loadgen.model.plan import Server
from workloads.specweb99.workload import FileSetNeeded
async def serve(kind, address, count, connections, docroot):
    files = FileSetNeeded(1)
    request = VmRequest(
        count=int(count), server=Server(kind), address=address, connections=int(connections),
        docroots=(Path(docroot),) * int(count), app=files.app, proof_path=files.proof_path, app_path=files.app_path,
    )
    async with choose("local").prepare(request) as vms:
        shown = [{"name": one.name, "host": one.host, "port": one.port} for one in vms.targets]
        print(tomli_w.dumps({"target": shown}) + "# all", flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(serve(*sys.argv[1:]))
"""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a machine: descriptors per process, and bytes of disk for its state.  0 means no limit."""

    open_files: int = 0
    disk_bytes: int = 0


class Machines:
    """A context manager: inside, `count` machines m1, m2, ... can be reached from the hub.

    `directory` holds all of their files.  `clocks` has, for some machines, the whole seconds by which their
    CLOCK_MONOTONIC is ahead of the one of this process.
    """

    def __init__(
        self,
        directory: Path,
        count: int = 3,
        limits: Mapping[str, Limits] | None = None,
        clocks: Mapping[str, int] | None = None,
    ) -> None:
        self._directory = directory / "machines"
        self.names = tuple(f"m{number}" for number in range(1, count + 1))
        self.home = self._directory / "hub"
        self._limits = dict(limits or {})
        self._clocks = dict(clocks or {})
        self._places: dict[str, Namespace] = {}
        self._children: list[subprocess.Popen[str]] = []
        self._daemons: set[int] = set()

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes of the machines, then remove the namespaces.  Idempotent."""
        for child in self._children:
            if child.stdin is not None:
                child.stdin.close()  # the supervisor of the servers ends them and removes their files
        for child in self._children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=3 if child.stdin is not None else 0)
        deadline = time.monotonic() + 5
        while self._places and (left := [pid for place in self._places for pid in self._pids(place)]):
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for child in self._children:
                child.poll()  # reap it
            assert time.monotonic() < deadline, f"they do not end: {left}"
            time.sleep(0.01)
        for child in self._children:
            child.wait(timeout=5)
            for pipe in (child.stdout, child.stderr):
                if pipe is not None:
                    pipe.close()
        self._children.clear()
        for namespace in self._places.values():
            namespace.close()
        self._places.clear()

    def address(self, name: str) -> str:
        """The address at which the coordinator reaches a machine."""
        return _BAD.get(name) or f"198.18.0.{11 + self.names.index(name)}"

    def load_address(self, name: str) -> str:
        """The address at which the servers reach a machine."""
        return f"198.19.0.{11 + self.names.index(name)}"

    def port(self, name: str) -> int:
        """The port on which a machine's sshd listens."""
        return _FIRST_PORT + (self.names.index(name) if name in self.names else 0)

    def state(self, name: str) -> Path:
        """The directory for a machine's state (XDG_STATE_HOME); a limited disk is mounted only on the machine."""
        return self._directory / name / "state"

    @property
    def environment(self) -> dict[str, str]:
        """The environment for `loadgen` in the hub, whose user knows the machines and the unusable hosts by name."""
        env = environment(self._directory / "cache")
        for name in [key for key in env if key.startswith(("XDG_S", "SSH_", "DASK_"))]:
            del env[name]
        return {**env, "HOME": str(self.home), "USER": "root", "LOGNAME": "root"}

    def start(self, *arguments: str | Path, cwd: Path, place: str = "hub") -> subprocess.Popen[str]:
        """Start `loadgen` in the hub or on a machine, in its own session, with pipes.  It ends with the test."""
        return self.start_program(LOADGEN, *arguments, cwd=cwd, place=place)

    def start_program(
        self, *argv: str | Path, cwd: Path, place: str, stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[str]:
        """Start any program in any place, in the same way.  At the end its input is closed, then it is killed."""
        own = {} if place not in self.names else {"HOME": str(self.state(place).parent / "home")}
        child = subprocess.Popen(
            [*self._inside(place), *map(str, argv)],
            pass_fds=[self._places[place].descriptor],
            cwd=cwd,
            env={**self.environment, **own},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._children.append(child)
        return child

    def loadgen(self, *arguments: str | Path, cwd: Path, timeout_s: float = 90) -> Done:
        """Run `loadgen` in the hub to its end."""
        child = self.start(*arguments, cwd=cwd)
        out, err = child.communicate(timeout=timeout_s)
        return Done(child.returncode, out, err)

    def call(self, work: Callable[[], T], place: str = "hub") -> T:
        """Call `work` in a thread in the hub, on a machine or in the `middle`; returns or raises what it does."""
        return self._places[place].call(work)

    def serve(
        self, docroot: Path, *, count: int = 16, connections: int = 20, server: Server = Server.AUTO
    ) -> subprocess.Popen[str]:
        """Start web servers in the middle; :meth:`targets` waits until they answer.  They end with the machines."""
        arguments = [server.value, SERVERS, str(count), str(connections), str(docroot)]
        child = subprocess.Popen(
            [*self._inside("middle"), sys.executable, "-P", "-c", _SERVING, *arguments],
            pass_fds=[self._places["middle"].descriptor],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,
            text=True,
            start_new_session=True,
        )
        self._children.append(child)
        return child

    def targets(self, serving: subprocess.Popen[str]) -> Path:
        """Wait until all servers answer; returns a file with them for `--targets`."""
        assert serving.stdout is not None
        text = ""
        while not text.endswith("# all\n"):
            line = serving.stdout.readline()
            assert line, "the servers did not start"
            text += line
        path = self._directory / "targets.toml"
        path.write_text(text)
        return path

    def hosts(self, *names: str, **more: str | int) -> Path:
        """Write a file for `--hosts` with these machines (default: all), each with the keys in `more`."""
        path = self._directory / f"{'-'.join(names) or 'all'}.toml"
        path.write_text(tomli_w.dumps({"host": [{"name": name, **more} for name in names or self.names]}))
        return path

    def cut(self, name: str) -> None:
        """Take down the link between a machine and the coordinator; neither side is notified."""
        self._ip("middle", f"link set c-{name} down")

    def mend(self, name: str) -> None:
        """Bring the link of a machine up again."""
        self._ip("middle", f"link set c-{name} up")

    def processes(self, name: str) -> dict[int, str]:
        """The command lines of the processes on a machine, by pid, without its sshd."""
        return {
            pid: command
            for pid in self._pids(name)
            if not (command := _command(pid)).startswith("sshd:") and pid not in self._daemons and command
        }

    def _pids(self, place: str) -> list[int]:
        wanted = Path(self._places[place].path).readlink()
        found = []
        for entry in os.scandir("/proc"):
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):  # the process has ended
                    if Path(f"/proc/{entry.name}/ns/net").readlink() == wanted:
                        found.append(int(entry.name))
        return found

    def _build(self) -> None:
        # Held by descriptors of this process, the namespaces are gone however it ends.
        self._places.update({name: Namespace() for name in ("middle", "hub", *self.names)})
        self.home.mkdir(parents=True)
        keys = {name: asyncssh.generate_private_key("ssh-ed25519") for name in ("hub", "stranger", *self.names)}
        self._wire()
        for name in self.names:
            self._start_sshd(name, keys[name], keys["hub"])
        self._settle(keys)
        self.call(self._until_up)

    def _wire(self) -> None:
        everyone = ("hub", *self.names)
        middle = ["link set lo up"]
        for bridge in ("control", "load"):
            middle += [f"link add {bridge} type bridge stp_state 0", f"link set {bridge} up"]
        middle.append(f"address add {SERVERS}/24 dev load")
        for name in everyone:
            for letter, bridge in (("c", "control"), ("l", "load")):
                peer = f"peer name {bridge} netns {self._places[name].path}"
                middle += [f"link add {letter}-{name} type veth {peer}", f"link set {letter}-{name} master {bridge} up"]
        self._ip("middle", *middle)
        for name in everyone:
            addresses = (HUB, "198.19.0.2") if name == "hub" else (self.address(name), self.load_address(name))
            lines = ["link set lo up"]
            for nic, address in zip(("control", "load"), addresses, strict=True):
                lines += [f"address add {address}/24 dev {nic}", f"link set {nic} up"]
            if name == "hub":
                lines.append(f"neighbour add {_BAD[SILENT]} lladdr 02:00:00:00:00:63 dev control nud permanent")
            if name == self.names[0]:
                lines += [f"address add {_BAD[bad]}/24 dev control" for bad in (UNKNOWN, CHANGED, REFUSING)]
            self._ip(name, *lines)

    def _ip(self, place: str, *lines: str) -> None:
        run = functools.partial(
            subprocess.run,
            [_tool("ip"), "-batch", "-"],
            input="\n".join(lines),
            capture_output=True,
            text=True,
            timeout=10,
            pass_fds=[one.descriptor for one in self._places.values()],
            check=False,
        )
        done = self.call(run, place)
        assert done.returncode == 0, f"ip in {place}: {done.stderr}"

    def _inside(self, place: str) -> tuple[str, ...]:
        dying = (_tool("setpriv"), "--pdeathsig", "KILL", "--")
        return (*dying, *self._places[place].inside(_tool("nsenter")).prefix)

    def _start_sshd(self, name: str, key: asyncssh.SSHKey, hub: asyncssh.SSHKey) -> None:
        own = self._directory / name
        config = write_server(own, self.port(name), key, hub, refusing=_BAD[REFUSING])
        limits = self._limits.get(name, Limits())
        # It gets its own mount namespace: sshd needs /run/sshd, and the disk may be limited.
        steps = ["mount -t tmpfs none /run", "mkdir -m 755 /run/sshd"]
        if limits.disk_bytes:
            steps.append(f"mount -t tmpfs -o size={limits.disk_bytes} none '{own}/state'")
        limited = f"{_tool('prlimit')} --nofile={limits.open_files}:{limits.open_files} " if limits.open_files else ""
        steps.append(f"exec {limited}{_tool('sshd')} -D -e -f '{config}'")
        with (own / "sshd.log").open("wb") as log:
            child = subprocess.Popen(
                [*self._inside(name), *self._apart(name), "sh", "-c", " && ".join(steps)],
                pass_fds=[self._places[name].descriptor],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._children.append(child)
        self._daemons.add(child.pid)

    def _apart(self, name: str) -> tuple[str, ...]:
        ahead_s = self._clocks.get(name, 0)
        clock = ("--time", "--monotonic", str(ahead_s)) if ahead_s else ()
        return (_tool("unshare"), "--mount", *clock)

    def _settle(self, keys: Mapping[str, asyncssh.SSHKey]) -> None:
        """Make the coordinator's user: with a key, known host keys, and names for the machines."""
        hosts = {name: Endpoint(name, self.address(name), self.port(name)) for name in (*self.names, *_BAD)}
        known = {hosts[name]: keys[name] for name in self.names}
        known |= {hosts[CHANGED]: keys["stranger"], hosts[REFUSING]: keys["m1"], hosts[SILENT]: keys["m1"]}
        write_user(self.home, keys["hub"], hosts.values(), known)

    def _until_up(self) -> None:
        deadline = time.monotonic() + 10
        for name in self.names:
            while True:
                with contextlib.suppress(OSError), socket.create_connection((self.address(name), self.port(name)), 1):
                    break
                log = (self._directory / name / "sshd.log").read_text()
                assert time.monotonic() < deadline, f"no sshd on {name}: {log}"
                time.sleep(0.01)


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def commands(processes: Mapping[int, str], word: str) -> Sequence[int]:
    """The pids of the processes with `word` in the command line."""
    return [pid for pid, command in processes.items() if word in command]
