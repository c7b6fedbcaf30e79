"""The options that limit the resources of each VM."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from coordinator.cli.options import SIZE, F
from coordinator.cli.panels import option
from coordinator.cli.plan_options import override
from loadgen.model.limits import NO_LIMITS, VmLimits
from loadgen.model.units import format_size


def vm_limit_options(panel: str, default: VmLimits = NO_LIMITS) -> Callable[[F], F]:
    """The options --vm-cpus, --vm-memory, --vm-pids and --vm-disk-rate, for :func:`chosen_limits`.

    `default` are the limits of a plan that names none.
    """

    def add(command: F) -> F:
        for one in reversed(_options(panel, default)):
            command = one(command)
        return command

    return add


def chosen_limits(base: VmLimits, given: Mapping[str, Any]) -> VmLimits:
    """The limits of a plan with those that the options change.  Raises PlanError."""
    return override(
        base,
        cpus=given["vm_cpus"],
        memory_bytes=given["vm_memory"],
        pids=given["vm_pids"],
        disk_bytes_per_s=given["vm_disk_rate"],
    )


def _options(panel: str, default: VmLimits) -> list[Callable[[F], F]]:
    return [
        option(
            "--vm-cpus",
            type=float,
            metavar="N",
            panel=panel,
            help="CPUs that each VM may use at most, such as 0.5; at least 0.01.  [default: no limit]",
        ),
        option(
            "--vm-memory",
            type=SIZE,
            metavar="SIZE",
            panel=panel,
            help="Memory that each VM may use at most, such as 48M; at least 1M.  "
            f"[default: {_said(default.memory_bytes, format_size)}]",
        ),
        option(
            "--vm-pids",
            type=click.INT,
            metavar="N",
            panel=panel,
            help="Processes and threads that each VM may have at most; at least 1.  "
            f"[default: {_said(default.pids, str)}]",
        ),
        option(
            "--vm-disk-rate",
            type=SIZE,
            metavar="SIZE",
            panel=panel,
            help="Bytes per second that each VM may read from its disk, and write to it, such as 20M; at least 1K.  "
            "[default: no limit]",
        ),
    ]


def _said(limit: int | None, say: Callable[[int], str]) -> str:
    return "no limit" if limit is None else say(limit)
