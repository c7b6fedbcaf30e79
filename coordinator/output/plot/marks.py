"""The words that are written across a figure whose numbers are no result, or not one to rely on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from coordinator.output.judged import Judged
from coordinator.output.measured import parts_of
from coordinator.output.plot.picture import Subject
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


def is_invalid(judged: Judged[Any, Any]) -> bool:
    """Whether nothing may be drawn that looks like a score."""
    return judged.result.verdict is Verdict.INVALID


def _marks(judged: Judged[Any, Any]) -> Iterator[str]:
    if word := _WORDS.get(judged.result.verdict):
        yield word
    if judged.cut:
        yield "CUT"
    documents = [judged.document, *(part.record.document for part in parts_of(judged) if part.name)]
    if any(_is_emulated(document) for document in documents):
        yield "EMULATED"


def _is_emulated(value: object) -> bool:
    """Whether a document says of its servers, or of one of its runs, that their CPU was emulated."""
    if isinstance(value, Mapping):
        return bool(value.get("emulated") is True) or any(map(_is_emulated, value.values()))
    return isinstance(value, Sequence) and not isinstance(value, str | bytes) and any(map(_is_emulated, value))
