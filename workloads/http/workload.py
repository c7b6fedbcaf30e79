"""Any HTTP requests behind the interface of :mod:`workloads.api`: servers need nothing, and are not checked."""

from __future__ import annotations

from loadgen.model.http_plan import HttpPlan
from loadgen.schedule.optape import OpTape
from workloads.api import Counting
from workloads.http.compile import compile_http, counting


class Http:
    """The workload of `loadgen http`."""

    def compile(self, plan: HttpPlan) -> OpTape:
        """One ring of operations per target; see :func:`workloads.http.compile.compile_http`."""
        return compile_http(plan)

    def timings(self, plan: HttpPlan) -> None:
        """None: the length of replies is not known."""

    def counting(self, plan: HttpPlan) -> Counting:
        """Kinds are the plan's requests; there is one group."""
        return counting(plan)

    def connects_per_s(self, plan: HttpPlan) -> float:
        """One per request without kept connections, if the rate is known.  Otherwise the servers decide."""
        return 0.0 if plan.keepalive else plan.rate_per_s

    def files(self, plan: HttpPlan) -> None:
        """None: the servers serve their own content."""

    def check(self, plan: HttpPlan) -> None:
        """Nothing: the servers keep no log that could be compared."""
