"""One `loadgen forward` run: a source, a proxy host and a sink on each link, their tests, record, judgement."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from coordinator.network.around import Surroundings, is_here, now
from coordinator.network.course import Course
from coordinator.network.ends import OnTick
from coordinator.network.ways import Ways, open_ways
from coordinator.output.judged import Judged
from coordinator.record.document import finished, unfinished
from coordinator.record.environment import collect
from coordinator.record.header import KIND_FORWARD, Header
from coordinator.record.network import Kept
from coordinator.record.writer import RecordWriter
from deploy.lab.sweep import end_leftovers
from loadgen.measure.forwarding import Passage
from loadgen.model.address import parse_address
from loadgen.model.errors import LoadgenError
from loadgen.model.probe import ForwardPlan, Link
from loadgen.verdict.network import ForwardResult, judge_forward
from workloads import forward
from workloads.forward import ForwardStep


@dataclass(slots=True)
class ForwardRun:
    """See the module.  `notes` are for the result."""

    plan: ForwardPlan
    directory: Path
    around: Surroundings
    notes: tuple[str, ...] = ()
    _course: Course | None = None

    def interrupt(self) -> bool:
        """Stop the traffic and judge what there is; False while there is no traffic to stop."""
        return self._course is not None and self._course.interrupt()

    async def run(self) -> Judged[ForwardPlan, ForwardResult]:
        """Play the plan.  What could not be recorded is among the result's notes.

        Raises LoadgenError when the first test cannot be played; from then on everything ends in the result.
        """
        environment = collect(command_line=self.around.command_line)
        header = Header(kind=KIND_FORWARD, started_at=now(), plan=self.plan, environment=environment)
        with RecordWriter(self.directory, unfinished(header)) as writer:
            result = await self._play(writer)
            during = len(writer.problems)
            document = finished(header, result, finished_at=now())
            writer.rewrite(document)
            for problem in writer.problems[during:]:
                self.around.say(problem)
            return Judged(path=self.directory, document=document, header=header, result=result)

    async def _play(self, writer: RecordWriter) -> ForwardResult:
        plan, passages = self.plan, list[Passage]()
        served_here = await asyncio.to_thread(_served_here, plan)
        for left in end_leftovers():
            self.around.say(f"ended what a lab had left behind: pid {left.pid}, {left.command}")
        with self.around.view as view:
            course = self._course = Course(
                title=f"loadgen forward · {', '.join(link.value for link in plan.links)}",
                steps=len(plan.links) * len(forward.steps(plan)),
                total_ns=forward.total_ns(plan),
                on_progress=view.update,
            )
            for link in plan.links:
                course.prepare(f"{link.value}: getting ready")
                try:
                    async with open_ways(plan, link) as ways:
                        await self._cross(link, ways, course, writer, passages)
                except LoadgenError as error:
                    if not passages:
                        raise
                    course.fail(f"{link.value}: {error.message}")
                if course.over:
                    break
        return judge_forward(
            plan,
            passages,
            # Roles that run here without us look like anybody else's processes.
            others=(0.0, "") if served_here else course.others,
            interrupted=course.interrupted,
            problems=course.problems,
            notes=(*self.notes, *writer.problems),
        )

    async def _cross(
        self, link: Link, ways: Ways, course: Course, writer: RecordWriter, passages: list[Passage]
    ) -> None:
        """All tests on one link."""
        for step in forward.steps(self.plan):
            if course.over:
                return

            async def once(on_tick: OnTick, step: ForwardStep = step) -> Passage:
                return await _pass(link, ways, step, on_tick)

            passage = await course.play(f"{link.value} {step.label}", step.test.kind, ways.source, once)
            if passage is not None:
                passages.append(passage)
                writer.append([Kept(passage)])
                course.finished(passage.result)


async def _pass(link: Link, ways: Ways, step: ForwardStep, on_tick: OnTick) -> Passage:
    """One test, and the proxy host before and after it."""
    try:
        before = await ways.report()
        result = await ways.source.run(step.test, *ways.to(step.mode, step.window_bytes), on_tick)
        after = await ways.report()
    except LoadgenError:
        await ways.check()
        raise
    return Passage(
        link=link,
        mode=step.mode,
        window_bytes=step.window_bytes,
        flows=step.flows,
        result=result,
        before=before,
        after=after,
    )


def _served_here(plan: ForwardPlan) -> bool:
    """Whether a role that somebody else has started is on this machine."""
    return any(is_here(parse_address(address)[0]) for address in (plan.proxy, plan.sink) if address)
