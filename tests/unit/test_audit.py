"""The comparison of POST logs with what was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from coordinator.kinds.spec.kind import SpecKind
from coordinator.run import audit
from coordinator.run.audit import Auditor
from deploy.ask import Answer
from loadgen.measure.ledger import Ledger
from loadgen.model.plan import SpecPlan
from loadgen.model.target import Target
from loadgen.verdict.result import Check
from tests.support.snapshots import cell, snapshot
from workloads.specweb99 import mix, page, postlog

TARGETS = (Target(name="vm01", host="127.0.0.1", port=9000),)


def page_of_log(records: int) -> bytes:
    """Return the reply of a server that logged `records` POSTs of class 0."""
    log = postlog.header(records) + b"".join(
        postlog.PostRecord(
            number=number,
            time_s=1,
            pid=7,
            directory=0,
            class_=0,
            num=0,
            client=1,
            name="/file_set/dir00000/class0_0",
            pid_again=7,
            user_id=10_000,
        ).to_bytes()
        for number in range(1, records + 1)
    )
    return page.render(log, software="", remote="", script="", query="")


def audited(monkeypatch: pytest.MonkeyPatch, *, sent: int, logged: int, lost: bool = False) -> Check:
    """One iteration, in which an engine reported `sent` POSTs; another may have been lost."""

    async def ask_all(targets: Sequence[Target], path: str) -> list[Answer]:
        return [Answer(page_of_log(logged))] * len(targets)

    monkeypatch.setattr(audit, "ask_all", ask_all)
    ledger = Ledger(["a", "b"], len(mix.KINDS), len(mix.GROUPS))
    kind, plan = SpecKind(), SpecPlan(vms=1)
    auditor = Auditor(kind.workload(plan).check(plan), kind.asked(plan, TARGETS), ledger)

    async def iteration() -> None:
        await auditor.reset(0)
        posts = cell(sent)
        posts.counts[:] = 0
        posts.counts[0, mix.POST, 0] = sent
        ledger.receive(snapshot("a", 0, {(0, 0): posts}))
        if lost:
            ledger.lost("b", 0)
        await auditor.audit(0)

    asyncio.run(iteration())
    return auditor.checks[0]


def test_a_log_that_matches_the_requests_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert audited(monkeypatch, sent=5, logged=5).ok


@pytest.mark.parametrize("logged", [4, 6])
def test_a_log_with_fewer_or_more_records_is_rejected(monkeypatch: pytest.MonkeyPatch, logged: int) -> None:
    check = audited(monkeypatch, sent=5, logged=logged)
    assert not check.ok
    assert f"vm01: the log has {logged} POSTs of class 0, but" in check.detail


def test_unreported_requests_of_a_lost_engine_do_not_count_against_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    assert audited(monkeypatch, sent=5, logged=6, lost=True).ok
    assert not audited(monkeypatch, sent=5, logged=4, lost=True).ok
