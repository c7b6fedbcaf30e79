"""Asks the servers before and after each iteration, and compares their logs with what was sent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deploy.ask import Answer, ask_all
from loadgen.measure.ledger import Ledger
from loadgen.verdict.result import Check
from loadgen.verdict.rules import Asked
from workloads.api import Sent, ServerCheck

_SHOWN = 3  # number of problems of an iteration that are quoted; the others are counted


class Auditor:
    """Sends every server the requests that belong before and after an iteration.

    `checks` holds one check for each audited iteration.  `problems` are sentences about servers that did not answer the
    first request with status 200.
    """

    def __init__(self, check: ServerCheck | None, asked: Asked, ledger: Ledger) -> None:
        """Without `check`, nothing is sent to the servers."""
        self._check = check
        self._asked = asked
        self._targets = asked.targets
        self._ledger = ledger
        self._before = self._sent()
        self._lost_before = ledger.lost_workers
        self.checks: dict[int, Check] = {}
        self.problems: list[str] = []

    async def reset(self, iteration: int) -> None:
        """Prepare every server for the iteration."""
        if self._check is None:
            return
        answers = await ask_all(self._targets, self._check.before_path)
        for target, answer in zip(self._targets, answers, strict=True):
            if answer.problem:
                self.problems.append(f"{target.name}: Reset before iteration {iteration + 1}: {answer.problem}")
        self._before = self._sent()
        self._lost_before = self._ledger.lost_workers

    async def audit(self, iteration: int) -> None:
        """Fetch every server's log of the iteration and compare the log with what was sent."""
        check = self._check
        if check is None:
            return
        answers = await ask_all(self._targets, check.after_path)
        # A killed engine cannot report its last requests; the server's log of these requests is right.
        complete = self._ledger.lost_workers == self._lost_before
        sent = [Sent(counts=counts, complete=complete) for counts in self._sent() - self._before]
        wrong = [
            f"{target.name}: {problem}"
            for target, answer, one in zip(self._targets, answers, sent, strict=True)
            for problem in _problems(check, answer, one)
        ]
        more = f" (and {len(wrong) - _SHOWN} more)" if len(wrong) > _SHOWN else ""
        detail = "; ".join(wrong[:_SHOWN]) + more if wrong else check.passed(sent)
        self.checks[iteration] = Check(
            name=check.name, value=len(wrong), limit=0, ok=not wrong, unit="problems", detail=detail
        )

    def _sent(self) -> NDArray[np.int64]:
        """Return the operations so far, of shape (targets, kinds, groups, 3): ok, bad and cut."""
        shape = (len(self._targets), len(self._asked.kinds), len(self._asked.groups), 3)
        totals = np.zeros(shape, dtype=np.int64)
        for (_, target), cell in self._ledger.totals().cells.items():
            totals[target] += cell.counts
        return totals


def _problems(check: ServerCheck, answer: Answer, sent: Sent) -> Sequence[str]:
    if answer.problem:
        return [f"the log cannot be fetched: {answer.problem}"]
    return check.problems(answer.body, sent)
