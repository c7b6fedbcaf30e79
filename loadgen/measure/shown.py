"""What engines show of failed operations, such as the line of a reply that was not understood."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from loadgen.measure.wire import read_int, read_list
from loadgen.model.outcome import Outcome

MAX_SHOWN = 64
"""How many texts an engine reports in a run, of different targets or outcomes."""

_MAX_TEXT = 1_024
_MAX_TARGET = (1 << 16) - 1


@dataclass(frozen=True, slots=True)
class Shown:
    """What was seen first of the operations against a target that ended with `outcome`; `text` is printable."""

    target: int
    outcome: Outcome
    text: str

    @classmethod
    def of(cls, seen: Mapping[tuple[int, Outcome], bytes]) -> tuple[Shown, ...]:
        """The bytes that were seen, by target and outcome, with escapes for what is not printable ASCII."""
        return tuple(cls(target, outcome, escaped(text)) for (target, outcome), text in seen.items())

    def to_wire(self) -> list[Any]:
        """The values as a list for msgpack."""
        return [self.target, self.outcome.value, self.text]


def escaped(text: bytes) -> str:
    """`text` with a backslash and two hexadecimal digits, or a letter, for each byte that is not printable ASCII."""
    return text.decode("latin-1").encode("unicode_escape").decode("ascii")


def read_shown(wire: Any) -> tuple[Shown, ...]:
    """The values in the field `shown`; () without one.  Raises ValueError, and nothing else, if it is malformed."""
    if "shown" not in wire:
        return ()
    return tuple(_read(one) for one in read_list(wire, "shown")[:MAX_SHOWN])


def _read(one: object) -> Shown:
    if not isinstance(one, list | tuple) or len(one) != 3:
        raise ValueError("field 'shown' does not hold lists of a target, an outcome and a text")
    given = dict(zip(("target", "outcome", "text"), one, strict=True))
    text = given["text"]
    if not isinstance(text, str) or len(text) > _MAX_TEXT or not (text.isascii() and text.isprintable()):
        raise ValueError("a text in field 'shown' is not printable, or is too long")
    target, outcome = read_int(given, "target", high=_MAX_TARGET), read_int(given, "outcome", high=len(Outcome) - 1)
    return Shown(target, Outcome(outcome), text)


def first_of(known: dict[tuple[int, Outcome], Shown], more: Iterable[Shown]) -> None:
    """Add to `known` what it does not have yet, by target and outcome."""
    for one in more:
        known.setdefault((one.target, one.outcome), one)
