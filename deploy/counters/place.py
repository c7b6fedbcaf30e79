"""Where the kernel of this machine counts what one VM uses."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.limits.groups import Group


@dataclass(frozen=True, slots=True, kw_only=True)
class VmPlace:
    """The place of one VM.

    `pids`: its first processes, as this machine numbers them; those that they start are the VM's, too.  `group`: its
    cgroups, in which no other VM is.  `listening`: (address, port) of its listening socket in the network namespace of
    this machine; None when it listens in a namespace of its own.
    """

    pids: tuple[int, ...] = ()
    group: Group | None = None
    listening: tuple[str, int] | None = None
