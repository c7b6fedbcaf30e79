"""What happens to the runs of the trust benchmark: neighbours, pauses, lost packets.

A disturbance is a context around the rest of a run.  It begins when the run shows the progress line that the set-up
names: with `loadgen spec` and `loadgen http` the beginning of the warm-up, which is `WARMUP_S` long.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from benchmarks.trust_places import Places, Spot, drop
from benchmarks.trust_servers import Served
from deploy.proc import children_of

WARMUP_S = 1.0

_LOOP = "while True: pass"
_TENTH = "import time\nwhile True:\n e = time.monotonic() + .001\n while time.monotonic() < e: pass\n time.sleep(.009)"


@dataclass(frozen=True, slots=True)
class Scene:
    """A run in progress: the process of `loadgen`, its servers, the places, and the length of the window."""

    pid: int
    served: Served
    places: Places
    seconds: float


Disturbance = Callable[[Scene], AbstractContextManager[None]]
Pids = Callable[[Scene], Sequence[int]]


@contextlib.contextmanager
def quiet(scene: Scene) -> Iterator[None]:
    """Disturb nothing."""
    yield


def busy(loops: int, *, on: str = "generator", code: str = _LOOP) -> Disturbance:
    """Run this many busy loops on the cores of the `generator` or of the `servers`, outside of their control group."""

    @contextlib.contextmanager
    def disturb(scene: Scene) -> Iterator[None]:
        spot = scene.places.generator if on == "generator" else scene.places.servers
        processes = [Spot(spot.cores).start([sys.executable, "-c", code]) for _ in range(loops)]
        try:
            yield
        finally:
            for process in processes:
                process.kill()
                process.wait()

    return disturb


slightly_busy = busy(1, code=_TENTH)
"""A process that uses a tenth of the generator's core."""


def pulsing(pids: Pids, stop_s: float, go_s: float) -> Disturbance:
    """Stop processes for a while, again and again."""

    def act(scene: Scene, over: threading.Event) -> None:
        chosen = pids(scene)
        while not over.wait(go_s):
            with _standing(chosen):
                over.wait(stop_s)

    return _beside(act)


def frozen(pids: Pids, from_s: float, to_s: float) -> Disturbance:
    """Stop processes from `from_s` to `to_s` after the opening of the window; before it when negative."""

    def act(scene: Scene, over: threading.Event) -> None:
        opens = time.monotonic() + WARMUP_S
        if not over.wait(opens + from_s - time.monotonic()):
            with _standing(pids(scene)):
                over.wait(opens + to_s - time.monotonic())

    return _beside(act)


def frozen_at_end(pids: Pids, last_s: float) -> Disturbance:
    """Stop processes for the last part of the window, until the run has ended."""

    def act(scene: Scene, over: threading.Event) -> None:
        if not over.wait(WARMUP_S + scene.seconds - last_s):
            with _standing(pids(scene)):
                over.wait()

    return _beside(act)


def dead_path(after_s: float) -> Disturbance:
    """From `after_s` on, lose every datagram of UDP on the path."""

    def act(scene: Scene, over: threading.Event) -> None:
        assert scene.places.lab is not None
        if not over.wait(after_s):
            drop(scene.places.lab, 1.0, udp_only=True)

    return _beside(act)


def servers(scene: Scene) -> Sequence[int]:
    """The processes of all servers."""
    return [pid for group in scene.served.pids for pid in group]


def one_server(scene: Scene) -> Sequence[int]:
    """The processes of the last server."""
    return scene.served.pids[-1]


def engines(scene: Scene) -> Sequence[int]:
    """The engines of the load generator."""
    return children_of(scene.pid)


def _beside(act: Callable[[Scene, threading.Event], None]) -> Disturbance:
    """The disturbance `act`, in a thread; it must end soon after the event is set."""

    @contextlib.contextmanager
    def disturb(scene: Scene) -> Iterator[None]:
        over = threading.Event()
        thread = threading.Thread(target=act, args=(scene, over))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    return disturb


@contextlib.contextmanager
def _standing(pids: Sequence[int]) -> Iterator[None]:
    """Stop the processes, and let them go on in any case."""
    try:
        _signal(pids, signal.SIGSTOP)
        yield
    finally:
        _signal(pids, signal.SIGCONT)


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
