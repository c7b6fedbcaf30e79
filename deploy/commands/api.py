"""The interface between environments and the rest: places that are made, run commands, and are removed.

>>> async with choose("ns").places(2, limits) as places:  # two fresh VMs
...     ran = await places[0].run(("/bin/sh", "-c", "make"), timeout_ns=60 * NS_PER_S)

`tests/contract/test_command_places.py` states what every environment does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from loadgen.model.limits import VmLimits

MOST_OUTPUT_BYTES = 1 << 20
"""More output of a command loses its middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A command that has ended.

    `status` is its exit status, or the negative number of the signal that killed it.  `timed_out`: it was killed at
    its time limit.  `output` is its standard output and error output, as they came.  `wall_ns` is the time from its
    start to its end.  `cpu_ns` is the CPU time of the command and of those descendants that it waited for; -1 where
    the environment cannot tell.
    """

    status: int
    output: str
    wall_ns: int
    cpu_ns: int = -1
    timed_out: bool = False


class Place(Protocol):
    """One VM, or one directory of this machine, in which commands run one after the other."""

    @property
    def name(self) -> str:
        """The name of the VM: vm01, vm02 and so on."""

    async def run(self, argv: Sequence[str], timeout_ns: int) -> Ran:
        """Run a command in the work directory of the place, which was empty at first, and wait for its end.

        The first word is looked up in PATH.  What it leaves running in the background goes on until the place is
        removed.  Raises TargetError when the place does not answer.
        """


@dataclass(frozen=True, slots=True)
class Places:
    """The places of one trial, and what is known about them, as plain data for the record.

    `processes` are processes of this machine with all those below them that belong to the places, and are not below
    this process.
    """

    places: Sequence[Place]
    details: Mapping[str, Any] = field(default_factory=dict)
    processes: Sequence[int] = ()


class Environment(Protocol):
    """A way to make places."""

    def check(self, limits: VmLimits) -> None:
        """Check that this machine can make places with these limits; starts nothing.  Raises PlanError."""

    def places(self, count: int, limits: VmLimits) -> AbstractAsyncContextManager[Places]:
        """Make fresh places; when the context is left, no process, file or other part of them remains.

        Raises PlanError or TargetError when they cannot be made; nothing remains then.
        """
