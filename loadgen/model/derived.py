"""Values that follow from a long tuple, computed once: plans with 100,000 requests are copied and written often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T", covariant=True)
V = TypeVar("V")


class Remembering(tuple[T, ...]):
    """A tuple that keeps what :func:`once` computed from it.  It is equal to a tuple with the same items."""

    _known: dict[Callable[..., Any], Any]

    @classmethod
    def of(cls, items: tuple[T, ...]) -> Remembering[T]:
        """The items as such a tuple; the same one if it is one already."""
        return items if isinstance(items, cls) else cls(items)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (tuple(self),)  # a copy for another process computes again


class Plain(list[V]):
    """A list of plain data, which need not be converted or checked again.  It is shared: never change it."""


def once(items: tuple[T, ...], compute: Callable[[tuple[T, ...]], V]) -> V:
    """The value of `compute(items)`; of a Remembering tuple, the one that was computed first.

    `compute` must be a function of a module or of a class, because it is the key.
    """
    if not isinstance(items, Remembering):
        return compute(items)
    known: dict[Callable[..., Any], Any] = items.__dict__.setdefault("_known", {})
    if compute not in known:
        known[compute] = compute(items)
    value: V = known[compute]
    return value
