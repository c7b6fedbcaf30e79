"""The seam between a fleet on Dask and how its agents come to be there: over SSH, by hand, or in the user's cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """An agent that is there: `address` is its Dask worker's, `engines` how many engine processes it shall have.

    0 engines: one for each core that it may use.
    """

    name: str
    address: str
    engines: int = 0


class Line(Protocol):
    """How words go between a fleet and its agents."""

    @property
    def client(self) -> Any:
        """The `distributed.Client` (asynchronous) that carries calls, each with its answer."""

    def listen(self, topic: str, hear: Callable[[Any], None]) -> None:
        """From now on `hear` gets what is logged under a topic, with the address of the worker in it."""

    def post(self, messages: Mapping[str, dict[str, Any]]) -> bool:
        """Send each agent, by its address, a message that nobody answers; False when only calls can be carried.

        Its `op` is one of loadgen.agent.dask.plugin.  Who is gone does not get it.
        """


class Way(Protocol):
    """Brings agents up, each a Dask worker, and ends what it began."""

    @property
    def line(self) -> Line:
        """What reaches them, once it is open."""

    @property
    def missing(self) -> Mapping[str, str]:
        """Who was asked for and did not come: why not, by name."""

    async def open(self) -> tuple[Joined, ...]:
        """Bring them up; those that came, in the order in which they were asked for.

        Raises FleetError or PlanError when the way itself is not there (no scheduler, no address to listen on).
        """

    async def lose(self, name: str) -> None:
        """A machine was given up: whatever of ours is still there must end, frozen or not.  Never raises."""

    async def close(self) -> None:
        """End all that `open` began, wherever it is.  Idempotent, bounded in time."""
