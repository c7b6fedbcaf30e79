"""The way over SSH: loadgen starts the agents itself, each with a certificate of its own, and ends them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence

from coordinator.fleet.certificates import Authority
from coordinator.fleet.dask.hub import Hub, check_address, free_port
from coordinator.fleet.ways import Joined, Line
from deploy.hosts.inventory import Host
from deploy.hosts.remote import Remote
from deploy.hosts.ssh import Link, Ssh
from loadgen.agent.bootstrap import PATIENCE_S, Serve, bootstrap
from loadgen.model.errors import FleetError, PlanError
from loadgen.model.port_range import PortRange

_END_S = 2.0
"""Time in seconds for an agent to send the last reports of its engines after it was told to end."""

_KILL_S = 3.0


class _Agent:
    """A host, and the process that runs on it."""

    def __init__(self, host: Host, link: Link) -> None:
        self.host = host
        self.link = link
        self.remote: Remote | None = None
        self.has_ended: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether the process may run.  Only an open connection can tell that it has ended."""
        return self.remote is not None and (
            self.has_ended is None or not self.has_ended.done() or not self.link.is_open
        )


class SshWay:
    """Agents on `hosts`, for one run.

    The coordinator listens at the addresses of this machine from which SSH reaches the hosts, or at
    `coordinator_address`.  Each agent listens at the address at which SSH reaches it, unless its host has another.  All
    of them listen at one of `ports`; None means any.  `say` receives what the user should know, such as a key file that
    is skipped.
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        *,
        run_id: str,
        coordinator_address: str = "",
        ports: PortRange | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._hosts = tuple(hosts)
        self._run_id = run_id
        self._coordinator_address = coordinator_address
        self._ports = ports
        self._authority = Authority()
        self._ssh = Ssh(say)
        self._agents: dict[str, _Agent] = {}
        self._missing: dict[str, str] = {}
        self._hub: Hub | None = None

    @property
    def line(self) -> Line:
        """The line to the agents, once this way is open; see Way."""
        assert self._hub is not None, "the way is not open"
        return self._hub

    @property
    def missing(self) -> Mapping[str, str]:
        """Hosts whose agent did not start: the reason, by name."""
        return {host.name: self._missing[host.name] for host in self._hosts if host.name in self._missing}

    async def open(self) -> tuple[Joined, ...]:
        """Connect to all hosts, and start an agent on each.

        Raises PlanError if this machine cannot listen for them.
        """
        try:
            found = await asyncio.gather(*(self._connect(host) for host in self._hosts))
            self._agents = {agent.host.name: agent for agent in found if agent is not None}
            addresses = await self._addresses()
            port = free_port(addresses, self._ports) if self._ports else 0
            hub = Hub(addresses, port, self._authority.issue("coordinator"))
            self._hub = await hub.__aenter__()
            joined = await asyncio.gather(*(self._start(agent, hub) for agent in self._agents.values()))
        except BaseException:
            await self.close()
            raise
        return tuple(one for one in joined if one is not None)

    async def lose(self, name: str) -> None:
        """Kill the agent on a host, even if it is frozen, through its connection or a new one.  Never raises."""
        if agent := self._agents.get(name):
            await self._kill(agent)

    async def close(self) -> None:
        """Tell all agents to end, kill those that do not, and close the connections."""
        agents, self._agents = list(self._agents.values()), {}
        await asyncio.gather(*(self._end(agent) for agent in agents))
        hub, self._hub = self._hub, None
        if hub is not None:
            await hub.__aexit__(None, None, None)

    async def _connect(self, host: Host) -> _Agent | None:
        try:
            link = await self._ssh.connect(host)
        except FleetError as error:
            self._missing[host.name] = error.message
            return None
        if link.local_address or self._coordinator_address:
            return _Agent(host, link)
        how = f"at {link.link_local}, which is valid on one link only" if link.link_local else "through another machine"
        self._missing[host.name] = (
            f"it is reached {how}; give --coordinator, the address at which it reaches this machine"
        )
        await link.close()
        return None

    async def _addresses(self) -> tuple[str, ...]:
        """Where to listen.  A host for which that is impossible is left out, unless the user chose the address."""
        if self._coordinator_address:
            return (self._coordinator_address,)
        for agent in list(self._agents.values()):
            try:
                check_address(agent.link.local_address, 0)
            except PlanError as error:
                self._missing[agent.host.name] = f"this machine {error.message}"
                await self._end(self._agents.pop(agent.host.name))
        return tuple(dict.fromkeys(agent.link.local_address for agent in self._agents.values()))

    async def _start(self, agent: _Agent, hub: Hub) -> Joined | None:
        host = agent.host
        here = self._coordinator_address or agent.link.local_address
        task = Serve(
            name=host.name,
            scheduler=hub.contact(here),
            credentials=self._authority.issue(host.name).to_pem(),
            bind=host.bind or agent.link.address,
            spool=host.spool,
            ports=str(self._ports) if self._ports else "",
        )
        try:
            agent.remote = await agent.link.start(f"{self._run_id}/{host.name}", bootstrap(task))
            agent.has_ended = asyncio.create_task(agent.remote.wait_ended())
            if address := await self._joined(agent.remote, agent.has_ended, hub, host.name):
                return Joined(name=host.name, address=address, engines=host.cores)
            why = (
                f"its agent did not join within {PATIENCE_S:g} s; it must reach this machine at {here}, and be "
                f"reachable at {task.bind or 'its own address'}"
            )
        except FleetError as error:
            why = error.message
        self._missing[host.name] = why
        await self._end(self._agents.pop(host.name))
        return None

    async def _joined(self, remote: Remote, has_ended: asyncio.Task[None], hub: Hub, name: str) -> str:
        """Return the address of an agent once it has joined; "" if it is late.  Raises FleetError if it ends."""
        joining = asyncio.create_task(hub.joined([name], PATIENCE_S))
        try:
            await asyncio.wait({joining, has_ended}, return_when=asyncio.FIRST_COMPLETED)
            if not joining.done():
                raise FleetError(await remote.why_ended())
            return joining.result().get(name, "")
        finally:
            joining.cancel()
            await asyncio.gather(joining, return_exceptions=True)

    async def _end(self, agent: _Agent) -> None:
        """End the agent and the connection, so that no process of the run is left there.  Limited in time."""
        try:
            if agent.remote is not None and agent.has_ended is not None:
                agent.remote.end_input()
                await asyncio.wait({agent.has_ended}, timeout=_END_S)
            await self._kill(agent)
        finally:
            if agent.has_ended is not None:
                agent.has_ended.cancel()
                await asyncio.gather(agent.has_ended, return_exceptions=True)
            if agent.remote is not None:
                await agent.remote.close()
            await agent.link.close()

    async def _kill(self, agent: _Agent) -> None:
        remote = agent.remote
        if remote is None or not agent.is_running:
            return
        with contextlib.suppress(TimeoutError, FleetError):
            async with asyncio.timeout(_KILL_S):
                if agent.link.is_open and await agent.link.kill(remote.pid, remote.mark):
                    return
                link = await self._ssh.connect(agent.host)
                try:
                    await link.kill(remote.pid, remote.mark)
                finally:
                    await link.close()
