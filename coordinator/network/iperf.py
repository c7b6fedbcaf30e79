"""One `loadgen iperf` run: a probe, its tests, record, judgement."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from pathlib import Path

from coordinator.network.around import Surroundings, is_here, now
from coordinator.network.course import Course
from coordinator.network.ends import ProbeEnd
from coordinator.output.judged import Judged
from coordinator.record.document import finished, unfinished
from coordinator.record.environment import collect
from coordinator.record.header import KIND_IPERF, Header
from coordinator.record.network import Kept
from coordinator.record.writer import RecordWriter
from loadgen.measure.throughput import ProbeResult
from loadgen.model.probe import IperfPlan
from loadgen.verdict.network import IperfResult, judge_iperf
from workloads import iperf


@dataclass(slots=True)
class IperfRun:
    """See the module."""

    plan: IperfPlan
    directory: Path
    around: Surroundings
    _course: Course | None = None

    def interrupt(self) -> bool:
        """Stop the traffic and judge what there is; False while there is no traffic to stop."""
        return self._course is not None and self._course.interrupt()

    async def run(self) -> Judged[IperfPlan, IperfResult]:
        """Play the plan.  What could not be recorded is among the result's notes.

        Raises LoadgenError when the first test cannot be played; from then on everything ends in the result.
        """
        environment = collect(command_line=self.around.command_line)
        header = Header(kind=KIND_IPERF, started_at=now(), plan=self.plan, environment=environment)
        with RecordWriter(self.directory, unfinished(header)) as writer:
            result = await self._play(writer)
            during = len(writer.problems)
            document = finished(header, result, finished_at=now())
            writer.rewrite(document)
            for problem in writer.problems[during:]:
                self.around.say(problem)
            return Judged(path=self.directory, document=document, header=header, result=result)

    async def _play(self, writer: RecordWriter) -> IperfResult:
        plan, results = self.plan, list[ProbeResult]()
        steps = iperf.steps(plan)
        served_here = await asyncio.to_thread(is_here, plan.host)
        with self.around.view as view:
            course = self._course = Course(
                title=f"loadgen iperf · {plan.host} port {plan.port}",
                steps=len(steps),
                total_ns=iperf.total_ns(plan),
                on_progress=view.update,
            )
            async with ProbeEnd("probe") as probe:
                for step in steps:
                    once = functools.partial(probe.run, step.test, plan.host, plan.port)
                    if (result := await course.play(step.label, step.test.kind, probe, once)) is not None:
                        results.append(result)
                        writer.append([Kept(result)])
                        course.finished(result)
                    if course.over:
                        break
        return judge_iperf(
            plan,
            results,
            # A server that runs here without us looks like anybody else's process.
            others=(0.0, "") if served_here else course.others,
            interrupted=course.interrupted,
            problems=course.problems,
            notes=writer.problems,
        )
