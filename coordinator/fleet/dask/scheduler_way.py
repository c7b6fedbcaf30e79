"""The way of the user's own Dask cluster: each of its workers becomes an agent, however it was started."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import ssl
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from distributed import Client
from distributed.comm.addressing import get_address_host, parse_address

from coordinator.fleet.dask.asking import say
from coordinator.fleet.dask.closing import close_bounded
from coordinator.fleet.dask.logs import QuietLogs
from coordinator.fleet.ways import Joined, Line
from loadgen.agent.bootstrap import PATIENCE_S
from loadgen.agent.dask.plugin import AgentPlugin
from loadgen.agent.dask.settings import configure
from loadgen.model.errors import FleetError, LoadgenError, PlanError

_CONNECT_S = 5.0
_REGISTER_S = 10.0
_CLOSE_S = 3.0
_LOOK_S = 0.1
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")


class _ClientLine:
    """A Line through a scheduler of the user: it can call and subscribe, but not post."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def listen(self, topic: str, hear: Callable[[Any], None]) -> None:
        self.client.subscribe_topic(topic, lambda event: hear(event[1]))  # type: ignore[no-untyped-call]

    def post(self, messages: Mapping[str, dict[str, Any]]) -> bool:
        return False


class SchedulerWay:
    """The cluster of the scheduler at `address` ("tcp://HOST:PORT" or "tls://…"), with Dask's own configuration of TLS.

    It waits for `count` workers, and uses all that have joined by then.  `say` receives messages for the user.
    """

    def __init__(self, address: str, *, run_id: str, count: int, say: Callable[[str], None]) -> None:
        self._address = address if "://" in address else f"tcp://{address}"
        self._plugin = AgentPlugin(run_id)
        self._count = count
        self._say = say
        self._missing: dict[str, str] = {}
        self._line: _ClientLine | None = None
        self._stack = contextlib.AsyncExitStack()

    @property
    def line(self) -> Line:
        """The line to the agents, once this way is open; see Way."""
        assert self._line is not None, "the way is not open"
        return self._line

    @property
    def missing(self) -> Mapping[str, str]:
        """Workers that did not join in time, numbered."""
        return self._missing

    async def open(self) -> tuple[Joined, ...]:
        """Connect, wait for the workers, and install the agent on each.  Raises FleetError, PlanError."""
        configure()
        self._stack.enter_context(QuietLogs())
        client = await self._connect()
        self._line = _ClientLine(client)
        self._stack.push_async_callback(close_bounded, client.close, _CLOSE_S)
        workers = await self._workers(client)
        self._stack.push_async_callback(close_bounded, self._unregister, _CLOSE_S)
        with contextlib.suppress(Exception):  # a worker without an agent says so itself, by name
            async with asyncio.timeout(_REGISTER_S):
                await client.register_plugin(self._plugin)
        self._warn()
        return tuple(_joined(address, worker) for address, worker in workers.items())

    async def lose(self, name: str) -> None:
        """Do nothing: the process belongs to the user.  Its engines stop when their lease ends."""

    async def close(self) -> None:
        """Remove the agents; the cluster stays as it was."""
        await self._stack.aclose()

    async def _connect(self) -> Client:
        try:
            client = Client(  # type: ignore[no-untyped-call]
                self._address, asynchronous=True, timeout=_CONNECT_S, set_as_default=False
            )
        except (OSError, ssl.SSLError) as error:  # a certificate cannot be read
            raise self._wrong_tls(error) from error
        except (ValueError, TypeError) as error:
            raise PlanError(f"{self._address} is not an address of a Dask scheduler: {say(error)}") from error
        try:
            with warnings.catch_warnings():  # we compare the versions with each worker
                warnings.simplefilter("ignore")
                await client
        except BaseException as error:
            await close_bounded(client.close, _CLOSE_S)
            raise self._refusal(error) from error
        return client

    def _refusal(self, error: BaseException) -> BaseException:
        """Return the error that tells the user why the connection failed."""
        if isinstance(error, ssl.SSLError | RuntimeError | TypeError) or "CERTIFICATE" in str(error):
            return self._wrong_tls(error)  # Dask raises the latter two for an address that needs a certificate
        if isinstance(error, OSError):
            return FleetError(
                f"no Dask scheduler answers at {self._address} within {_CONNECT_S:g} s",
                hint="check that it runs; for TLS, write tls://… and set the certificates in Dask's configuration",
            )
        if isinstance(error, ValueError | ImportError):
            return PlanError(f"{self._address} is not an address of a Dask scheduler: {say(error)}")
        return error

    def _wrong_tls(self, error: BaseException) -> LoadgenError:
        return FleetError(
            f"cannot make an encrypted connection to the Dask scheduler at {self._address}: {say(error)}",
            hint="set the certificates in Dask's configuration, distributed.comm.tls",
        )

    async def _workers(self, client: Client) -> dict[str, Any]:
        """Wait for enough workers.  Returns all that have joined, by address.  Raises FleetError if there is none."""
        assert client.scheduler is not None  # it is connected
        wanted = max(1, self._count)
        workers: dict[str, Any] = {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while len(workers) < wanted:
                    workers = dict((await client.scheduler.identity(n_workers=-1))["workers"])
                    await asyncio.sleep(_LOOK_S)
        if not workers:
            raise FleetError(f"no worker joined the Dask scheduler at {self._address} within {PATIENCE_S:g} s")
        for number in range(len(workers), wanted):
            self._missing[f"worker {number + 1} of {wanted}"] = f"it did not join within {PATIENCE_S:g} s"
        return workers

    def _warn(self) -> None:
        protocol, _ = parse_address(self._address)
        if protocol == "tls" or _is_loopback(get_address_host(self._address)):
            return
        self._say(f"the connection to the Dask scheduler at {self._address} is not encrypted")

    async def _unregister(self) -> None:
        with contextlib.suppress(Exception):  # some workers never had the agent, or have ended
            await self.line.client.unregister_worker_plugin(self._plugin.name)


def _joined(address: str, worker: Mapping[str, Any]) -> Joined:
    name = str(worker["name"])
    if not _WORD.fullmatch(name):
        name = parse_address(address)[1]
    return Joined(name=name, address=address, engines=int(worker["nthreads"]))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
