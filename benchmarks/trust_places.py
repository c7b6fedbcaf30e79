"""Where the runs of the trust benchmark take place: on two cores, in a CPU quota, or in a network of its own."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.lab.namespace import HERE, Inside
from deploy.lab.network import Lab, why_not
from deploy.lab.topology import SINK_HOST, Place
from loadgen.model.probe import Link

QUOTA = 0.55
"""The CPU quota, as a share of a core."""

_PERIOD_US = 100_000
_GROUP = "loadgen-trust-"
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)

# Classic BPF for tc-bpf(8): ld [random]; jgt THRESHOLD; ret TC_ACT_SHOT (when not above); ret TC_ACT_OK.  The second
# program begins with: ldb [23]; jeq 17 (UDP).
_DROP = "4,32 0 0 4294963256,37 1 0 {threshold},6 0 0 2,6 0 0 0"
_DROP_UDP = "6,48 0 0 23,21 0 3 17,32 0 0 4294963256,37 1 0 {threshold},6 0 0 2,6 0 0 0"


class ImpossibleError(Exception):
    """This machine, or this user, cannot make a set-up; the text says why."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a process starts: on cores, in a network namespace, and in a control group."""

    cores: frozenset[int]
    host: str = "127.0.0.1"
    inside: Inside = HERE
    group: Path | None = None

    def start(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        """Start a program here.  It is killed when this process ends, however that happens."""
        return subprocess.Popen(
            [*self.inside.prefix, *argv],
            pass_fds=self.inside.descriptors,
            text=True,
            preexec_fn=self._settle,
            stdin=subprocess.DEVNULL,
            **options,
        )

    def _settle(self) -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.sched_setaffinity(0, self.cores)
        if self.group is not None:
            join(self.group, os.getpid())


@dataclass(frozen=True, slots=True)
class Places:
    """The spot of the load generator, that of the servers, and the lab between them if there is one."""

    generator: Spot
    servers: Spot
    lab: Lab | None = None


Where = Callable[[tuple[int, int]], contextlib.AbstractContextManager[Places]]
"""Makes the places on two cores: that of the load generator, and that of the servers."""


@contextlib.contextmanager
def here(cores: tuple[int, int]) -> Iterator[Places]:
    """Two cores of this machine."""
    yield Places(Spot(frozenset(cores[:1])), Spot(frozenset(cores[1:])))


@contextlib.contextmanager
def everywhere(cores: tuple[int, int]) -> Iterator[Places]:
    """Two cores of this machine, both for the load generator, which starts all ends itself."""
    yield Places(Spot(frozenset(cores)), Spot(frozenset(cores)))


@contextlib.contextmanager
def quota(cores: tuple[int, int]) -> Iterator[Places]:
    """Two cores, in one control group with a CPU quota."""
    with _group() as group:
        yield Places(Spot(frozenset(cores[:1]), group=group), Spot(frozenset(cores[1:]), group=group))


def lab(link: Link, *, loss: float = 0.0) -> Where:
    """Two namespaces with a third one between them, which loses this share of the packets in each direction."""

    @contextlib.contextmanager
    def make(cores: tuple[int, int]) -> Iterator[Places]:
        if reason := why_not():
            raise ImpossibleError(reason)
        with Lab(link) as made:
            if loss:
                drop(made, loss)
            yield Places(
                Spot(frozenset(cores[:1]), inside=made.inside(Place.SOURCE)),
                Spot(frozenset(cores[1:]), host=SINK_HOST, inside=made.inside(Place.SINK)),
                made,
            )

    return make


def drop(network: Lab, loss: float, *, udp_only: bool = False) -> None:
    """From now on, lose this share of the packets that the place in the middle forwards, in each direction.

    A classifier in BPF drops them; not every kernel has netem.  Raises ImpossibleError where the kernel has none.
    """
    inside = network.inside(Place.PROXY)
    tc = shutil.which("tc", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin") or "tc"
    for nic in ("va1", "vb0"):
        code = (_DROP_UDP if udp_only else _DROP).format(threshold=min(round(loss * 2**32), 2**32 - 1))
        for words in (["qdisc", "add", "dev", nic, "ingress"], _filter(nic, code)):
            done = subprocess.run(
                [*inside.prefix, tc, *words], pass_fds=inside.descriptors, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise ImpossibleError(f"tc cannot drop packets: {' '.join(done.stderr.split())}")


def _filter(nic: str, code: str) -> list[str]:
    return ["filter", "add", "dev", nic, "ingress", "bpf", "direct-action", "bytecode", code]


def join(group: Path, pid: int) -> None:
    """Move a process into a control group."""
    (group / "cgroup.procs").write_text(str(pid))


@contextlib.contextmanager
def _group() -> Iterator[Path]:
    """A control group with the quota (cgroups v1 or v2); removed afterwards.  Raises ImpossibleError."""
    parent, version = _own_group()
    _remove_left_behind(parent)
    group = parent / f"{_GROUP}{os.getpid()}"
    try:
        if version == 2 and "cpu" not in (parent / "cgroup.subtree_control").read_text().split():
            (parent / "cgroup.subtree_control").write_text("+cpu")
        group.mkdir()
        if version == 1:
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(round(QUOTA * _PERIOD_US)))
        else:
            (group / "cpu.max").write_text(f"{round(QUOTA * _PERIOD_US)} {_PERIOD_US}")
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        raise ImpossibleError(f"no control group with a CPU quota can be made: {error.strerror}") from error
    try:
        yield group
    finally:
        _remove(group, parent)


def _own_group() -> tuple[Path, int]:
    """The control group that limits this process's CPU, and the version of its hierarchy."""
    mounts = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        front, _, back = line.partition(" - ")
        mount, kind = Path(front.split()[4]), back.split()
        if kind[0] == "cgroup" and "cpu" in kind[2].split(","):
            mounts[1] = mount
        elif kind[0] == "cgroup2":
            mounts[2] = mount
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "cpu" in controllers.split(",") and 1 in mounts:
            return mounts[1] / path.lstrip("/"), 1
        if not controllers and 2 in mounts and 1 not in mounts:
            return mounts[2] / path.lstrip("/"), 2
    raise ImpossibleError("no control groups with a CPU controller are mounted")


def _remove_left_behind(parent: Path) -> None:
    """Remove the groups of benchmarks that were killed."""
    for group in parent.glob(f"{_GROUP}*"):
        if not Path(f"/proc/{group.name.removeprefix(_GROUP)}").exists():
            _remove(group, parent)


def _remove(group: Path, parent: Path) -> None:
    """Remove a group; processes that still end in it move to its parent."""
    with contextlib.suppress(OSError):
        for pid in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                join(parent, int(pid))
        group.rmdir()
