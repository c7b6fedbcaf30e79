"""An engine in a process of its own, controlled by frames on stdin and stdout.

The process ends when its stdin is closed, so it cannot outlive the agent that started it.  A lease stops the traffic
when the agent still runs but is silent.

down: prepare {assignment} · start {segment} · renew {until_ns} · stop
up:   hello {pid, version, engines} · prepared {engine, timestamps, why} · failed {whose, message, hint}
      armed {segment} · began {segment, at_ns} · snapshot {...} · canary {rows}
      ended {segment, why, done_ns, handshakes, remarks}
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from dataclasses import asdict
from typing import Any

import uvloop

from loadgen import __version__
from loadgen.engine.api import LEASE_NS, Assignment, Engine, Segment
from loadgen.engine.choice import available, choose, make_player, preload
from loadgen.engine.vitals import Vitals
from loadgen.host import child, frames
from loadgen.measure.events import MAX_ADDRESSES
from loadgen.model.errors import LoadgenError, TargetError
from loadgen.model.units import NS_PER_S


class EngineProcess:
    """Passes commands from frames to an engine, and sends its snapshots and events back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.WriteTransport) -> None:
        self._reader = reader
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._player: Engine | None = None
        self._origin_ns = 0
        self._interval = 0
        self._vitals = Vitals()
        self._vitals.watch(self._loop)
        self._ticking: asyncio.TimerHandle | None = None
        self._beginning: asyncio.TimerHandle | None = None

    async def serve(self) -> None:
        """Obey commands until stdin is closed, then stop the engine."""
        engines = [kind.value for kind in available()]
        self._send({"is": "hello", "pid": os.getpid(), "version": __version__, "engines": engines})
        await asyncio.sleep(0)  # the hello is written
        preload()  # while the coordinator imports what it needs itself
        while (message := await frames.receive(self._reader)) is not None:
            self._obey(message)
        if self._player is not None:
            self._player.stop()

    def _obey(self, message: dict[str, Any]) -> None:
        match message["do"]:
            case "prepare":
                self._prepare(message["assignment"])
            case "start":
                self._start(Segment(**message["segment"]))
            case "renew" if self._player is not None:
                self._player.renew(message["until_ns"])
            case "stop" if self._player is not None:
                self._player.stop()

    def _prepare(self, wire: dict[str, Any]) -> None:
        try:
            assignment = Assignment.from_wire(wire)
            choice = choose(assignment)
            self._player = make_player(choice, assignment, self._loop, self._ended, self._vitals)
        except LoadgenError as error:
            whose = "target" if isinstance(error, TargetError) else "fleet"
            self._send({"is": "failed", "whose": whose, "message": error.message, "hint": error.hint})
            return
        # Playing creates no reference cycles, and a collection during a run is a pause that is charged to the servers.
        gc.collect()
        gc.freeze()
        gc.disable()
        self._send(
            {
                "is": "prepared",
                "engine": choice.kind.value,
                "timestamps": choice.timestamps.value,
                "why": choice.why,
                "addresses": [[one.target, one.address, one.connections] for one in self._player.addresses][
                    :MAX_ADDRESSES
                ],
            }
        )

    def _start(self, segment: Segment) -> None:
        assert self._player is not None
        gc.collect()
        self._origin_ns = segment.origin_ns
        self._player.renew(time.monotonic_ns() + LEASE_NS)
        self._player.start(segment)
        wait_ns = segment.start_ns - time.monotonic_ns()
        self._beginning = self._loop.call_later(max(0.0, wait_ns / NS_PER_S), self._began, segment)
        self._send({"is": "armed", "segment": segment.index})
        if self._ticking is None:
            self._interval = max(0, (time.monotonic_ns() - self._origin_ns) // NS_PER_S)
            self._tick_at_the_end_of_the_interval()

    def _began(self, segment: Segment) -> None:
        self._send({"is": "began", "segment": segment.index, "at_ns": time.monotonic_ns()})

    def _tick_at_the_end_of_the_interval(self) -> None:
        wait_ns = self._origin_ns + (self._interval + 1) * NS_PER_S - time.monotonic_ns()
        self._ticking = self._loop.call_later(max(0.0, wait_ns / NS_PER_S), self._tick)

    def _tick(self) -> None:
        self._report()
        self._interval += 1
        self._tick_at_the_end_of_the_interval()

    def _report(self) -> None:
        assert self._player is not None
        self._send({"is": "snapshot", "snapshot": self._player.drain(self._interval).to_wire()})
        if len(canary := self._player.take_canary()):
            self._send({"is": "canary", "rows": canary.tobytes()})

    def _ended(self, segment: Segment, why: str) -> None:
        if self._beginning is not None:
            self._beginning.cancel()
        self._report()  # all records must arrive before the segment is reported as ended
        player = self._player
        assert player is not None
        ended = {"is": "ended", "segment": segment.index, "why": why, "done_ns": player.done_ns}
        remarks = [list(one) for one in sorted(player.take_remarks().items())]
        self._send({**ended, "handshakes": list(player.handshakes), "remarks": remarks})

    def _send(self, message: dict[str, Any]) -> None:
        self._writer.write(frames.encode(message))


def assignment_message(assignment: Assignment) -> bytes:
    """The frame that tells an engine process to prepare for `assignment`."""
    return frames.encode({"do": "prepare", "assignment": assignment.to_wire()})


def start_message(segment: Segment) -> bytes:
    """The frame that tells an engine process to start `segment`."""
    return frames.encode({"do": "start", "segment": asdict(segment)})


async def _serve() -> None:
    await EngineProcess(*await child.pipes()).serve()


def main() -> int:
    """Run the engine process until its stdin is closed.  Returns the exit code."""
    child.begin()
    uvloop.run(_serve())
    return 0
