"""Compares the servers' POST logs with what was sent, iteration by iteration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deploy.ask import Answer, ask_all
from loadgen.measure.ledger import Ledger
from loadgen.model.plan import SpecPlan
from loadgen.model.target import Target
from loadgen.verdict.result import Check
from workloads.specweb99 import mix, page, postlog, urls


class Auditor:
    """Sends Reset before and Fetch after each iteration.

    `checks` holds one check of each audited iteration; `problems` what servers answered to Reset that
    was not 200, in words.
    """

    def __init__(self, plan: SpecPlan, targets: Sequence[Target], ledger: Ledger) -> None:
        self._plan = plan
        self._targets = targets
        self._ledger = ledger
        self._post = mix.GROUPS.index("post")
        self._before = self._sent()
        self._lost_before = ledger.lost_workers
        self.checks: dict[int, Check] = {}
        self.problems: list[str] = []

    async def reset(self, iteration: int) -> None:
        """Every server forgets its log and makes its advertisements anew."""
        answers = await ask_all(self._targets, urls.reset_command(self._plan))
        for target, answer in zip(self._targets, answers, strict=True):
            if answer.problem:
                self.problems.append(f"{target.name}: Reset before iteration {iteration + 1}: {answer.problem}")
        self._before = self._sent()
        self._lost_before = self._ledger.lost_workers

    async def audit(self, iteration: int) -> None:
        """Fetch every log and compare it."""
        answers = await ask_all(self._targets, urls.FETCH)
        sent = self._sent() - self._before
        wrong: list[str] = []
        for target, answer, posts in zip(self._targets, answers, sent, strict=True):
            found = self._compare(answer, posts)
            wrong += [f"{target.name}: {problem}" for problem in found]
        records = int(sent[:, :, 0].sum())
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        detail = "; ".join(wrong[:3]) + more if wrong else f"{records} POSTs, all logged, all in order"
        self.checks[iteration] = Check(
            name="POST log", value=len(wrong), limit=0, ok=not wrong, unit="problems", detail=detail
        )

    def _compare(self, answer: Answer, posts: NDArray[np.int64]) -> Sequence[str]:
        """What is wrong with one server's log."""
        if answer.problem:
            return [f"the log cannot be fetched: {answer.problem}"]
        try:
            log = page.content_of(answer.body)
        except ValueError as error:
            return [str(error)]
        ok = posts[:, 0]
        # What an engine sent last it has not reported when it is killed; the server that logged it did no wrong.
        known = self._ledger.lost_workers == self._lost_before
        attempted = tuple(posts.sum(axis=1).tolist()) if known else None
        report = postlog.check(log, postlog.PostCounts(ok=tuple(ok.tolist()), attempted=attempted))
        more = report.problem_count - len(report.problems)
        found = [f"record {p.record} {p.text}" if p.record else p.text for p in report.problems]
        return [*found, f"{more} problems more"] if more else found

    def _sent(self) -> NDArray[np.int64]:
        """POSTs so far, of shape (targets, classes, 3): ok, bad and cut."""
        totals = np.zeros((len(self._targets), len(mix.KINDS), 3), dtype=np.int64)
        for (_, target), cell in self._ledger.totals().cells.items():
            totals[target] += cell.counts[:, self._post, :]
        return totals
