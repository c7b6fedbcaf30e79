"""The words that are written across figures and reports whose numbers are no result, or not one to rely on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from coordinator.output.judged import RUNNING, Judged, verdict_of
from coordinator.output.measured import Part, readable_parts
from coordinator.record.headroom_result import HeadroomResult, Role
from loadgen.verdict.result import Verdict

EMULATED = "EMULATED"

WORDS = {
    Verdict.INVALID: "INVALID",
    Verdict.DEGRADED: "DEGRADED",
    Verdict.INTERRUPTED: "INTERRUPTED",
}
"""By the verdict of a run that has no score, or not one of the whole run."""

_GRAVEST_FIRST = ("INVALID", EMULATED, "DEGRADED", "INTERRUPTED", "RUNNING", "CUT")


def marks_of(runs: Iterable[Judged[Any, Any]]) -> tuple[str, ...]:
    """The words of all runs, each once, the gravest first."""
    return gravest_first(word for judged in runs for word in _marks(judged))


def gravest_first(words: Iterable[str]) -> tuple[str, ...]:
    """Words of :func:`marks_of`, each once, the gravest first."""
    found = set(words)
    return tuple(word for word in _GRAVEST_FIRST if word in found)


def _marks(judged: Judged[Any, Any]) -> Iterator[str]:
    if judged.cut:
        yield "RUNNING" if judged.cut == RUNNING else "CUT"
    for verdict in _verdicts(judged):
        if verdict in WORDS and not (
            judged.cut and verdict is Verdict.INTERRUPTED
        ):  # nobody stopped a run that was cut
            yield WORDS[verdict]
    below = (part.record.document for part in readable_parts(judged) if isinstance(part, Part) and part.name)
    if any(_is_emulated(document) for document in (judged.document, *below)):
        yield EMULATED


def _verdicts(judged: Judged[Any, Any]) -> Iterator[Verdict]:
    """That of the result, and that of the run whose headroom is checked: the user may have stopped a later one."""
    if verdict := verdict_of(judged):
        yield verdict
    if isinstance(judged.result, HeadroomResult) and (run := judged.result.step(Role.RUN)):
        yield run.verdict


def _is_emulated(value: object) -> bool:
    """Whether a document says of its servers, or of one of its runs, that their CPU was emulated."""
    if isinstance(value, Mapping):
        return bool(value.get("emulated") is True) or any(map(_is_emulated, value.values()))
    return isinstance(value, Sequence) and not isinstance(value, str | bytes) and any(map(_is_emulated, value))
