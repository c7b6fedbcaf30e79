"""Calls cross to the agents as names, never as code: so the Pythons at both ends may differ."""

from __future__ import annotations

import inspect
import pickletools
from collections.abc import Callable
from typing import Any

import pytest
from distributed.protocol.pickle import dumps

from coordinator.fleet.bandwidth import bandwidth
from loadgen.agent.dask import calls
from loadgen.agent.dask.plugin import AgentPlugin

CALLS = {
    name: call
    for name, call in vars(calls).items()
    if inspect.iscoroutinefunction(call) and call.__module__ == calls.__name__ and not name.startswith("_")
}


def names_in(sent: object) -> set[tuple[str, str]]:
    """The names that a pickle of Dask refers to; they are the last two texts before each STACK_GLOBAL."""
    pickled: bytes = dumps(sent)  # type: ignore[no-untyped-call]
    texts: list[str] = []
    found = set()
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name in ("SHORT_BINUNICODE", "BINUNICODE"):
            texts.append(str(argument))
        elif opcode.name == "STACK_GLOBAL":
            found.add((texts[-2], texts[-1]))
        elif opcode.name == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            found.add((module, name))
    return found


def test_there_are_calls() -> None:
    assert {"hello", "clock", "take_plan", "prepare", "start", "renew", "finish", "leave"} <= CALLS.keys()


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_call_is_pickled_as_its_name(name: str) -> None:
    call: Callable[..., Any] = CALLS[name]
    assert names_in(call) == {(calls.__name__, name)}


def test_the_one_call_of_the_coordinators_own_is_pickled_as_its_name() -> None:
    assert names_in(bandwidth) == {(bandwidth.__module__, "bandwidth")}


def test_the_plugin_of_a_users_cluster_is_pickled_as_its_name() -> None:
    assert {module for module, _ in names_in(AgentPlugin)} == {AgentPlugin.__module__}


def test_code_would_be_seen() -> None:
    """What is defined inside a function has no name to be found by."""

    async def local() -> None: ...

    assert len(names_in(local)) > 1
