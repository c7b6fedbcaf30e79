"""The workload of CONTRIBUTING's recipe: repeats one request; each server is asked how many requests it received."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from loadgen.schedule.optape import OpTape
from tests.support.tapes import Op, make_tape
from workloads.api import Counting, Sent


class ToyPlan(NamedTuple):
    connections: int = 4


class Toy:
    def compile(self, plan: ToyPlan) -> OpTape:
        return make_tape([Op(path="/toy", size=100)], plan.connections)

    def counting(self, plan: ToyPlan) -> Counting:
        return Counting(kinds=("only",), groups=("get", "other"), kind_shares=(1.0,))

    def connects_per_s(self, plan: ToyPlan) -> float:
        return 0.0

    def timings(self, plan: ToyPlan) -> None: ...
    def files(self, plan: ToyPlan) -> None: ...
    def check(self, plan: ToyPlan) -> HitCounter:
        return HitCounter()


class HitCounter:
    name, before_path, after_path = "hits", "/forget", "/hits"

    def problems(self, body: bytes, sent: Sent) -> list[str]:
        return [] if body == b"%d" % sent.counts.sum() else [f"the server counted {body!r}, not {sent.counts.sum()}"]

    def passed(self, sent: Sequence[Sent]) -> str:
        return f"{sum(one.counts.sum() for one in sent)} requests"
