"""A Dask cluster of a user: a scheduler in the hub and a worker on some machines, started by hand."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.machines import HUB, Machines
from tests.support.small_disk import on_small_disk
from tests.support.vms import within


class Cluster:
    """The scheduler, and the workers on the machines `names`; they end with the machines.

    `programs` are other programs than `dask` for the workers of some machines.  The spools of the worker on the machine
    `small` are on a small disk.
    """

    def __init__(
        self,
        machines: Machines,
        directory: Path,
        names: Sequence[str],
        *,
        programs: Mapping[str, Path] | None = None,
        small: str = "",
    ) -> None:
        dask = Path(sys.executable).parent / "dask"
        self.file = directory / "scheduler.json"
        more = ("--no-dashboard", "--scheduler-file", self.file)
        self.scheduler = machines.start_program(
            dask, "scheduler", "--host", HUB, "--port", "0", *more, cwd=directory, place="hub"
        )
        assert within(60, lambda: bool(self.address))
        self.workers = []
        for name in names:
            argv: tuple[str | Path, ...] = (
                *((programs or {}).get(name, dask), "worker", "--scheduler-file", self.file, "--name", name),
                *("--host", machines.address(name), "--no-nanny", "--nthreads", "1", "--no-dashboard"),
                *("--local-directory", directory / name),
            )
            if name == small:
                state = machines.state(name).parent / "home" / ".local" / "state"
                state.mkdir(parents=True, exist_ok=True)
                argv = on_small_disk(state, *argv)
            self.workers.append(machines.start_program(*argv, cwd=directory, place=name))

    @property
    def address(self) -> str:
        """The address of the scheduler, as Dask writes it; "" before it has."""
        try:
            return str(json.loads(self.file.read_text())["address"])
        except (FileNotFoundError, ValueError):  # it does not exist yet, or is being written
            return ""
