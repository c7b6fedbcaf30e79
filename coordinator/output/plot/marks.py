"""The words that are written across a figure whose numbers are no result, or not one to rely on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from coordinator.output.curves import NO_COUNT
from coordinator.output.judged import Judged
from coordinator.output.measured import parts_of
from coordinator.output.plot.picture import Subject
from coordinator.record.headroom_result import HeadroomResult, Role
from loadgen.verdict.result import Verdict

_WORDS = {
    Verdict.INVALID: "INVALID",
    Verdict.DEGRADED: "DEGRADED",
    Verdict.INTERRUPTED: "INTERRUPTED",
}


def marks_of(subjects: Iterable[Subject]) -> tuple[str, ...]:
    """The words, each once, the gravest first: INVALID, EMULATED, DEGRADED, INTERRUPTED, CUT."""
    found = {word for subject in subjects for word in _marks(subject.judged)}
    return tuple(word for word in ("INVALID", "EMULATED", "DEGRADED", "INTERRUPTED", "CUT") if word in found)


def unscored(verdict: Verdict | None) -> str:
    """The word in place of the score of a run with this verdict; "" where there may be a score, and for None."""
    return _WORDS[verdict] if verdict in NO_COUNT else ""


def _marks(judged: Judged[Any, Any]) -> Iterator[str]:
    yield from (_WORDS[verdict] for verdict in _verdicts(judged.result) if verdict in _WORDS)
    if judged.cut:
        yield "CUT"
    documents = [judged.document, *(part.record.document for part in parts_of(judged) if part.name)]
    if any(_is_emulated(document) for document in documents):
        yield "EMULATED"


def _verdicts(result: Any) -> Iterator[Verdict]:
    """That of the result, and that of the run whose headroom is checked: the user may have stopped a later one."""
    yield result.verdict
    if isinstance(result, HeadroomResult) and (run := result.step(Role.RUN)):
        yield run.verdict


def _is_emulated(value: object) -> bool:
    """Whether a document says of its servers, or of one of its runs, that their CPU was emulated."""
    if isinstance(value, Mapping):
        return bool(value.get("emulated") is True) or any(map(_is_emulated, value.values()))
    return isinstance(value, Sequence) and not isinstance(value, str | bytes) and any(map(_is_emulated, value))
