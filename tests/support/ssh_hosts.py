"""Shared parts of the tests over real SSH: functions to run on agents, and coroutines in the hub's network."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest
import uvloop

from tests.support.machines import Machines
from tests.support.vms import within

T = TypeVar("T")


def asked() -> tuple[Callable[..., str], Callable[..., int]]:
    """Return functions to run on an agent: one returns its name, the other its limit of open files.

    They are nested so that they are sent with their code: the agent cannot import this module.
    """

    def name_of(dask_worker: Any) -> str:
        return str(dask_worker.name)

    def open_files() -> int:
        import resource

        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    return name_of, open_files


NAME_OF, OPEN_FILES = asked()
RUN = "20260101-120000-ssh"
"""The id of the run in all of these tests."""

BOUND_S = 10
"""Time limit in seconds for steps that take a few seconds on an idle machine."""


@contextlib.contextmanager
def as_coordinators_user(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Inside the context, this process has the environment of the coordinator's user; afterwards, no process may be
    left on a machine.
    """
    for name in os.environ.keys() - machines.environment.keys():
        monkeypatch.delenv(name)
    for name, value in machines.environment.items():
        if not name.startswith("PYTEST"):
            monkeypatch.setenv(name, value)
    yield
    assert within(3, lambda: not any(machines.processes(name) for name in machines.names)), [
        machines.processes(name) for name in machines.names
    ]


def in_hub(machines: Machines, work: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine function in the hub's network; returns its result."""

    async def whole() -> T:
        return await work()

    return machines.call(lambda: uvloop.run(whole()))
