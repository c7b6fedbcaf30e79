"""The seam between VM drivers and the rest: a request, and a deployment that is started and ended as a context manager.

>>> deployment = choose("local").prepare(request)  # checks the request; starts nothing
>>> async with deployment:  # all VMs answer inside, nothing is left behind it
...     drive(deployment.targets)

:mod:`deploy.vms.catalog` finds drivers by name; `tests/contract/test_vm_contract.py` states what each of them does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

from deploy.counters.place import VmPlace
from deploy.limits.groups import Usage
from loadgen.model.limits import NO_LIMITS, VmLimits
from loadgen.model.plan import Server
from loadgen.model.sending import IpVersion
from loadgen.model.target import Target
from loadgen.model.tls import TLS_DEFAULTS, TlsSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class VmRequest:
    """The demands of a run on a driver.

    A driver that starts servers reads `count`, `server`, `address` (where VMs listen), `base_port` (the first VM's
    port, the others follow; 0: any free ports), `connections` (per VM), `docroots` (one per VM; they may be equal, and
    need not exist before the deployment is entered) and `limits` (of each VM).  A driver that can protects
    `reserve_memory_bytes` of each VM's memory (0: none), and accepts as `address` also a network in which each VM has
    its own address.  A driver of servers that run already reads `targets`, and `tls_verify` and `tls` for those that
    speak TLS, `ip_version` for those with names; `dialed` are the targets with other hosts and ports to connect to.
    `http2`: they must speak HTTP/2.

    `server` is the web server to run.  A driver refuses one that it cannot run; AUTO leaves the choice to the driver.
    `app` is the application for dynamic operations, as `module:function` (see :class:`workloads.api.ServerFiles`).
    The function is called with the document root, a directory that the application may write to, and whether it
    serves the files, too; it returns an `aiohttp.web.Application`.  Each VM runs one; "" means files only.
    `proof_path` and `app_path` must be answered with status 200 by a server that has the files, and by one that runs
    the application; where `proof_path` is empty, a server has to accept connections only.  `content` says in words
    what each server must have: `35 directories of the file set`.
    """

    count: int
    server: Server = Server.AUTO
    address: str = "127.0.0.1"
    base_port: int = 0
    connections: int = 20
    docroots: tuple[Path, ...] = ()
    app: str = ""
    proof_path: str = ""
    app_path: str = ""
    content: str = ""
    targets: tuple[Target, ...] = ()
    tls_verify: bool = True
    ip_version: IpVersion = IpVersion.ANY
    http2: bool = False
    tls: TlsSettings = TLS_DEFAULTS
    dialed: tuple[Target, ...] = ()
    limits: VmLimits = NO_LIMITS
    reserve_memory_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VmDeath:
    """A VM that no longer serves all that it should, because one of its processes ended by itself."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VmFacts:
    """The facts about deployed VMs, for the record.

    `server` is the kind of web server, or `given` for servers that the driver did not start (then `version` is
    empty).  `config` is the first VM's configuration, "" where it has none or is not up yet; the configurations of
    the others differ in names and port only.  `details` are further facts as plain data, such as the limits that the
    kernel granted.
    """

    driver: str
    server: str
    version: str
    config: str
    details: Mapping[str, Any] = field(default_factory=dict)


class Deployment(Protocol):
    """VMs as an async context manager.  Entered, every target answers; left, no process and no file remains."""

    async def __aenter__(self) -> Deployment:
        """Start the VMs, or find those that run.

        Raises PlanError when the request cannot be met, and TargetError when a VM does not start or answer; nothing
        remains then.
        """

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything that the deployment has started."""

    @property
    def targets(self) -> tuple[Target, ...]:
        """The servers to drive, in the order of the request; () before the deployment is entered."""

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices for the user, as sentences: for example, given servers that do not answer."""

    @property
    def facts(self) -> VmFacts:
        """The facts about the VMs; `driver`, `server` and `version` are known before the deployment is entered."""

    def places(self) -> Mapping[str, VmPlace]:
        """Where the kernel of this machine counts what each VM uses, by the name of its target.

        Known once the deployment is entered; without the VMs of other machines.
        """

    def deaths(self) -> AsyncIterator[VmDeath]:
        """Each death when it happens, until the deployment is left.  For one reader."""


@runtime_checkable
class Hosting(Protocol):
    """A deployment, entered, that runs further programs in its VMs (named as its targets are), and tells of them."""

    def run(self, name: str, program: Sequence[str]) -> None:
        """Start a program in a VM: its name in messages, then its command line.

        It counts as part of the VM: its end is reported as the death of the VM.  Its output goes to a log.
        """

    def log(self, name: str, program: str) -> str:
        """The first megabyte of what a program in a VM has printed; "" when it has printed nothing."""

    def usage(self, name: str) -> Usage | None:
        """What the kernel counts of a VM; None where the driver has no cgroup for it."""

    def granted(self, name: str) -> Mapping[str, Any]:
        """The limits that the kernel holds for a VM (fields of VmLimits), read back from it."""

    def sources(self, count: int) -> tuple[str, ...]:
        """Up to `count` addresses of this machine from which a client may ask the VMs; () for any.

        They exist as long as the first VM.  Raises TargetError when they cannot be made.
        """

    def gateway(self, name: str) -> str:
        """The address of this machine as a VM reaches it."""


class VmDriver(Protocol):
    """A way to start VMs, or to find servers that run already."""

    @property
    def starts_servers(self) -> bool:
        """True: the driver starts servers, which need document roots.  False: it uses the targets of the request."""

    def prepare(self, request: VmRequest) -> Deployment:
        """Check the request before any file is made for it; starts nothing.

        Raises PlanError when the driver cannot meet the request on this machine: it cannot run the web server or
        the application that is asked for, or it needs targets and the request has none.
        """
