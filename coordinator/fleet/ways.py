"""The interface between a fleet on Dask and the ways to start its agents: SSH, by hand, or in the user's cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """An agent that has joined.  `address` is that of its Dask worker.

    `engines` is the number of engine processes that it shall start; 0 means one for each core that it may use.
    """

    name: str
    address: str
    engines: int = 0


class Line(Protocol):
    """Carries messages between a fleet and its agents."""

    @property
    def client(self) -> Any:
        """The asynchronous `distributed.Client` that carries calls and their answers."""

    def listen(self, topic: str, hear: Callable[[Any], None]) -> None:
        """Pass messages of a topic to `hear`, from now on; each message contains the worker's address."""

    def post(self, messages: Mapping[str, dict[str, Any]]) -> bool:
        """Send each agent, by its address, a message without an answer.  Returns False if only calls can be carried.

        The `op` of a message is defined in loadgen.agent.dask.plugin.  Agents that are gone do not receive it.
        """


class Way(Protocol):
    """A way to start agents, each of which is a Dask worker, and to end them."""

    @property
    def line(self) -> Line:
        """The line to the agents, once the way is open."""

    @property
    def missing(self) -> Mapping[str, str]:
        """The requested machines that did not join: by name, the reason."""

    async def open(self) -> tuple[Joined, ...]:
        """Start the agents.  Returns those that joined, in the order in which they were asked for.

        Raises FleetError or PlanError if this way cannot be used at all (no scheduler, no address to listen on).
        """

    async def lose(self, name: str) -> None:
        """End all processes of the run on a machine that was given up, even a suspended agent.  Never raises."""

    async def close(self) -> None:
        """End everything that `open` began, on all machines.  Idempotent, bounded in time."""
