"""`loadgen forward`: the rate at which a proxy forwards TCP between two network interfaces."""

from __future__ import annotations

from collections.abc import Sequence

from coordinator.ends import OnTick
from coordinator.kinds.forward.ways import Ways, open_ways
from coordinator.kinds.network import NetworkKind
from coordinator.run.api import Around, Played
from coordinator.run.course import Course
from coordinator.run.network import NetworkMeasured
from deploy.lab.sweep import end_leftovers
from loadgen.measure.forwarding import Passage
from loadgen.model.address import parse_address
from loadgen.model.errors import LoadgenError
from loadgen.model.probe import ForwardPlan, Link
from loadgen.verdict.network import ForwardResult, judge_forward
from workloads import forward
from workloads.forward import ForwardStep


class ForwardKind(NetworkKind[ForwardPlan, Passage, ForwardResult]):
    """Plays tests from a source through a proxy host to a sink, on each link of the plan."""

    name = "forward"

    def title(self, plan: ForwardPlan) -> str:
        """Return the title of the run, which lists the links."""
        return f"loadgen forward · {', '.join(link.value for link in plan.links)}"

    def steps(self, plan: ForwardPlan) -> int:
        """One test for each link, mode, window, number of flows and repeat."""
        return len(plan.links) * len(forward.steps(plan))

    def total_ns(self, plan: ForwardPlan) -> int:
        """The measured and omitted time of all tests."""
        return forward.total_ns(plan)

    def far_ends(self, plan: ForwardPlan) -> Sequence[tuple[str, int]]:
        """The proxy host and the sink, if they run already."""
        return [parse_address(address) for address in (plan.proxy, plan.sink) if address]

    def prepare(self, plan: ForwardPlan, around: Around) -> None:
        """End processes that a killed lab left behind."""
        for left in end_leftovers():
            around.say(f"ended a process that an earlier lab left behind: pid {left.pid}, {left.command}")

    async def cross(self, plan: ForwardPlan, course: Course[Passage]) -> None:
        """Build each link in turn, and play all its tests."""
        for link in plan.links:
            course.prepare(f"{link.value}: getting ready")
            try:
                async with open_ways(plan, link) as ways:
                    await _cross(plan, link, ways, course)
            except LoadgenError as error:
                if not course.tests:
                    raise
                course.fail(f"{link.value}: {error.message}")
            if course.over:
                break

    def judge(self, played: Played[ForwardPlan, NetworkMeasured[Passage]]) -> ForwardResult:
        """Return the table of all tests, with objectives and trust checks."""
        return judge_forward(
            played.header.plan,
            played.measured.tests,
            others=played.measured.others,
            interrupted=played.interrupted,
            problems=played.measured.problems,
            notes=played.notes,
        )


async def _cross(plan: ForwardPlan, link: Link, ways: Ways, course: Course[Passage]) -> None:
    """Play all tests on one link."""
    for step in forward.steps(plan):
        if course.over:
            return

        async def once(on_tick: OnTick, step: ForwardStep = step) -> Passage:
            return await _pass(link, ways, step, on_tick)

        await course.play(f"{link.value} {step.label}", step.test.kind, ways.source, once)


async def _pass(link: Link, ways: Ways, step: ForwardStep, on_tick: OnTick) -> Passage:
    """Play one test, and ask the proxy host for its counters before and after the test."""
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
