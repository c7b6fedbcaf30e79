"""The frame of every run: record, preparation, traffic, closing, judgement, and the end of the record.

After traffic, nothing can lose the result: an error while the run is closed becomes a note.
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

from coordinator.fleet.choice import FleetChoice, WayKind
from coordinator.output.judged import Judged
from coordinator.record.document import finished, unfinished
from coordinator.record.environment import collect
from coordinator.record.fleet import FleetRecord
from coordinator.record.header import Header, Plan, Result
from coordinator.record.writer import RecordWriter
from coordinator.run.api import Around, Kind, Played, Player, Stage
from loadgen.model.errors import LoadgenError

P = TypeVar("P", bound=Plan)
M = TypeVar("M")
R = TypeVar("R", bound=Result)


def now() -> str:
    """Return the present time in the form of records: ISO 8601 with a zone, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def begin_header(
    kind: str, plan: P, fleet: FleetChoice | None, command_line: tuple[str, ...], *, shows_secrets: bool = False
) -> Header[P]:
    """Return the header that is known before anything is started; `fleet` is None for runs without load machines."""
    machines = None
    if fleet is not None:
        machines = FleetRecord(
            way=fleet.way.value,
            run_id=secrets.token_hex(8),
            hosts=fleet.host_tables(),
            choice={} if fleet.way is WayKind.LOCAL else fleet.to_dict(),
        )
    return Header(
        kind=kind,
        started_at=now(),
        plan=plan,
        environment=collect(command_line=command_line),
        fleet=machines,
        shows_secrets=shows_secrets,
    )


async def conduct(player: Player[P, M], stage: Stage[P]) -> Played[P, M]:
    """Play a run on `stage` and close everything that the run opened.

    Raises LoadgenError when the run cannot start.  After the player has returned, errors become notes.
    """
    measured: M
    closing: list[str] = []
    async with AsyncExitStack() as outer:
        outer.push_async_callback(_close, stage.stack, closing)
        measured = await player.play(stage)
    return Played(
        header=stage.header,
        measured=measured,
        interrupted=player.interrupted,
        notes=(*stage.notices, *closing),
    )


async def _close(stack: AsyncExitStack, notes: list[str]) -> None:
    """Close everything.  An error becomes a note: the result of finished traffic is worth more than a clean end.

    In a task of its own, so that a cancellation that somebody lost in there does not cancel the run.
    """
    closing = asyncio.ensure_future(stack.aclose())
    try:
        await asyncio.wait({closing})
    except asyncio.CancelledError:
        closing.cancel()
        await asyncio.wait({closing})
        raise
    if closing.cancelled():
        notes.append("closing the run failed: a part of it was cancelled")
        return
    failed = closing.exception()
    while failed is not None:  # an exit stack chains the errors of its callbacks
        notes.append(f"closing the run failed: {_words(failed)}")
        failed = failed.__context__


def _words(error: BaseException) -> str:
    """An error in one line; one that was raised on purpose says by itself what to do."""
    if not isinstance(error, LoadgenError):
        return f"{type(error).__name__}: {error}"
    return f"{error.message}; {error.hint}" if error.hint else error.message


@dataclass(slots=True)
class Run(Generic[P, M, R]):
    """One run of a kind, from its plan to its judged record in `directory`.

    `hdr` are files for response times in the formats of HdrHistogram's tools.  `notes` are added to the result.
    With `shows_secrets`, the record holds the secrets of the plan.  `ends_early`: see :class:`Stage`.
    """

    kind: Kind[P, M, R]
    plan: P
    fleet: FleetChoice | None
    directory: Path
    around: Around
    command_line: tuple[str, ...]
    hdr: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    shows_secrets: bool = False
    ends_early: bool = False
    _player: Player[P, M] | None = None

    def interrupt(self) -> bool:
        """Stop the traffic and judge what was measured; returns False while there is no traffic to stop."""
        return self._player is not None and self._player.interrupt()

    async def run(self) -> Judged[P, R]:
        """Play, judge and record the run.  Problems of the record become notes of the result.

        Raises LoadgenError when the run cannot start; then no record remains.
        """
        plan, notices = self.kind.settle(self.plan, self.fleet)
        header = begin_header(self.kind.name, plan, self.fleet, self.command_line, shows_secrets=self.shows_secrets)
        with RecordWriter(self.directory, unfinished(header)) as writer:
            stage = Stage(header, writer, AsyncExitStack(), self.around, ends_early=self.ends_early)
            stage.notices += [*self.notes, *notices]
            self._player = self.kind.player(plan, self.fleet, self.around)
            try:
                played = await conduct(self._player, stage)
            except LoadgenError:  # the run could not be begun, so there is nothing to show
                writer.discard()
                raise
            played = dataclasses.replace(played, notes=(*played.notes, *writer.problems))
            told = len(writer.problems)
            judged = self._judged(played)
            if self.hdr:
                from coordinator.output.hdr import write_files  # it imports the results of all kinds

                if unwritten := write_files(self.hdr, judged):
                    judged = self._judged(dataclasses.replace(played, notes=(*played.notes, *unwritten)))
            writer.finish(judged.document, self.kind.rows(played))
            for problem in writer.problems[told:]:
                self.around.say(problem)
            return judged

    def _judged(self, played: Played[P, M]) -> Judged[P, R]:
        result = self.kind.judge(played)
        document = finished(played.header, result, finished_at=now())
        return Judged(path=self.directory, document=document, header=played.header, result=result)
