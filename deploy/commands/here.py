"""Environments of this machine: the machine itself, and boxes (:mod:`deploy.box`).

Commands are run by the same code in both, :mod:`deploy.commands.running`, so that they differ in the place only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import deploy
from deploy.box.box import Box
from deploy.commands.api import Places
from deploy.commands.supervised import names_of, supervised
from deploy.commands.wire import Open
from deploy.limits.groups import Groups, granted, remove_leftovers
from loadgen.host.scheduler import scheduler
from loadgen.model.errors import PlanError
from loadgen.model.limits import VmLimits


class Bare:
    """A :class:`deploy.commands.api.Environment`: this machine itself.  Its places are directories."""

    def check(self, limits: VmLimits) -> None:
        """Accept everything: limits apply to VMs."""

    @contextlib.asynccontextmanager
    async def places(self, count: int, limits: VmLimits) -> AsyncIterator[Places]:
        """Make empty directories."""
        async with supervised(dict.fromkeys(names_of(count), Open())) as places:
            yield Places(places, {"scheduler": scheduler()})


class Ns:
    """A :class:`deploy.commands.api.Environment` of boxes: namespaces, a file system layer of their own, cgroups."""

    def check(self, limits: VmLimits) -> None:
        """Check that the user is root, and that this machine has a controller for each limit.  Raises PlanError."""
        if os.geteuid() != 0:
            raise PlanError(
                "the environment ns needs root, to create namespaces",
                hint="run loadgen as root, or choose others, such as --env bare --env oci",
            )
        Groups(limits, disk=Path(tempfile.gettempdir()))

    @contextlib.asynccontextmanager
    async def places(self, count: int, limits: VmLimits) -> AsyncIterator[Places]:
        """Make boxes over the files of this machine, without a network but their own loopback device."""
        remove_leftovers()
        groups = Groups(limits, disk=Path(tempfile.gettempdir()))
        try:
            made = [groups.make(name) for name in names_of(count)]
            boxes = [
                Box(hostname=group.name, directory="", visible=python_paths(), groups=group.paths, durable=True)
                for group in made
            ]
            async with supervised({box.hostname: Open(box=box) for box in boxes}) as places:
                yield Places(places, {"base": "/", "limits": granted(made[0]), "scheduler": scheduler()})
        finally:
            await asyncio.to_thread(groups.remove)


def python_paths() -> tuple[str, ...]:
    """The directories of this Python that a box does not see through its base: those on another disk, or in /tmp."""
    wanted = {sys.prefix, sys.base_prefix, str(Path(deploy.__file__).parent.parent)}
    base = Path("/").stat().st_dev
    return tuple(sorted(path for path in wanted if Path(path).stat().st_dev != base or path.startswith("/tmp/")))
