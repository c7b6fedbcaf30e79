"""The top of a report: the verdict, what led to it, and whether the load generator can be trusted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from coordinator.output.html.blocks import Banner, Block, Folded, Items, Table, Words
from coordinator.output.html.from_text import verdict_words
from coordinator.output.judged import RUNNING, Judged
from coordinator.output.stated import TRUST, Stated, stated
from loadgen.model.emulated import EMULATED
from loadgen.model.errors import LoadgenError
from loadgen.verdict.result import Verdict

_MEANS = {
    Verdict.CONFORMING: "The measurement can be trusted, and what was asked for holds.",
    Verdict.NOT_CONFORMING: "The measurement can be trusted, and what was asked for does not hold.",
    Verdict.INVALID: "The measurement cannot be trusted, so there is no score. The numbers below are evidence of what "
    "went wrong, and not of what the servers can do.",
    Verdict.DEGRADED: "A part of the load was lost, so there is no score.",
    Verdict.INTERRUPTED: "Stopped by the user: what was measured is shown, but the run is not judged as a whole.",
}

_TONES = {Verdict.CONFORMING: "good", Verdict.NOT_CONFORMING: "bad", Verdict.INVALID: "bad"}
_WATERMARKED = (Verdict.INVALID, Verdict.DEGRADED)
_SHOWN = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What stands first: the verdict with its meaning and reasons, then `blocks` on trust, notes and disturbances.

    `watermark` is a word across the page for a result that must not be taken for a good one; "" for a good one.
    """

    verdict: str
    means: str
    tone: str
    reasons: tuple[str, ...]
    blocks: tuple[Block, ...]
    watermark: str


def head_of(judged: Judged[Any, Any]) -> Head:
    """The top of the report on this run."""
    verdict = _verdict(judged)
    words = verdict_words(judged) or (verdict.value.upper() if verdict else "NO VERDICT")
    mark = _watermark(judged, verdict)
    return Head(
        verdict=words,
        means=_MEANS[verdict] if verdict else "The runs were cut off before there was a result.",
        tone=_TONES.get(verdict, "warn") if verdict else "warn",
        reasons=tuple(judged.result.reasons) if verdict else (),
        blocks=tuple(_blocks(judged, verdict)),
        watermark=mark,
    )


def _verdict(judged: Judged[Any, Any]) -> Verdict | None:
    """None for a sweep that was cut before its first point."""
    try:
        found = judged.result.verdict
    except LoadgenError:
        return None
    assert isinstance(found, Verdict)
    return found


def _watermark(judged: Judged[Any, Any], verdict: Verdict | None) -> str:
    if _emulated(judged):
        return "EMULATED"
    if verdict in _WATERMARKED:
        return verdict.value
    return ("RUNNING" if judged.cut == RUNNING else "CUT") if judged.cut else ""


def _emulated(judged: Judged[Any, Any]) -> bool:
    return bool(judged.header.environment.server.get("emulated"))


def _blocks(judged: Judged[Any, Any], verdict: Verdict | None) -> Iterator[Block]:
    if judged.cut:
        yield Banner(f"{judged.cut[0].upper()}{judged.cut[1:]}.")
    if _emulated(judged):
        yield Banner(f"The VMs are {EMULATED}.")
    checks = stated(judged) if verdict else ()
    trust = [one for one in checks if one.group.endswith(TRUST)]
    others = [one for one in checks if not one.group.endswith(TRUST)]
    if trust:
        yield from _checks("Can the load generator be trusted?", trust)
    if others:
        yield from _checks("What was asked of the servers:", others)
    disturbance = getattr(judged.result, "disturbance", None)
    if disturbance is not None:
        undisturbed = f"None of the {disturbance.measured_s} measured seconds was disturbed on a load machine."
        yield Words(f"Disturbances: {disturbance.sentence or undisturbed}", "warn" if disturbance.sentence else "")
    if notes := tuple(getattr(judged.result, "notes", ())):
        yield Items("Notes", notes)


def _checks(title: str, checks: list[Stated]) -> Iterator[Block]:
    """The failed checks at once, all of them when asked for."""
    failed = [one for one in checks if not one.check.ok]
    count = f"{len(checks) - len(failed)} of {len(checks)} checks hold"
    answer = f"{'No' if failed else 'Yes'}: {count}" if title.endswith("?") else count
    yield Words(f"{title} {answer}.", "bad" if failed else "good")
    if failed:
        yield _table("Checks that failed", failed[:_SHOWN])
    yield Folded(f"All checks: {title.rstrip(':')}", [_table("Checks", checks[:_SHOWN], len(checks) - _SHOWN)])


def _table(title: str, checks: list[Stated], left: int = 0) -> Table:
    rows = tuple(("ok" if one.check.ok else "FAIL", one.group, one.check.name, one.words) for one in checks)
    head = ("result", "of", "check", "measured, and the limit")
    return Table(title, head, rows, f"{left:,} more checks are left out; run.json has them." if left > 0 else "")
