"""The proxy loop: one thread on epoll accepts and connects, and pumps move the bytes."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import threading
from collections import deque
from collections.abc import Callable

from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.proxy.failure import Failure, failure
from loadgen.proxy.header import proxy_header
from loadgen.proxy.pump import BULK_READS, MUTE
from loadgen.proxy.relay import Action
from loadgen.proxy.service import Client, Connection, ConnectionEnd, Service, abort_socket
from loadgen.proxy.upstreams import Address, Upstreams

_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
_TICK_NS = 250 * NS_PER_MS
_TICK_S = _TICK_NS / NS_PER_S
_ACCEPTS = 16
"""Largest number of connections to accept at a time, so that open connections do not wait in a flood."""
_EVENTS = 256
_ALONE_TURNS, _ALONE_READS = 64, 8
_RESET = ("reset:client", "reset:upstream")
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class ProxyLoop:
    """Runs several services on one epoll.

    `run` returns after `drain` has completed.  Other threads may only call `post` and `Service.counters`.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._epoll = select.epoll()
        self._services: dict[int, Service] = {}
        self._ends: dict[int, ConnectionEnd] = {}
        self._paused: list[Service] = []
        self._posted: deque[Callable[[], None]] = deque()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._waking = threading.RLock()  # reentrant, because a signal handler may post while its thread does
        self._epoll.register(self._wake_fd, _IN)
        self._spare_fd = -1
        self._find_spare()
        self._time_ns = now_ns()
        self._drain_until_ns = 0
        self._only: Connection | None = None
        self._turns_alone = 0

    def add(self, service: Service) -> None:
        """Start accepting connections of `service`; the loop owns and closes `service` from now on."""
        self._services[service.sock.fileno()] = service
        self._epoll.register(service.sock.fileno(), _IN)

    def post(self, call: Callable[[], None]) -> None:
        """Run `call` on the loop's thread.  May be called from any thread and from a signal handler.

        After :meth:`close`, `call` does not run.
        """
        self._posted.append(call)
        with self._waking:  # otherwise the loop may close the descriptor just before it is written
            if self._wake_fd >= 0:
                os.eventfd_write(self._wake_fd, 1)

    def drain(self, within_ns: int) -> None:
        """Accept no more connections, and end when all have ended or after `within_ns`."""
        for service in self._services.values():
            service.sock.close()  # which also removes it from epoll
        self._drain_until_ns = self._now_ns() + max(1, within_ns)

    def run(self) -> int:
        """Run until drained; returns the number of connections that had to be reset."""
        try:
            while not self._drain_until_ns or (self._ends and self._now_ns() < self._drain_until_ns):
                self._turn()
            return sum(len(service.open) for service in self._services.values())
        finally:
            self.close()

    def close(self) -> None:
        """Reset open connections and release all resources.  Idempotent."""
        for service in self._services.values():
            for connection in list(service.open):
                self._abort(connection, "cut")
            service.close()
        self._services.clear()
        self._epoll.close()
        with self._waking:
            for fd in (self._wake_fd, self._spare_fd):
                if fd >= 0:
                    os.close(fd)
            self._wake_fd = self._spare_fd = -1

    def _turn(self) -> None:
        find = self._ends.get
        others = None
        ready = self._epoll.poll(_TICK_S, _EVENTS)
        for fd, events in ready:
            end = find(fd)
            if end is None:
                others = others or []
                others.append(fd)
            elif events != _IN:
                self._event(end, events)
            else:  # the usual case
                try:
                    count = end.move(end)
                except OSError as error:
                    self._cannot(end, error)
                else:
                    if not count or end.held_bytes:
                        self._after_read(end, count)
        if others:  # last, because a new socket may reuse the descriptor of one that has an event above
            for fd in others:
                self._other(fd)
        if len(ready) == 1:
            self._alone(find(fd), events)
        elif ready:
            self._turns_alone = 0
        now_ns = self._now_ns()
        if now_ns - self._time_ns >= _TICK_NS:
            self._time_ns = now_ns
            self._sweep(now_ns)

    def _alone(self, end: ConnectionEnd | None, events: int) -> None:
        """While a single bulk flow is the only active one, wait for its data in its own reads instead of in epoll.

        This saves a third of the system calls.  Other connections wait for a few reads, or for one time-out at its end.
        """
        connection = end.connection if end else None
        if connection is None or connection is not self._only:
            self._only, self._turns_alone = connection, 0
            return
        self._turns_alone += 1
        if self._turns_alone < _ALONE_TURNS or end is None or events != _IN or end.streak < BULK_READS:
            return
        try:
            for _ in range(_ALONE_READS):
                if end.held_bytes:
                    return
                count = end.move(end)
                if not count or end.held_bytes:
                    self._after_read(end, count)
                    return
        except OSError as error:
            self._turns_alone = 0
            self._cannot(end, error)

    def _event(self, end: ConnectionEnd, events: int) -> None:
        """Handle events other than the arrival of bytes."""
        connection = end.connection
        if connection.connecting:
            self._connected(connection)
            return
        if events & _OUT:
            self._write(end.peer)
        if events & _IN:
            if end.mask != MUTE and end.mask & _IN:  # the write may have changed the mask, or ended the connection
                self._read(end)
        elif not events & _OUT:
            self._hung_up(end)

    def _other(self, fd: int) -> None:
        if fd == self._wake_fd:
            os.eventfd_read(fd)
            while self._posted:
                self._posted.popleft()()
        elif fd in self._services and self._services[fd].sock.fileno() == fd:
            self._accept(self._services[fd])

    def _accept(self, service: Service) -> None:
        for _ in range(_ACCEPTS):
            try:
                client = Client(*service.sock.accept())
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES and not self._shed(service):
                    self._epoll.unregister(service.sock.fileno())  # otherwise epoll would report it all the time
                    self._paused.append(service)
                return  # or the client closed before the accept
            service.accepted += 1
            if len(service.open) >= service.config.max_connections:
                service.refuse(client, "connections")
            else:
                self._dial(service, client, service.upstreams.next())

    def _shed(self, service: Service) -> bool:
        """Without free descriptors, use the spare one to refuse the client; whether that was possible."""
        if self._spare_fd < 0:
            return False
        os.close(self._spare_fd)
        self._spare_fd = -1
        try:
            client = Client(*service.sock.accept())
        except OSError:
            return False
        else:
            service.accepted += 1
            service.refuse(client, "descriptors")
            return True
        finally:
            self._find_spare()

    def _find_spare(self) -> None:
        if self._spare_fd < 0:
            with contextlib.suppress(OSError):
                self._spare_fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _dial(
        self, service: Service, client: Client, addresses: tuple[Address, ...], cause: Failure = Failure.UNREACHABLE
    ) -> None:
        """Begin to connect to the first of `addresses` that permits it; refuse the client if none does.

        `cause` is why an address that was tried before could not be connected to.
        """
        for number, address in enumerate(addresses, start=1):
            try:
                upstream, there = service.connect(address)
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    service.refuse(client, "descriptors")
                    return
                cause = failure(error.errno or 0)
                continue  # no route, no port, or no listener
            connection = Connection(service, client, upstream, address, addresses[number:], self._now_ns())
            service.open.add(connection)
            self._ends[upstream.fileno()] = connection.ends[1]
            if there:
                self._open(connection)
            else:
                self._listen_for(connection.ends[1], _OUT)
            return
        service.fail(client, cause)

    def _redial(self, connection: Connection, cause: Failure) -> None:
        """After a failed connect: try the next upstream address for the same client."""
        if connection in connection.service.open:  # otherwise the connection has already ended
            upstream = connection.ends[1]
            self._forget(connection, "")
            abort_socket(upstream.sock)
            self._dial(connection.service, connection.client, connection.untried, cause)

    def _connected(self, connection: Connection) -> None:
        client, upstream = connection.ends
        if error := upstream.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._listen_for(upstream, MUTE)
            # later, because this turn may have events of the same descriptor
            self.post(lambda: self._redial(connection, failure(error)))
            return
        self._open(connection)
        if connection in connection.service.open:
            self._read(client)  # most clients have sent data by now

    def _open(self, connection: Connection) -> None:
        """Start forwarding: both sockets are connected."""
        client, upstream = connection.ends
        connection.connecting = False
        connection.since_ns = connection.opened_ns = self._now_ns()
        connection.service.upstreams.prefer(connection.address)
        self._ends[client.fd] = client
        if connection.service.config.proxy_header:
            header = proxy_header(connection.client.address, client.sock.getsockname())
            try:
                upstream.sock.send(header)  # fits into the empty buffer of a new socket
            except OSError as error:
                self._cannot(upstream, error)
                return
        self._listen_for(upstream, _IN)
        self._listen_for(client, _IN)

    def _read(self, end: ConnectionEnd) -> None:
        try:
            count = end.move(end)
        except OSError as error:
            self._cannot(end, error)
        else:
            self._after_read(end, count)

    def _cannot(self, end: ConnectionEnd, error: OSError) -> None:
        if not isinstance(error, BlockingIOError):  # otherwise there was no data after all
            end.connection.service.reset += 1
            self._abort(end.connection, _RESET[end.which])

    def _after_read(self, end: ConnectionEnd, count: int) -> None:
        relay = end.connection.relay
        if not count:
            self._act(end, relay.ended(end.which))
        elif end.held_bytes:
            relay.held(end.which, end.held_bytes)
            self._review(end.connection)

    def _write(self, end: ConnectionEnd) -> None:
        """Write more of the bytes held of `end`."""
        stash = end.stash
        if stash is None:
            return
        try:
            stash.write(end)
        except OSError as error:
            self._cannot(end, error)
            return
        if not end.held_bytes:
            end.stash = None
            stash.give_back(empty=True)
            self._act(end, end.connection.relay.held(end.which, 0))

    def _hung_up(self, end: ConnectionEnd) -> None:
        """Handle an event without a wanted direction: the socket is broken, or closed while its peer is blocked."""
        if end.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            end.connection.service.reset += 1
            self._abort(end.connection, _RESET[end.which])
        elif not end.mask:  # otherwise it has become wanted since the event
            self._listen_for(end, MUTE)

    def _act(self, end: ConnectionEnd, action: Action) -> None:
        """Perform `action` for the direction from `end`."""
        connection = end.connection
        if action is Action.CLOSE:
            self._forget(connection, "closed")
            for each in connection.ends:
                each.sock.close()
            return
        if action is Action.SHUTDOWN:
            try:
                end.peer.sock.shutdown(socket.SHUT_WR)
            except OSError as error:
                self._cannot(end, error)
                return
        self._review(connection)

    def _review(self, connection: Connection) -> None:
        """Set the epoll masks of both sockets to the events that the relay needs."""
        directions = connection.relay.directions
        for end in connection.ends:
            ours, theirs = directions[end.which], directions[1 - end.which]
            mask = (_IN if ours.wants_read else 0) | (_OUT if theirs.wants_write else 0)
            if mask or end.mask != MUTE:
                self._listen_for(end, mask)

    def _listen_for(self, end: ConnectionEnd, mask: int) -> None:
        old, end.mask = end.mask, mask
        if old == mask:
            return
        if old == MUTE:
            self._epoll.register(end.fd, mask)
        elif mask == MUTE:
            self._epoll.unregister(end.fd)
        else:
            self._epoll.modify(end.fd, mask)

    def _sweep(self, now_ns: int) -> None:
        """Reset idle connections, time out connects, and retry after a lack of descriptors."""
        for service in self._services.values():
            config = service.config
            for connection in list(service.open):
                if connection.connecting:
                    if now_ns - connection.since_ns >= config.connect_timeout_ns:
                        self._redial(connection, Failure.TIMED_OUT)
                elif config.idle_ns and connection.silent_ns(now_ns) >= config.idle_ns:
                    service.idle += 1
                    self._abort(connection, "idle")
            if not service.open:
                service.pump.trim()
            if service.upstreams.begin_renewal(now_ns):
                threading.Thread(target=self._renew, args=(service.upstreams,), daemon=True).start()
        self._find_spare()
        for service in self._paused:
            if service.sock.fileno() >= 0:
                self._epoll.register(service.sock.fileno(), _IN)
        self._paused.clear()

    def _renew(self, upstreams: Upstreams) -> None:
        """Resolve the names of upstreams.  Runs in a thread of its own, because a resolver may take seconds."""
        found = upstreams.resolve()
        self.post(lambda: upstreams.renew(found, self._now_ns()))

    def _abort(self, connection: Connection, end: str) -> None:
        """Reset both sides, so that no peer takes partial data for complete data."""
        self._forget(connection, end)
        for each in connection.ends:
            abort_socket(each.sock)

    def _forget(self, connection: Connection, how: str) -> None:
        connection.service.forget(connection, how, self._now_ns())
        for end in connection.ends:
            self._ends.pop(end.fd, None)
            end.mask = MUTE
            if end.stash is not None:
                end.stash.give_back(empty=not end.held_bytes)
                end.stash = None
            del end.peer, end.connection  # breaks the cycle, so the garbage collector has no work
