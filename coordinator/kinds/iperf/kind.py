"""`loadgen iperf`: TCP or UDP throughput, or request/response latency, against an iperf3 server."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from coordinator.ends import ProbeEnd
from coordinator.kinds.network import NetworkKind
from coordinator.run.api import Played
from coordinator.run.course import Course
from coordinator.run.network import NetworkMeasured
from loadgen.measure.throughput import ProbeResult
from loadgen.model.probe import IperfPlan
from loadgen.verdict.network import IperfResult, judge_iperf
from workloads import iperf


class IperfKind(NetworkKind[IperfPlan, ProbeResult, IperfResult]):
    """Plays tests from a probe process on this machine against the server that the plan names."""

    name = "iperf"

    def title(self, plan: IperfPlan) -> str:
        """Return the title of the run, which names the server's address."""
        return f"loadgen iperf · {plan.host} port {plan.port}"

    def steps(self, plan: IperfPlan) -> int:
        """One test for each window, direction and repeat."""
        return len(iperf.steps(plan))

    def total_ns(self, plan: IperfPlan) -> int:
        """The measured and omitted time of all tests."""
        return iperf.total_ns(plan)

    def far_ends(self, plan: IperfPlan) -> Sequence[tuple[str, int]]:
        """The server."""
        return [(plan.host, plan.port)]

    async def cross(self, plan: IperfPlan, course: Course[ProbeResult]) -> None:
        """Play all tests from one probe process."""
        async with ProbeEnd("probe") as probe:
            for step in iperf.steps(plan):
                once = functools.partial(probe.run_or_cut, step.test, plan.host, plan.port)
                await course.play(step.label, step.test.kind, probe, once)
                if course.over:
                    break

    def judge(self, played: Played[IperfPlan, NetworkMeasured[ProbeResult]]) -> IperfResult:
        """Return the table of all tests, with objectives and trust checks."""
        return judge_iperf(
            played.header.plan,
            played.measured.tests,
            others=played.measured.others,
            interrupted=played.interrupted,
            problems=played.measured.problems,
            notes=played.notes,
        )
