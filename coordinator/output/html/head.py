"""The top of a report: the verdict, what led to it, and whether the load generator can be trusted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from coordinator.output.html.blocks import Banner, Block, Folded, Items, Table, Words
from coordinator.output.html.from_text import verdict_words
from coordinator.output.judged import RUNNING, Judged, verdict_of
from coordinator.output.marks import EMULATED, marks_of
from coordinator.output.one_machine import say_shared
from coordinator.output.stated import TRUST, Stated, say_counts, stated
from loadgen.model import emulated
from loadgen.verdict.result import Verdict

_MEANS = {
    Verdict.CONFORMING: "The measurement can be trusted, and what was asked for holds.",
    Verdict.NOT_CONFORMING: "The measurement can be trusted, and what was asked for does not hold.",
    Verdict.INVALID: "The measurement cannot be trusted, so there is no score. The numbers below are evidence of what "
    "went wrong, and not of what the servers can do.",
    Verdict.DEGRADED: "A part of the load was lost, so there is no score.",
    Verdict.INTERRUPTED: "Stopped by the user: what was measured is shown, but the run is not judged as a whole.",
}
_NO_RESULT = "The runs were cut off before there was a result."
_NO_RESULT_YET = "The runs are still going on, so there is no result yet."
_SO_FAR = "It did not come to its end: what was measured until then is shown, but the run is not judged as a whole."
_SO_FAR_YET = "It is still going on: what it has measured is shown, but the run is not judged as a whole."

_TONES = {Verdict.CONFORMING: "good", Verdict.NOT_CONFORMING: "bad", Verdict.INVALID: "bad"}
_SHOWN = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What stands first: the verdict with its meaning and reasons, then `blocks` on trust, notes and disturbances.

    `marks` are words across the page for a result that must not be taken for a good one; () for a good one.
    """

    verdict: str
    means: str
    tone: str
    reasons: tuple[str, ...]
    blocks: tuple[Block, ...]
    marks: tuple[str, ...]


def head_of(judged: Judged[Any, Any]) -> Head:
    """The top of the report on this run."""
    verdict, marks = verdict_of(judged), marks_of([judged])
    words = verdict_words(judged)
    if verdict is None or (judged.cut and not words):  # an experiment that was cut does not answer its question
        words, tone = "NO VERDICT", "warn"
        means = _NO_RESULT_YET if judged.cut == RUNNING else _NO_RESULT
    elif judged.cut and verdict not in (Verdict.INVALID, Verdict.DEGRADED):
        tone, means = "warn", _SO_FAR_YET if judged.cut == RUNNING else _SO_FAR
    else:
        tone, means = _TONES.get(verdict, "warn"), _MEANS[verdict]
    return Head(
        verdict=words or (verdict.value.upper() if verdict else ""),
        means=means,
        tone=tone,
        reasons=tuple(judged.result.reasons) if verdict else (),
        blocks=tuple(_blocks(judged, verdict, marks)),
        marks=marks,
    )


def _blocks(judged: Judged[Any, Any], verdict: Verdict | None, marks: tuple[str, ...]) -> Iterator[Block]:
    if judged.cut:
        yield Banner(f"{judged.cut[0].upper()}{judged.cut[1:]}.")
    if EMULATED in marks:
        yield Banner(f"The VMs are {emulated.EMULATED}.")
    checks = stated(judged) if verdict else ()
    trust = [one for one in checks if one.group.endswith(TRUST)]
    others = [one for one in checks if one.decides and not one.group.endswith(TRUST)]
    more = [one for one in checks if not one.decides]
    if trust:
        yield from _checks("Can the load generator be trusted?", trust)
    if others:
        yield from _checks("What was asked of the servers:", others)
    if more:
        held = sum(one.check.ok for one in more)
        yield Folded(
            f"Objectives in single stages, which have no part in the verdict: {held} of {len(more)} hold",
            [_table("Objectives by stage", more[:_SHOWN], len(more) - _SHOWN, failed="no")],
        )
    disturbance = getattr(judged.result, "disturbance", None)
    if disturbance is not None:
        undisturbed = f"None of the {disturbance.measured_s} measured seconds was disturbed on a load machine."
        yield Words(f"Disturbances: {disturbance.sentence or undisturbed}", "warn" if disturbance.sentence else "")
    if shared := say_shared(judged.header):
        yield Words(shared)
    if notes := tuple(getattr(judged.result, "notes", ())):
        yield Items("Notes", notes)


def _checks(title: str, checks: list[Stated]) -> Iterator[Block]:
    """How many hold, failed or are not known; the failed ones at once, all of them when asked for."""
    failed = [one for one in checks if not one.check.ok]
    count = say_counts(checks)
    answer = f"{'No' if failed else 'Yes'}: {count}" if title.endswith("?") else count
    yield Words(f"{title} {answer}.", "bad" if failed else "good")
    if failed:
        yield _table("Checks that failed", failed[:_SHOWN])
    yield Folded(f"All checks: {title.rstrip(':')}", [_table("Checks", checks[:_SHOWN], len(checks) - _SHOWN)])


def _table(title: str, checks: list[Stated], left: int = 0, failed: str = "FAIL") -> Table:
    rows = tuple((_mark(one, failed), one.group, one.check.name, one.words) for one in checks)
    head = ("result", "of", "check", "measured, and the limit")
    return Table(title, head, rows, f"{left:,} more checks are left out; run.json has them." if left > 0 else "")


def _mark(one: Stated, failed: str) -> str:
    if not one.check.ok:
        return failed
    return "ok" if one.check.known else "not known"
