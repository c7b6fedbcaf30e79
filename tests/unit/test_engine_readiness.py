"""The time-stamps of sockets that are ready."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from loadgen.engine.readiness import Readiness


class Loop:
    """An event loop that only keeps the callback of the engine's epoll."""

    tell: Callable[[], None]

    def add_reader(self, descriptor: int, tell: Callable[[], None]) -> None:
        self.tell = tell

    def remove_reader(self, descriptor: int) -> None:
        pass


class Owner:
    """Notes the times at which its socket was found readable."""

    def __init__(self) -> None:
        self.told: list[int] = []

    def readable(self, found_ns: int) -> None:
        self.told.append(found_ns)

    def ready(self, events: int, found_ns: int) -> None:
        raise AssertionError(events)

    def begin(self, now_ns: int) -> None:
        raise AssertionError(now_ns)


class Scene:
    """Two watched sockets, and their other ends."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.loop = Loop()
        self.readiness = Readiness(cast(Any, self.loop), lambda: self.now_ns)
        pairs = [socket.socketpair() for _ in range(2)]
        self.near, self.far = zip(*pairs, strict=True)
        self.owners = [Owner() for _ in pairs]
        for sock, owner in zip(self.near, self.owners, strict=True):
            self.readiness.watch(sock.fileno(), owner)

    def look_between(self, early_ns: int) -> None:
        """The first socket becomes readable and is seen at `early_ns`; then the second becomes readable."""
        self.far[0].send(b"x")
        self.now_ns = early_ns
        self.readiness.look()
        self.far[1].send(b"x")

    def close(self) -> None:
        self.readiness.close()
        for sock in (*self.near, *self.far):
            sock.close()


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.close()


def test_an_event_has_the_stamp_of_the_look_that_found_it(scene: Scene) -> None:
    early, late = scene.owners
    scene.look_between(early_ns=10)
    scene.now_ns = 20
    scene.readiness.look()
    assert early.told == late.told == []
    scene.now_ns = 30
    scene.loop.tell()
    assert (early.told, late.told) == ([10], [20])
    for sock in scene.near:
        sock.recv(1)
    scene.far[0].send(b"x")
    scene.now_ns = 40
    scene.loop.tell()
    assert (early.told, late.told) == ([10, 40], [20])  # the stamp of a look is used once


def test_an_event_that_no_look_found_has_the_stamp_of_its_turn(scene: Scene) -> None:
    early, late = scene.owners
    scene.look_between(early_ns=10)
    scene.now_ns = 20
    scene.loop.tell()
    assert (early.told, late.told) == ([10], [20])


def test_the_stamp_of_a_closed_socket_is_not_used_for_another(scene: Scene) -> None:
    early, late = scene.owners
    scene.far[0].send(b"x")
    scene.now_ns = 10
    scene.readiness.look()
    descriptor = scene.near[0].fileno()
    scene.readiness.forget(descriptor)
    scene.readiness.unwatch(descriptor)
    scene.now_ns = 20
    scene.readiness.watch(descriptor, late)
    scene.loop.tell()
    assert (early.told, late.told) == ([], [20])
