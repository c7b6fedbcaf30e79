"""The meeting point of a fleet: a Dask scheduler inside the coordinator, and the client that sends commands."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

from distributed import Client, Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin

from coordinator.fleet.dask.closing import close_bounded
from coordinator.fleet.dask.logs import QuietLogs
from loadgen.agent.credentials import Credentials
from loadgen.agent.dask.security import security
from loadgen.agent.dask.settings import configure
from loadgen.host.limits import raise_open_files
from loadgen.model.errors import PlanError
from loadgen.model.port_range import PortRange

_CLOSE_TIMEOUT_S = 3.0


class _Register(SchedulerPlugin):
    """The workers that have joined (address by name, in the order of joining), and the listeners by topic."""

    def __init__(self) -> None:
        self.present: dict[str, str] = {}
        self.changed = asyncio.Event()
        self.hearers: dict[str, Callable[[Any], None]] = {}

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        self.present[str(scheduler.workers[worker].name)] = worker
        self.changed.set()

    def remove_worker(self, scheduler: Scheduler, worker: str, *, stimulus_id: str, **_: Any) -> None:
        self.present = {name: address for name, address in self.present.items() if address != worker}
        self.changed.set()

    def log_event(self, topic: str, msg: Any) -> None:
        if hear := self.hearers.get(topic):
            hear(msg)


class Hub:
    """A context manager: inside, it listens at each of `addresses`, by TLS with `credentials`, or else by plain TCP.

    `port` 0 means any free port at each address.  Raises PlanError if it cannot listen there.
    """

    def __init__(self, addresses: Sequence[str], port: int, credentials: Credentials | None) -> None:
        self._addresses = tuple(addresses)
        self._port = port
        self._credentials = credentials
        self._protocol = "tls" if credentials is not None else "tcp"
        self._register = _Register()
        self._scheduler: Scheduler | None = None
        self._client: Client | None = None
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        configure()
        raise_open_files()
        for address in self._addresses:
            check_address(address, self._port)
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(QuietLogs())
            hosts = [f"[{address}]" if ":" in address else address for address in self._addresses]
            where: dict[str, Any] = {  # lists, although Dask's annotations allow one listener only
                "host": [*hosts, None],
                "protocol": [*[self._protocol] * len(hosts), "inproc"],
                "port": [*[self._port] * len(hosts), None],
            }
            scheduler = Scheduler(
                **where,
                security=security(self._credentials),
                dashboard_address="127.0.0.1:0",
                dashboard=False,
                plugins=[self._register],
            )
            stack.callback(scheduler.stop)  # if it cannot be closed in time, it still holds the port
            stack.push_async_callback(close_bounded, scheduler.close, _CLOSE_TIMEOUT_S)
            await scheduler
            inside = scheduler.listeners[-1].contact_address
            client = Client(inside, asynchronous=True, security=security(self._credentials), set_as_default=False)  # type: ignore[no-untyped-call]
            stack.push_async_callback(close_bounded, client.close, _CLOSE_TIMEOUT_S)
            await client
            self._scheduler, self._client = scheduler, client
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def client(self) -> Client:
        """The client that reaches the workers."""
        assert self._client is not None, "the hub is not entered"
        return self._client

    def listen(self, topic: str, hear: Callable[[Any], None]) -> None:
        """See Line.  The scheduler is in this process, so nothing is sent for that."""
        self._register.hearers[topic] = hear

    def post(self, messages: Mapping[str, dict[str, Any]]) -> bool:
        """See Line.  It uses the connections that the scheduler has to its workers anyway."""
        assert self._scheduler is not None, "the hub is not entered"
        self._scheduler.send_all({}, {address: [message] for address, message in messages.items()})
        return True

    @property
    def present(self) -> MappingProxyType[str, str]:
        """The address of each worker that has joined, by its name, in the order of joining."""
        return MappingProxyType(self._register.present)

    def contact(self, address: str) -> str:
        """Return the contact address of the hub for `address`, one of its addresses, like "tls://192.0.2.1:4711"."""
        assert self._scheduler is not None, "the hub is not entered"
        at = self._addresses.index(address)
        return str(self._scheduler.listeners[at].contact_address)

    async def joined(self, names: Collection[str], timeout_s: float) -> dict[str, str]:
        """Wait for these workers.  Returns the addresses of those that joined in time, by name."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not set(names) <= self.present.keys():
                    await self._change()
        return {name: self.present[name] for name in names if name in self.present}

    async def more_than(self, count: int, timeout_s: float) -> dict[str, str]:
        """Wait for more than `count` workers, or until the time is over.  Returns their addresses by name."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while len(self.present) <= count:
                    await self._change()
        return dict(self.present)

    async def _change(self) -> None:
        self._register.changed.clear()
        await self._register.changed.wait()


def free_port(addresses: Sequence[str], ports: PortRange) -> int:
    """The first of the ports that is free at all addresses.  Raises PlanError if there is none."""
    why = ""
    for port in ports.numbers:
        try:
            for address in addresses:
                check_address(address, port)
        except PlanError as error:
            why = error.message
        else:
            return port
    raise PlanError(f"cannot listen at any of the ports {ports}: {why}", hint="give a larger range with --ports")


def check_address(address: str, port: int) -> None:
    """Raise PlanError if this machine cannot listen at the address.

    Dask would print a traceback, and leave a socket open.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        raise PlanError(
            f"cannot listen at {address}, port {port}: {error.strerror or error}",
            hint="it must be an address of this machine, and the port must be free",
        ) from error
